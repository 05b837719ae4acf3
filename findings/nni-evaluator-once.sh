#!/usr/bin/env bash
# NNI's Lightning evaluator trains the first network that it gets, and no other: its `Trainer` has reached `max_epochs` and stays so. A second
# `evaluate` returns with weights as they were, without an error. In a NAS experiment with the sequential engine the second model fails with
# `KeyError: 'val_acc'`, which ends the experiment. One would expect one evaluator to evaluate many networks, which is what its experiment asks.
set -euo pipefail
pins=(nni==3.0 torch==2.13.0 pytorch-lightning==2.6.6 setuptools==81.0.0 numpy==2.4.6)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
network 1: trained: True, epochs of the trainer: 2
network 2: trained: False, epochs of the trainer: 2
experiment of 3 models: KeyError 'val_acc', models trained: 1
END
HOME="$folder" venv/bin/python -W ignore > log 2>&1 <<'END' || { cat log; exit 1; }
from functools import partial

import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.strategy import GridSearch
from torch import nn
from torch.utils.data import TensorDataset

say = partial(print, file=open("now", "w", buffering=1))  # NNI writes its log to standard output
data = TensorDataset(torch.ones(8, 1), torch.arange(8) % 2)
starts = []  # of trainings


class Start(nn.Module):
    def forward(self, x):
        if self.training and self not in starts:
            starts.append(self)
        return x


class Space(ModelSpace):
    def __init__(self):
        super().__init__()
        layers = [nn.Sequential(Start(), nn.Linear(1, 2), *[nn.Identity()] * more) for more in range(3)]
        self.layer = LayerChoice(layers, label="layer")

    def forward(self, x):
        return self.layer(x)


def evaluator():
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    loaders = dict(train_dataloaders=DataLoader(data, batch_size=4), val_dataloaders=DataLoader(data, batch_size=4))
    return Classification(max_epochs=2, num_classes=2, accelerator="cpu", **loaders, **quiet)


one = evaluator()
for number in (1, 2):
    network = nn.Linear(1, 2)
    before = network.weight.detach().clone()
    one.evaluate(network)
    trained = not torch.equal(before, network.weight)
    say(f"network {number}: trained: {trained}, epochs of the trainer: {one.trainer.current_epoch}")

experiment = NasExperiment(Space(), evaluator(), GridSearch(), NasExperimentConfig("sequential", "simplified", "local"))
experiment.config.max_trial_number = 3
try:
    experiment.run()
    ended = "no error"
except Exception as error:
    ended = f"{type(error).__name__} {error}"
say(f"experiment of 3 models: {ended}, models trained: {len(starts)}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-evaluator-once"; exit 1; }
