#!/usr/bin/env bash
# Models that `ModelSpace.freeze` returns have copies of the space's ordinary layers, but the very layers of its LayerChoice: training one
# frozen model changes the space and every other model with that choice, in part. Candidates trained one after the other do not start alike.
# The documentation says that sub-modules "can be possibly deep-copied". A model built within `model_context` shares nothing.
set -euo pipefail
pins=(nni==3.0 torch==2.13.0 pytorch-lightning==2.6.6 setuptools==81.0.0 numpy==2.4.6)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
7 is written into the weights of one frozen model; it is then also in the
ordinary layer of the other: False, of the space: False
chosen layer of the other: True, of the space: True
END
venv/bin/python -W ignore > now <<'END'
import torch
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from torch import nn


class Space(ModelSpace):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(1, 1)
        self.second = LayerChoice([nn.Linear(1, 1), nn.Identity()], label="second")

    def forward(self, x):
        return self.second(self.first(x))


space = Space()
one, other = space.freeze({"second": 0}), space.freeze({"second": 0})
with torch.no_grad():
    one.first.weight.fill_(7)
    one.second.weight.fill_(7)
print("7 is written into the weights of one frozen model; it is then also in the")
print(f"ordinary layer of the other: {other.first.weight.item() == 7}, of the space: {space.first.weight.item() == 7}")
print(f"chosen layer of the other: {other.second.weight.item() == 7}, of the space: {space.second[0].weight.item() == 7}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-frozen-weights"; exit 1; }
