#!/usr/bin/env bash
# PyTorch's FLOP counter takes the gradient of a depthwise convolution's weights for that of a convolution of all channels with all: with 32 channels
# for 32 times what it is. A convolution's two gradients take as many operations each as its forward pass, so one would expect twice as many in the
# backward pass, with groups too. Papers compare networks of depthwise convolutions by such counts of a training step.
# The cause: the counter transposes the shapes of inputs and outputs for that gradient, which loses the groups; it counts the forward pass correctly.
set -euo pipefail
pins=(torch==2.13.0 numpy==2.4.6)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
1 group: backward / forward 2
2 groups: backward / forward 3
8 groups: backward / forward 9
32 groups: backward / forward 33
END
venv/bin/python -W ignore > now <<'END'
import torch
from torch.utils.flop_counter import FlopCounterMode

for groups in (1, 2, 8, 32):
    layer = torch.nn.Conv2d(32, 32, 3, padding=1, groups=groups)
    images = torch.ones(1, 32, 10, 10, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        layer(images).sum().backward()
    flops = {operation._qualified_op_name: count for operation, count in counter.get_flop_counts()["Global"].items()}
    ratio = flops["aten::convolution_backward"] / flops["aten::convolution"]
    print(f"{groups} group{'s' * (groups > 1)}: backward / forward {ratio:g}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: torch-flops-depthwise"; exit 1; }
