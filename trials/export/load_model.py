"""Use the model in this folder: `python load_model.py IMAGE...` prints its predictions of lesion crops.

Needs Python 3.10, torch 2.4, numpy, pillow and safetensors, or newer ones. Nothing is unpickled: weights come
from `model.safetensors`, and `network.py` is the network, written out as plain PyTorch. For research, not for
clinical use.
"""

import json
import math
import re
import runpy
import sys
import warnings
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
    """Read an image file as the network wants it: uint8 [channels, side, side].

    Raises ValueError, which names the file, for several pictures, 16 bits in colour, and values that are
    mostly beyond those that the network was trained on. Warns where more than a few are.
    """
    card = facts()
    image, side = _eight_bits(_opened(path), path, card["grey_range"]), card["image_size"]
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), BICUBIC)
    image = image.convert("RGB" if card["channels"] == 3 else "L")
    width, height = side, side
    if card["fit"] == "pad":  # keeps the proportions; the rest stays black
        scale = side / max(image.size)
        width, height = (max(1, round(length * scale)) for length in image.size)
    if card["fit"] == "center_crop":  # at native resolution; the rest is cut off
        width, height = image.size
        if min(image.size) < side:
            raise ValueError(f"{path}: {width}x{height} pixels, too small for a center crop of {side}x{side}")
    canvas = Image.new(image.mode, (side, side))
    corner = int((side - width) / 2), int((side - height) / 2)  # to zero, half a pixel up and left
    canvas.paste(image.resize((width, height), BICUBIC), corner)
    return np.asarray(canvas).reshape(side, side, -1).transpose(2, 0, 1)


def _opened(path: str | Path) -> Image.Image:
    """Open a file of one picture; smaller copies of it in a TIFF and a camera's previews do not count."""
    image = Image.open(path, formats=FORMATS)
    pages = list(range(getattr(image, "n_frames", 1)))
    if len(pages) > 1 and image.format == "TIFF":
        pages = [page for page in pages if not _tag(image, 254, page) & 1]  # NewSubfileType: reduced
    if len(pages) != 1 and image.format != "MPO":
        raise ValueError(f"{path}: holds {len(pages)} pictures; save the one that shows the lesion best")
    image.seek(pages[0])
    if image.mode == "F":
        raise ValueError(f"{path}: floating-point pixels have no fixed range; save it with 8 or 16 bits")
    if image.mode[0] != "I" and any(re.search(";16[BLN]", str(tile.args)) for tile in image.tile):
        raise ValueError(f"{path}: 16 bits a channel, in colour or with alpha; save it with 8 bits")
    return image


def _tag(image: Any, number: int, page: int) -> int:
    image.seek(page)
    return int(image.tag_v2.get(number, 0))


def _eight_bits(image: Any, path: str | Path, known: list[float]) -> Image.Image:
    """Map grey of more than 8 bits linearly to bytes, by the range of the training images; drop alpha."""
    if image.mode[0] != "I":
        return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    values = np.asarray(image).astype(np.float64)
    low, middle, high = np.quantile(values, [0.005, 0.5, 0.995], method="inverted_cdf")
    said = f"{path}: values {low:g} to {high:g} exceed {known[0]:g} to {known[1]:g}, those trained on"
    if not known[0] <= middle <= known[1]:
        raise ValueError(f"{said}, by half and more; give images of that scale")
    if low < known[0] or high > known[1]:
        warnings.warn(f"{said}: what lies beyond is black or white", stacklevel=3)
    scaled = np.clip((values - known[0]) * (255 / (known[1] - known[0])), 0, 255)
    inverted = (
        getattr(image, "tag_v2", {}).get(262) == 0
    )  # a TIFF whose 0 is white; Pillow inverts bytes only
    eight_bits = np.round(scaled).astype(np.uint8)
    return Image.fromarray(255 - eight_bits if inverted else eight_bits)


def predict(paths: list[str]) -> list[dict[str, Any]]:
    """Return what the network says of image files, and which class each is called.

    Of two classes: the probability, calibrated probability and log odds of the positive one. Of more, by the
    classes' names: the probabilities, calibrated probabilities and log probabilities. Raises ValueError where
    the network gives no finite number.
    """
    import torch  # other runtimes need only `square`
    from safetensors.torch import load_file

    if not paths:
        return []
    card, network = facts(), runpy.run_path(str(HERE / "network.py"))["network"]
    weights = load_file(HERE / "model.safetensors")
    with torch.inference_mode():
        images = torch.tensor(np.stack([square(path) for path in paths]))
        outputs = [output.double().numpy() for output in network(images, weights)]
    for path, said in zip(paths, outputs[-1].reshape(len(paths), -1), strict=True):
        if not np.isfinite(said).all():
            raise ValueError(
                f"{HERE / 'model.safetensors'}: gives {said.tolist()} for {path}, expected finite numbers: "
                "the file is damaged; copy the folder again"
            )
    rows = _rows_of_two(card, *outputs) if len(card["classes"]) == 2 else _rows_of_more(card, *outputs)
    return [{"file": path, **row} for path, row in zip(paths, rows, strict=True)]


def _rows_of_two(
    card: dict[str, Any], probabilities: np.ndarray, calibrated: np.ndarray, log_odds: np.ndarray
) -> list[dict[str, Any]]:
    said = (probabilities[:, card["classes"].index(card["positive"])], calibrated, log_odds)
    called = log_odds >= card["threshold_log_odds"]
    keys = ("probability", "calibrated", "log_odds", "called_positive")
    rows = zip(*(values.tolist() for values in (*said, called)), strict=True)
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _rows_of_more(
    card: dict[str, Any], probabilities: np.ndarray, calibrated: np.ndarray, logits: np.ndarray
) -> list[dict[str, Any]]:
    classes = card["classes"]

    def by_name(values: np.ndarray) -> dict[str, float]:
        return dict(zip(classes, values.tolist(), strict=True))

    return [
        {
            "called": classes[index],
            "probabilities": by_name(p),
            "calibrated": by_name(c),
            "log_probabilities": by_name(o),
        }
        for index, p, c, o in zip(call(card, logits), probabilities, calibrated, logits, strict=True)
    ]


def call(card: dict[str, Any], logits: np.ndarray) -> np.ndarray:
    """Return the index of the class that each image is called [n], of log probabilities [n, classes].

    With costs the class of least expected cost, by calibrated probabilities; with a threshold its class where
    that class's log odds against all others reach it, and else the likeliest other one; with neither the
    likeliest class.
    """
    if card["costs"] is not None:
        scaled = logits / card["temperature"]
        shares = np.exp(scaled - scaled.max(1, keepdims=True))
        return (shares / shares.sum(1, keepdims=True) @ np.array(card["costs"])).argmin(1)
    if card["threshold"] is None:
        return logits.argmax(1)
    first = card["classes"].index(card["threshold_of"] or card["positive"])
    others = logits.astype(float)
    others[:, first] = -math.inf
    odds = logits[:, first] - np.logaddexp.reduce(others, axis=1)
    return np.where(odds >= card["threshold_log_odds"], first, others.argmax(1))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python load_model.py IMAGE...")
    try:
        print(json.dumps(predict(sys.argv[1:]), indent=2, allow_nan=False))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
