#!/usr/bin/env bash
# TorchMetrics gives numbers for predictions that are all NaN: as AUROC 1, 0 or between, by the order of the labels; as accuracy the share of
# class 0. Without a warning a network that has diverged can so be the best of all. scikit-learn refuses such input.
set -euo pipefail
pins=(torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
labels [1, 1, 0, 0, 0]: AUROC 1.000, accuracy 0.600
labels [0, 0, 0, 1, 1]: AUROC 0.000, accuracy 0.600
labels [1, 0, 0, 1, 0]: AUROC 0.667, accuracy 0.600
scikit-learn: ValueError: Input contains NaN.
END
venv/bin/python -W ignore > now <<'END'
import torch
from sklearn.metrics import roc_auc_score
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

for labels in ([1, 1, 0, 0, 0], [0, 0, 0, 1, 1], [1, 0, 0, 1, 0]):
    predictions, truth = torch.full((5,), torch.nan), torch.tensor(labels)
    auroc, accuracy = BinaryAUROC()(predictions, truth), BinaryAccuracy()(predictions, truth)
    print(f"labels {labels}: AUROC {auroc:.3f}, accuracy {accuracy:.3f}")
try:
    roc_auc_score(labels, predictions)
except ValueError as error:
    print(f"scikit-learn: {type(error).__name__}: {error}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: torchmetrics-nan-predictions"; exit 1; }
