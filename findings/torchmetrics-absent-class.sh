#!/usr/bin/env bash
# TorchMetrics counts a class of which there is no image as an AUROC of 0 in the mean over classes: a model that tells all images apart has 2/3 of
# three classes if one is absent, and 1/2 of four if two are. One would expect the class to be left out, as by its average precision and recall,
# or NaN, as by scikit-learn. A warning says that a rate is meaningless, not that the mean is. Small folds, and batches, often lack a class.
set -euo pipefail
pins=(torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6 scikit-learn==1.9.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
2 classes, images of 2: AUROC 1.000, average precision 1.000, recall 1.000, scikit-learn's AUC 1.000
3 classes, images of 2: AUROC 0.667, average precision 1.000, recall 1.000, scikit-learn's AUC nan
4 classes, images of 2: AUROC 0.500, average precision 1.000, recall 1.000, scikit-learn's AUC nan
END
venv/bin/python -W ignore > now <<'END'
import torch
from sklearn.metrics import roc_auc_score
from torchmetrics.classification import MulticlassAUROC, MulticlassAveragePrecision, MulticlassRecall

measures = {
    "AUROC": MulticlassAUROC,
    "average precision": MulticlassAveragePrecision,
    "recall": MulticlassRecall,
}
for classes in (2, 3, 4):
    truth = torch.tensor([0, 0, 0, 1, 1])
    likely = torch.nn.functional.one_hot(truth, classes) * 3.0  # every image's own class is the likeliest
    given = likely.softmax(1)
    told = ", ".join(f"{name} {one(classes, average='macro')(given, truth):.3f}" for name, one in measures.items())
    said = roc_auc_score(torch.nn.functional.one_hot(truth, classes), given, average="macro")
    print(f"{classes} classes, images of 2: {told}, scikit-learn's AUC {said:.3f}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: torchmetrics-absent-class"; exit 1; }
