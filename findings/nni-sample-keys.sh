#!/usr/bin/env bash
# A key of a sample that no choice of the space asks for passes without a word, in `freeze` and in `model_context`; so a sample of another
# space, or one with a misspelt key beside the right one, builds a network. A missing key is an error, so that this looks checked.
set -euo pipefail
pins=(nni==3.0 torch==2.13.0 pytorch-lightning==2.6.6 setuptools==81.0.0 numpy==2.4.6)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
freeze of {'layer': 1}: Identity
built of {'layer': 1}: Identity
freeze of {'layer': 1, 'layers': 0, 'depth': 12}: Identity
built of {'layer': 1, 'layers': 0, 'depth': 12}: Identity
freeze of {'layers': 1}: SampleMissingError
built of {'layers': 1}: SampleMissingError
END
venv/bin/python -W ignore > now <<'END'
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.space import model_context
from torch import nn


class Space(ModelSpace):
    def __init__(self):
        super().__init__()
        self.layer = LayerChoice([nn.Linear(2, 2), nn.Identity()], label="layer")

    def forward(self, x):
        return self.layer(x)


def built(sample):
    with model_context(sample):
        return Space()


for sample in ({"layer": 1}, {"layer": 1, "layers": 0, "depth": 12}, {"layers": 1}):
    for way in (Space().freeze, built):
        try:
            print(f"{way.__name__} of {sample}: {type(way(sample).layer).__name__}")
        except Exception as error:
            print(f"{way.__name__} of {sample}: {type(error).__name__}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-sample-keys"; exit 1; }
