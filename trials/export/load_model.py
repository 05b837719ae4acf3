"""Use the model in this folder: `python load_model.py IMAGE...` prints what it says of crops of lesions.

Needs Python 3.10, torch 2.4, numpy, pillow and safetensors, or newer ones. Nothing is unpickled: weights come
from `model.safetensors`, and `network.py` is the network, written out as plain PyTorch. For research, not for
clinical use.
"""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
LONGEST_SIDE = 512  # larger images are reduced to this first, as they were for training
BICUBIC = Image.Resampling.BICUBIC
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")  # others may be programs, such as PostScript


def facts() -> dict[str, Any]:
    """Return what the network expects and how it decides."""
    known: dict[str, Any] = json.loads((HERE / "metadata.json").read_text(encoding="utf-8"))["model"]
    return known


def square(path: str | Path) -> np.ndarray:
    """Read an image file as the network wants it: uint8 [channels, side, side]."""
    card, image = facts(), _eight_bits(Image.open(path, formats=FORMATS))
    side = card["image_size"]
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), BICUBIC)
    image = image.convert("RGB" if card["channels"] == 3 else "L")
    width, height = side, side
    if card["fit"] == "pad":  # keeps the proportions; the rest stays black
        scale = side / max(image.size)
        width, height = (max(1, round(length * scale)) for length in image.size)
    if card["fit"] == "centre":  # at native resolution; the rest is cut off
        width, height = image.size
        if min(image.size) < side:
            raise ValueError(f"{path}: {width}x{height} pixels, which have no centre of {side}x{side}")
    canvas = Image.new(image.mode, (side, side))
    corner = int((side - width) / 2), int((side - height) / 2)  # to zero, half a pixel up and left
    canvas.paste(image.resize((width, height), BICUBIC), corner)
    return np.asarray(canvas).reshape(side, side, -1).transpose(2, 0, 1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Map 16-bit grey linearly to 8 bits, 255 for the largest value of 8, 12 or 16 bits; drop alpha."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        depth = next(bits for bits in (8, 12, 16) if values.max() < 2**bits)
        return Image.fromarray(np.round(values * (255 / (2**depth - 1))).astype(np.uint8))
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def predict(paths: list[str]) -> list[dict[str, Any]]:
    """Return for each image the probability of the positive class, the calibrated one, and the call."""
    import torch  # `square` alone serves other runtimes too
    from safetensors.torch import load_file

    card, network = facts(), runpy.run_path(str(HERE / "network.py"))["network"]
    weights = load_file(HERE / "model.safetensors")
    with torch.inference_mode():
        probabilities, calibrated = network(torch.tensor(np.stack([square(path) for path in paths])), weights)
    given = probabilities[:, card["classes"].index(card["positive"])].tolist()
    return [
        {"file": path, "probability": p, "calibrated": c, "called_positive": p >= card["threshold"]}
        for path, p, c in zip(paths, given, calibrated.tolist(), strict=True)
    ]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python load_model.py IMAGE...")
    print(json.dumps(predict(sys.argv[1:]), indent=2, allow_nan=False))
