"""How a large set of patches is loaded and taken: python -m benchmarks.speed.patches [--patches N]

Made-up files of PatchCamelyon's form, contiguous and in gzip-compressed chunks of 64 patches, loaded twice by
new processes, of which the second finds what the first has kept: CPU seconds, bytes read from the disk, whose
cache is emptied of them before, and the memory of the process but for mapped files. Then steps of training on
them, as `patches_pretrained` takes batches: which share of a step's CPU seconds its batch takes. The
published training set has 262,144 patches; that many need 35 GB of disk, for the files, what is unpacked of
them, and both as the network takes them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from benchmarks.measure import ROOT, median_and_range, ratio, row, save
from trials.data.cache import FOLDER
from trials.data.readers.patch_camelyon import NAME

PATCHES, OTHERS = 8192, 256
SIDE, CHUNK = 96, 64
ROUNDS, STEPS, WARM = 5, 6, 2
LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (CHUNK, SIDE, SIDE, 3), "compression": "gzip", "compression_opts": 1},
}
LOAD = """
import json, sys, threading, time
from trials.data.load import load
def field(file, name):
    return int(next(line for line in open(file) if line.startswith(name)).split()[1])
most, over = 0, threading.Event()
def watch():
    global most
    while not over.wait(0.05):
        most = max(most, field("/proc/self/status", "RssAnon"))
watching = threading.Thread(target=watch)
watching.start()
start, read = time.process_time(), field("/proc/self/io", "read_bytes")
data = load(sys.argv[1], positive="1", group_column="none")
found = {"seconds": time.process_time() - start, "read": field("/proc/self/io", "read_bytes") - read}
over.set()
watching.join()
print(json.dumps(found | {"memory": most / 1000, "images": len(data.files)}))
"""
STEP = """
import json, sys, time
import numpy as np, timm, torch
from trials.data.inputs import Inputs
from trials.data.load import load
from trials.settings.load import load_settings
settings = load_settings("patches_pretrained", {"data.positive": "1"})
data = load(sys.argv[1], positive="1", group_column="none")
inputs = Inputs(data, settings.data, data.of_split("training"))
batches = iter(inputs.training(settings.retrain.batch_size, seed=0))
network = timm.create_model("efficientnet_lite0", num_classes=2)
shares = []
for _ in range(int(sys.argv[2])):
    start = time.process_time()
    images, labels = next(batches)
    taken = time.process_time()
    torch.nn.functional.cross_entropy(network(images), labels).backward()
    shares.append((taken - start) / (time.process_time() - start))
print(json.dumps(shares))
"""


def make_patches(folder: Path, count: int, options: Mapping[str, Any]) -> list[Path]:
    """Write so many training patches and `OTHERS` of each other part; return the files of pixels."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 25, 2**22, dtype=np.uint8)
    folder.mkdir(parents=True)
    paths = []
    for split, size in (("train", count), ("valid", OTHERS), ("test", OTHERS)):
        paths.append(folder / NAME.format(split=split, part="x"))
        with h5py.File(paths[-1], "w") as file:
            patches = file.create_dataset("x", (size, SIDE, SIDE, 3), np.uint8, **options)
            for start in range(0, size, CHUNK):
                some = min(CHUNK, size - start)
                patches[start : start + some] = [_patch(random, noise) for _ in range(some)]
        with h5py.File(folder / NAME.format(split=split, part="y"), "w") as file:
            file["y"] = (np.arange(size) % 2).astype(np.uint8).reshape(-1, 1, 1, 1)
    return paths


def _patch(random: np.random.Generator, noise: np.ndarray) -> np.ndarray:
    coarse = Image.fromarray(random.integers(80, 200, (6, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    start = random.integers(0, len(noise) - smooth.size)
    return smooth + noise[start : start + smooth.size].reshape(smooth.shape)


def child(code: str, *arguments: str) -> Any:
    """Run code in a process of its own; return the JSON that it prints last."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def forget(paths: Sequence[Path]) -> None:
    """Empty the disk's cache of files."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measured(
    folders: Mapping[str, tuple[Path, list[Path]]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Return what each loading took, the first of each layout and the next, by `LAYOUT, first` or `again`."""
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for layout, (folder, paths) in folders.items():
            with tempfile.TemporaryDirectory(dir=folder.parent) as cache:
                os.environ[FOLDER] = cache
                for turn in ("first", "again"):
                    forget(paths)
                    taken = child(LOAD, str(folder))
                    taken["read"] /= sum(path.stat().st_size for path in paths)
                    for name, value in taken.items():
                        found.setdefault(f"{layout}, {turn}", {}).setdefault(name, []).append(value)
    return found


def rows(
    found: Mapping[str, Mapping[str, list[float]]], shares: Mapping[str, list[float]]
) -> list[dict[str, Any]]:
    """Return the bytes read, the memory, what keeping gains, and the share of a step that its batch takes."""
    table = []
    for layout in LAYOUTS:
        first, again = found[f"{layout}, first"], found[f"{layout}, again"]
        named = f"{first['images'][0]:,} patches, {layout}"
        read, memory = median_and_range(first["read"]), median_and_range(first["memory"])
        gain = ratio({"first": first["seconds"], "again": again["seconds"]}, "first", "again")
        share = median_and_range(100 * one for one in shares[layout])
        table += [
            row(f"{named}: bytes read / bytes stored", read, "times", "<= 1.05", read["median"] <= 1.05),
            row(f"{named}: memory to load", memory, "MB", "<= 1000", memory["max"] <= 1000),
            row(f"{named}: to load", median_and_range(first["seconds"]), "s"),
            row(f"{named}: to load / to load again", gain, "times"),
            row(f"{named}: share of a step that its batch takes", share, "%", "<= 5", share["median"] <= 5),
        ]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patches", type=int, default=PATCHES, metavar="N", help="of training")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument(
        "--in", type=Path, dest="place", metavar="FOLDER", help="for all files, removed after"
    )
    options = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    shares: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=options.place) as name:
        root, folders = Path(name), {}
        for layout, stored in LAYOUTS.items():
            folders[layout] = root / layout, make_patches(root / layout, options.patches, stored)
        found = measured(folders, options.rounds)
        os.environ[FOLDER] = str(root / "cache")
        for layout, (folder, _) in folders.items():
            shares[layout] = child(STEP, str(folder), str(WARM + STEPS))[WARM:]
    save("patches", rows(found, shares), "python -m benchmarks.speed.patches", loads=found, shares=shares)


if __name__ == "__main__":
    main()
