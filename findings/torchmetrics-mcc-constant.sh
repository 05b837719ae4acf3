#!/usr/bin/env bash
# TorchMetrics gives a model that calls every image positive a Matthews' correlation of 0.84 where nine of ten images are, of 0.27 where 90 of
# 100 are. It is not defined there, and by convention 0, as in scikit-learn: the measure is chosen because calling all images alike gains nothing.
# What it gives is (TP - FP) / root(n TP FP), which shrinks with the number n of images. Known: torchmetrics' issue 3355.
set -euo pipefail
pins=(torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
9 of 10 images positive: all called positive 0.843, all negative -0.843, scikit-learn 0.000
90 of 100 images positive: all called positive 0.267, all negative -0.267, scikit-learn 0.000
900 of 1000 images positive: all called positive 0.084, all negative -0.084, scikit-learn 0.000
as a task of three classes, 9 of 10 images of the first: all called the first 0.000
END
venv/bin/python -W ignore > now <<'END'
import torch
from sklearn.metrics import matthews_corrcoef
from torchmetrics.classification import BinaryMatthewsCorrCoef, MulticlassMatthewsCorrCoef

for images in (10, 100, 1000):
    positive = images * 9 // 10
    truth = (torch.arange(images) < positive).int()
    calls = {"all called positive": torch.ones_like(truth), "all negative": torch.zeros_like(truth)}
    told = ", ".join(f"{name} {BinaryMatthewsCorrCoef()(call, truth):.3f}" for name, call in calls.items())
    said = matthews_corrcoef(truth, torch.ones_like(truth))
    print(f"{positive} of {images} images positive: {told}, scikit-learn {said:.3f}")
truth = (torch.arange(10) >= 9).int()
told = MulticlassMatthewsCorrCoef(num_classes=3)(torch.zeros_like(truth), truth)
print(f"as a task of three classes, 9 of 10 images of the first: all called the first {told:.3f}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: torchmetrics-mcc-constant"; exit 1; }
