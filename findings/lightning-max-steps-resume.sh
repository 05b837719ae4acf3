#!/usr/bin/env bash
# With `max_steps` Lightning does not resume a training from a checkpoint of an epoch's end where it was: it trains on in the epoch that had
# ended, without `on_train_epoch_start`, and here stops at step 10 of 12; with `max_epochs` alone it goes on with the next epoch to the end.
# What the hook prepares, such as an epoch's seed, is missing, and the weights are other ones. One would expect both limits to resume alike.
# The cause: the setter of `_FitLoop.restarting` takes every training with a limit of steps for one that was stopped within an epoch.
set -euo pipefail
pins=(pytorch-lightning==2.6.6 torch==2.13.0 numpy==2.4.6)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
max_epochs=4: resumed at step 6, epochs begun: [2, 3], ends at step 12
max_epochs=4, max_steps=12: resumed at step 6, epochs begun: [2], ends at step 10
END
venv/bin/python -W ignore > now 2> errors <<'END' || { cat errors; exit 1; }
import logging

import pytorch_lightning as pl
import torch

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.begun, self.steps = torch.nn.Linear(1, 1), [], []

    def on_train_epoch_start(self):
        self.begun.append(self.current_epoch)

    def training_step(self, batch, index):
        self.steps.append(self.global_step)
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAtEpochsEnd(pl.callbacks.Checkpoint):
    def on_train_epoch_end(self, trainer, module):
        if trainer.current_epoch == 1:
            trainer.save_checkpoint("saved.ckpt")


def trainer(*callbacks, **limits):
    quiet = dict(logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu")
    return pl.Trainer(callbacks=list(callbacks), enable_checkpointing=bool(callbacks), **quiet, **limits)


for limits in ({"max_epochs": 4}, {"max_epochs": 4, "max_steps": 12}):
    batches = torch.utils.data.DataLoader(torch.ones(3, 1), batch_size=1)
    trainer(SaveAtEpochsEnd(), **limits).fit(Module(), batches)
    resumed, again = Module(), trainer(**limits)
    again.fit(resumed, batches, ckpt_path="saved.ckpt")
    said = ", ".join(f"{name}={value}" for name, value in limits.items())
    print(f"{said}: resumed at step {resumed.steps[0]}, epochs begun: {resumed.begun}, ends at step {again.global_step}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: lightning-max-steps-resume"; exit 1; }
