"""How `verify` grows with the number of images: python -m benchmarks.speed.verify [--before CHECKOUT]

CPU seconds and peak memory of `lesion-nas verify` on folders of made-up images that name no groups, so that
near-duplicates are searched for; a tenth of the images are copies, moved and saved as JPEG. With --before the
middle size also by an older checkout of this repository, in the same environment, in as many rounds as
--rounds says: 16,000 images took it minutes.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measure import ROOT, median_and_range, ratio, row, save
from benchmarks.speed.growth import slope
from benchmarks.speed.start import used

SIZES = (4000, 16_000, 64_000)
SIDE = 64
COPIED = 10  # one of so many is a copy of the image before it
ROUNDS = 5
BEFORE = "before"
Figures = Mapping[str, Sequence[float]]


def make_images(folder: Path, count: int) -> None:
    """Write `count` images of two classes, uint8 [64, 64], as PNG."""
    random = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (folder / name).mkdir(parents=True)
    image = _image(random)
    for number in range(count):
        copied = number % COPIED == COPIED - 1
        image = _as_jpeg(np.rot90(image, random.integers(4))) if copied else _image(random)
        name = "benign" if number < count // 2 else "malignant"
        Image.fromarray(image).save(folder / name / f"{number:06d}.png", compress_level=1)


def _image(random: np.random.Generator) -> np.ndarray:
    coarse = Image.fromarray(random.integers(30, 226, (7, 7), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
    return np.clip(smooth + random.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)


def _as_jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def measured(
    folders: Mapping[int, Path], before: Path | None, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return CPU seconds and peak MB of every size in each round, the sizes taking turns."""
    middle = list(folders)[len(folders) // 2]
    runs = [(str(size), folder, ROOT) for size, folder in folders.items()]
    runs += [(BEFORE, folders[middle], before)] if before else []
    seconds: dict[str, list[float]] = {name: [] for name, _, _ in runs}
    memory: dict[str, list[float]] = {name: [] for name, _, _ in runs}
    for _ in range(rounds):
        for name, folder, code in runs:
            found = used([sys.executable, "-m", "trials.cli", "verify", "."], folder, code)
            seconds[name].append(found[0])
            memory[name].append(found[1])
    return seconds, memory


def rows(seconds: Figures, memory: Figures) -> list[dict[str, Any]]:
    """Return the exponent of time, the memory an image, and what was gained on the middle size."""
    sizes = sorted(int(name) for name in seconds if name != BEFORE)
    names = [str(size) for size in sizes]
    grown = median_and_range(
        slope(sizes, turn) for turn in zip(*(seconds[name] for name in names), strict=True)
    )
    span = sizes[-1] - sizes[0]
    kept = median_and_range(
        1000 * (most - least) / span - SIDE**2 / 1000
        for least, most in zip(memory[names[0]], memory[names[-1]], strict=True)
    )
    found = [
        row("growth of verify with images: exponent of time", grown, "", "<= 1.15", grown["median"] <= 1.15),
        row("memory of verify an image, beyond its pixels", kept, "kB", "<= 1", kept["median"] <= 1),
    ]
    middle = names[len(names) // 2]
    if BEFORE in seconds:
        gain = ratio(seconds, BEFORE, middle)
        question = f"verify of {int(middle):,} images: before / now"
        found.append(row(question, gain, "times", ">= 20", gain["median"] >= 20))
    return [*found, row(f"verify of {sizes[-1]:,} images", median_and_range(seconds[names[-1]]), "s")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="an older checkout to compare with")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = {size: Path(name) / str(size) for size in SIZES}
        for size, folder in folders.items():
            make_images(folder, size)
        seconds, memory = measured(folders, options.before and options.before.absolute(), options.rounds)
    save("verify", rows(seconds, memory), "python -m benchmarks.speed.verify", timings=seconds, memory=memory)


if __name__ == "__main__":
    main()
