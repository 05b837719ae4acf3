#!/usr/bin/env bash
# TorchMetrics takes logits, but decides for each batch whether it has some: a batch whose logits all lie within 0 and 1 is taken for one of
# probabilities, and only the others go through the sigmoid. AUROC and accuracy of the same logits so depend on the batches.
# One would expect `compute` to say of all batches what it says of one with all images. Known: torchmetrics' issue 2195. A sigmoid before helps.
set -euo pipefail
pins=(torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
batches of 40: AUROC 1.000, accuracy 1.000
batches of 4: AUROC 1.000, accuracy 1.000
batches of 2: AUROC 0.922, accuracy 0.950
batches of 1: AUROC 0.860, accuracy 0.875
batches of 1, after a sigmoid: AUROC 1.000
END
venv/bin/python -W ignore > now <<'END'
import torch
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

logits = (torch.arange(40) * 7 % 40 - 19.5) / 10  # -1.95 to 1.95, mixed
labels = (logits > 0).long()  # which they tell without a fault
for size in (40, 4, 2, 1):
    area, accuracy = BinaryAUROC(), BinaryAccuracy()
    for batch in torch.arange(40).split(size):
        area.update(logits[batch], labels[batch])
        accuracy.update(logits[batch], labels[batch])
    print(f"batches of {size}: AUROC {area.compute():.3f}, accuracy {accuracy.compute():.3f}")
area = BinaryAUROC()
for logit, label in zip(logits.sigmoid(), labels):
    area.update(logit[None], label[None])
print(f"batches of 1, after a sigmoid: AUROC {area.compute():.3f}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: torchmetrics-logits-by-batch"; exit 1; }
