#!/usr/bin/env bash
# PyTorch's fused SGD with momentum fails at a step in which one weight has its first gradient and another has had one: `TypeError`. The plain and
# the foreach SGD give such a weight its momentum then, and fused Adam does too. One would expect `fused=True` to change the speed alone. Networks
# that use a part of their weights in each step, such as a supernet's sampled layers, meet it, and those whose layers are unfrozen one by one.
# The cause: the fused branch makes momentum buffers only in a step in which no weight has one.
set -euo pipefail
pins=(torch==2.13.0 numpy==2.4.6)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
SGD {'foreach': False}: [0.71, 0.9]
SGD {'foreach': True}: [0.71, 0.9]
SGD {'fused': True}: TypeError
Adam {'fused': True}: [0.8, 0.9]
END
venv/bin/python -W ignore > now <<'END'
import torch


def after_two_steps(name, options):
    first, late = (torch.nn.Parameter(torch.ones(())) for _ in range(2))
    more = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(torch.optim, name)([first, late], lr=0.1, **more, **options)
    for loss in (lambda: first, lambda: first + late):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return [round(weight.item(), 4) for weight in (first, late)]


for name, options in (("SGD", {"foreach": False}), ("SGD", {"foreach": True}), ("SGD", {"fused": True}), ("Adam", {"fused": True})):
    try:
        said = after_two_steps(name, options)
    except TypeError as error:
        said = type(error).__name__
    print(f"{name} {options}: {said}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: torch-fused-sgd-late-gradient"; exit 1; }
