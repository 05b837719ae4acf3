"""Use the model in this folder: `python load_model.py IMAGE...` prints its predictions of lesion images.

A model that takes covariates, which README.md says, needs a table of them too, `--covariates TABLE.csv`,
unless they are the images' own size.

Needs Python 3.10, torch 2.4, numpy, pillow and safetensors, or newer ones. Nothing is unpickled: weights come
from `model.safetensors`, and `network.py` is the network, written out as plain PyTorch. For research, not for
clinical use.
"""

import csv
import json
import math
import re
import runpy
import sys
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
LONGEST_SIDE = 512  # larger images are reduced to this first, as they were for training
BICUBIC = Image.Resampling.BICUBIC
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")  # others may be programs, such as PostScript
AS_STORED = dict(enumerate(map(Image.Transpose, (0, 3, 1, 5, 2, 6, 4)), 2))  # what undoes an orientation


def facts() -> dict[str, Any]:
    """Return what the network expects and how it decides."""
    known: dict[str, Any] = json.loads((HERE / "metadata.json").read_text(encoding="utf-8"))["model"]
    return known


def squares() -> dict[str, dict[str, Any]]:
    """Return which squares of an image the network wants, by the names of its inputs: side, fit, channels."""
    card = facts()
    known: dict[str, dict[str, Any]] = card.get("squares", {"images": card})
    return known


def square(path: str | Path, name: str = "images") -> np.ndarray:
    """Read an image file as the network wants it, as the input `name`: uint8 [channels, side, side].

    Raises ValueError, which names the file, for several pictures, 16 bits in colour, 8 with a sign, values
    from 2^31, and values that are mostly beyond those that the network was trained on. Warns where more than
    a few are.
    """
    card = squares()[name]
    image, side = _eight_bits(_opened(path), path, facts()["grey_range"]), card["image_size"]
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
    _refuse_loss(image, path)
    tags, turned = getattr(image, "tag_v2", {}), image.getexif().get(274) if image.format == "TIFF" else None
    image.filename = ""  # Pillow turns a TIFF by its orientation, and reads one that it maps by the new sides
    image.load()
    if tags.get(258) == (32,) and 2 not in tags.get(339, ()) and np.asarray(image).min() < 0:
        raise ValueError(f"{path}: values of 2147483648 or more; save it with 16 bits")
    image.info["inverted"] = tags.get(262) == 0  # a TIFF whose 0 is white; Pillow inverts bytes only
    loaded = image.convert("LA") if image.mode == "La" else image
    return loaded.transpose(AS_STORED[turned]) if turned in AS_STORED else loaded


def _refuse_loss(image: Any, path: str | Path) -> None:
    """Raise ValueError for pixels that Pillow reads as fewer bits, or without their sign."""
    if image.mode == "F":
        raise ValueError(f"{path}: floating-point pixels have no fixed range; save it with 8 or 16 bits")
    tags, args = getattr(image, "tag_v2", {}), [tile.args for tile in image.tile]
    cut = ";16B" in str(args) if image.format == "PNG" else max(tags.get(258, (1,))) > 8
    if image.format == "PPM":
        cut = any(isinstance(one, tuple) and one[1] > 255 for one in args)
    if image.mode[0] != "I" and cut:
        raise ValueError(f"{path}: 16 bits a channel, in colour or with alpha; save it with 8 bits")
    if image.mode[0] != "I" and 2 in tags.get(339, ()):
        raise ValueError(f"{path}: 8 bits with a sign; save it with 8 bits from 0 to 255, or with 16")


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
    eight_bits = np.round(scaled).astype(np.uint8)
    return Image.fromarray(255 - eight_bits if image.info["inverted"] else eight_bits)


def read_cells(table: str | Path, paths: list[str]) -> list[dict[str, str]]:
    """Return the cells of each image by column, from a CSV file with a column `file` and the covariates.

    A row names its image by path, relative to the table or to the working directory, or by name. Raises
    ValueError for missing columns and images of several rows; warns of images without a row. What is the
    images' own size is measured where the table has neither width nor height.
    """
    with open(table, newline="", encoding="utf-8-sig") as lines:
        read = csv.DictReader(lines, restval="")
        head = [str(name).strip() for name in read.fieldnames or ()]
        rows = [dict(zip(head, (str(cell).strip() for cell in row.values()), strict=False)) for row in read]
    own = set() if {"width", "height"} & set(head) else _own()
    names = [name for name in dict.fromkeys(column["name"] for column in _columns()) if name not in own]
    sized = "ratio" in names and "ratio" not in head
    wanted = [name for name in names if not (sized and name == "ratio")] + ["width", "height"] * sized
    if absent := [name for name in ("file", *wanted) if name not in head]:
        raise ValueError(f"{table}: no column {', '.join(absent)}; its first line has {', '.join(head)}")
    if sized:
        rows = [{**row, "ratio": _ratio(row["width"], row["height"])} for row in rows]
    return [{**(_own_size(path) if own else {}), **_row(table, rows, path)} for path in paths]


def _row(table: str | Path, rows: list[dict[str, str]], path: str) -> dict[str, str]:
    starts = (Path(table).parent, Path())
    by_path = [row for row in rows if Path(path).resolve() in [(s / row["file"]).resolve() for s in starts]]
    found = by_path or [row for row in rows if Path(row["file"]).name == Path(path).name]
    if any(row != found[0] for row in found):
        raise ValueError(f"{table}: {len(found)} rows may be of {path}; name each image by its path, once")
    if not found:
        warnings.warn(f"{table}: no row of {path}; its covariates are taken as missing", stacklevel=3)
    return found[0] if found else {}


def _ratio(width: str, height: str) -> str:
    across, down = _number(width), _number(height)
    return str(across / down) if across and down else ""


def _columns() -> list[dict[str, Any]]:
    columns: list[dict[str, Any]] = (facts()["covariates"] or {"columns": []})["columns"]
    return columns


def code(cells: list[dict[str, str]]) -> np.ndarray:
    """Return the network's second input, float32 [n, d], of the cells of images by column.

    Numbers, or their logarithms, are standardised by the training images. A category has an input for each of
    its values. What has no cell that can be read is missing. Warns of cells unlike those of the training
    images, a sentence each (`notes`).
    """
    for note in notes(cells):
        warnings.warn(note, stacklevel=2)
    return np.array(
        [[value for column in _columns() for value in _coded(column, row)] for row in cells], dtype=np.float32
    )


def notes(cells: list[dict[str, str]]) -> list[str]:
    """Return a sentence for each column some of whose cells are unlike those of the training images."""
    return [
        f"covariate {column['name']}: {line}"
        for column in _columns()
        for line in _notes(column, [row.get(column["name"], "") for row in cells])
    ]


def _notes(column: dict[str, Any], cells: list[str]) -> list[str]:
    of, is_number = f"of {len(cells)} images", column["kind"] == "number"
    known = [cell for cell in cells if not _is_blank(cell)]
    lines = []
    if unknown := [cell for cell in known if not _knows(column, cell)]:
        kind = "cell that is no number" if is_number else "value that no training image has"
        shown = _some([repr(cell) for cell in dict.fromkeys(unknown)])
        lines.append(f"{len(unknown)} {of} have a {kind}, coded as missing ({shown})")
    if len(known) < len(cells) and not column["missing"]:
        coded = "an average one" if is_number else "none of the known ones"
        lines.append(
            f"{len(cells) - len(known)} {of} have none, which no training image lacks: taken for {coded}"
        )
    if beyond := [cell for cell in known if is_number and _is_beyond(column, cell)]:
        low, high = column["low"], column["high"]
        lines.append(
            f"{len(beyond)} {of} lie beyond the training images' {low:g} to {high:g} ({_some(beyond)})"
        )
    return lines


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:5]) + (", ..." if len(texts) > 5 else "")


def _knows(column: dict[str, Any], cell: str) -> bool:
    """Return whether a cell that is not blank can be coded."""
    if column["kind"] == "category":
        return _key(cell) in {_key(value) for value in column["values"]}
    value = _number(cell)
    return value is not None and (value > 0 or not column["log"])


def _is_beyond(column: dict[str, Any], cell: str) -> bool:
    return _knows(column, cell) and not column["low"] <= float(cell) <= column["high"]


def _coded(column: dict[str, Any], row: dict[str, str]) -> list[float]:
    cell = row.get(column["name"], "")
    if column["kind"] == "category":
        found = [float(_key(value) == _key(cell)) for value in column["values"]]
        return found + [float(not any(found))] * column["missing"]
    value = _number(cell)
    if value is None or (column["log"] and value <= 0):
        return [0.0, 1.0][: 1 + column["missing"]]
    scaled = math.log(value) if column["log"] else value
    return [(scaled - column["mean"]) / column["std"], 0.0][: 1 + column["missing"]]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= 1e15 else None


_FOR_NOTHING = """
    unknown unk unspecified undefined undetermined missing none null nil nan na n/a n.a. n.a #n/a nat
    anonymous anonymized anonymised notavailable notknown notgiven nodata notapplicable
"""


def _is_blank(cell: str) -> bool:
    """Return whether a cell is blank: empty, dashes, question marks, or a word such as `NA`."""
    text = "".join(_plain(cell).strip("()[]<>{}\"'").split())
    return text in _FOR_NOTHING.split() or not any(map(str.isalnum, text))


def _plain(cell: str) -> str:
    seen = "".join(letter for letter in cell if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", seen).casefold().strip()


def _key(cell: str) -> str:
    """Return what is the same for cells that differ by case or spaces, or as 3 and 3.0 do."""
    text = "".join(_plain(cell).split())
    whole = re.fullmatch(r"([+-]?\d+)(?:[.,]0*)?", text)
    return str(int(whole[1])) if whole else text


def predict(paths: list[str], cells: list[dict[str, str]] | None = None) -> list[dict[str, Any]]:
    """Return what the network says of image files, and which class each is called.

    `cells` are the covariates of each image by column, as of `read_cells`, where the model takes some.

    Of two classes: the probability, calibrated probability and log odds of the positive one. Of more, by the
    classes' names: the probabilities, calibrated probabilities and log probabilities. Raises ValueError where
    the network gives no finite number, and where covariates are not given, or have no use. Those that are
    the images' own size need not be given.
    """
    import torch  # other runtimes need only `square`
    from safetensors.torch import load_file

    if not paths:
        return []
    card, network = facts(), runpy.run_path(str(HERE / "network.py"))["network"]
    if cells is None and _own() and all(column["name"] in _own() for column in _columns()):
        cells = [_own_size(path) for path in paths]
    _refuse_cells(len(paths), cells)
    weights = load_file(HERE / "model.safetensors")
    with torch.inference_mode():
        given = [torch.tensor(np.stack([square(path, name) for path in paths])) for name in squares()]
        given += [] if cells is None else [torch.from_numpy(code(cells))]
        outputs = [output.double().numpy() for output in network(*given, weights)]
    for path, said in zip(paths, outputs[-1].reshape(len(paths), -1), strict=True):
        if not np.isfinite(said).all():
            raise ValueError(
                f"{HERE / 'model.safetensors'}: gives {said.tolist()} for {path}, expected finite numbers: "
                "the file is damaged; copy the folder again"
            )
    rows = _rows_of_two(card, *outputs) if len(card["classes"]) == 2 else _rows_of_more(card, *outputs)
    return [{"file": path, **row} for path, row in zip(paths, rows, strict=True)]


def _own() -> set[str]:
    """Return the columns that each image's own size tells."""
    return {column["name"] for column in _columns() if column.get("of_image")}


def _own_size(path: str | Path) -> dict[str, str]:
    """Return the cells of an image's width, height and ratio, in pixels."""
    width, height = map(str, _opened(path).size)
    return {"width": width, "height": height, "ratio": _ratio(width, height)}


def _refuse_cells(images: int, cells: list[dict[str, str]] | None) -> None:
    names = list(dict.fromkeys(column["name"] for column in _columns()))
    if names and cells is None:
        raise ValueError(
            f"the model takes {', '.join(names)} beside the images: give --covariates TABLE.csv, whose first "
            f"line is {','.join(('file', *names))}"
        )
    if cells is not None and (not names or len(cells) != images):
        raise ValueError(
            f"covariates of {len(cells)} images; the model takes {len(names)} of {images} images"
        )


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
    asked, table = sys.argv[1:], None
    if "--covariates" in asked[:-1]:
        at = asked.index("--covariates")
        table = asked[at + 1]
        del asked[at : at + 2]
    if not asked or asked[-1] == "--covariates":
        sys.exit("usage: python load_model.py [--covariates TABLE.csv] IMAGE...")
    try:
        given = None if table is None else read_cells(table, asked)
        print(json.dumps(predict(asked, given), indent=2, allow_nan=False))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
