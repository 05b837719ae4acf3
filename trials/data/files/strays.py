"""Tell images in a folder from what is skipped: hidden and stray folders, other files, our own output.

Rules of ours.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from trials.data.files.dicom import is_dicom
from trials.data.files.image_file import SUFFIXES
from trials.nni_host.paths import LAUNCH_LOCK
from trials.runs.layout import MAPS, METADATA, RUN_FILE

# Folders of copies, thumbnails and deleted files, by the casefolded name; hidden names besides.
STRAYS = frozenset({
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp"),  # storage servers
    *("__macosx", "temporary items", "network trash folder"),  # macOS
    *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),  # Windows
    *("lost+found", "thumbs", "thumbnails", "__pycache__"),
})  # fmt: skip
# What marks a folder of ours: a JSON file with this key.
_OUTPUTS = {RUN_FILE: "identity", MAPS: "explanations", METADATA: "network_data_format"}
_PREPARED = ("manifest.csv", "source_sha256")  # and the column that only `prepare` writes
_INDEX = "DICOMDIR"  # of a DICOM medium: a DICOM file without a picture


def is_stray(name: str) -> bool:
    """Return whether a folder of this name is none of the user's."""
    return name.startswith(".") or name.casefold() in STRAYS


def is_image(path: Path) -> bool:
    """Return whether a file is an image by its suffix, or DICOM without one (numbers look like suffixes)."""
    if path.suffix.lower() in SUFFIXES:
        return True
    bare = (not path.suffix or path.suffix[1:].isdigit()) and path.name.upper() != _INDEX
    try:
        return bare and path.is_file() and is_dicom(path)
    except OSError:
        return False


def holds_images(folder: Path) -> bool:
    """Return whether an image lies somewhere below a folder, or a link may lead to one."""
    if not folder.is_dir() or is_stray(folder.name) or is_output(folder):
        return False
    if folder.is_symlink():
        return True
    children = sorted(folder.iterdir())
    return any(is_image(child) for child in children) or any(map(holds_images, children))


def is_output(folder: Path) -> bool:
    """Return whether this package wrote the folder."""
    if (folder / LAUNCH_LOCK).exists() or any(_holds(folder / name, key) for name, key in _OUTPUTS.items()):
        return True
    manifest = folder / _PREPARED[0]
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as lines:
            return _PREPARED[1] in next(csv.reader(lines), ())
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def _holds(path: Path, key: str) -> bool:
    try:
        value = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and key in value
