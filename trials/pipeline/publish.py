"""Publishing: finished runs as two small tables, from which a report is made again without training.

Weights stay behind. The tables name no place on this machine: runs know their data by name and digest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search_space.regular_files import read_file
from trials.errors import RunFolderError
from trials.files import below, write_atomically
from trials.runs.collect import collect
from trials.runs.layout import (
    ARCHITECTURE,
    EXTERNAL_PREDICTIONS,
    METRICS,
    PREDICTIONS,
    RECORD,
    RUN_FILE,
    SEARCH_FILE,
    VALIDATION_PREDICTIONS,
)
from trials.runs.published import tables_of

_READ = (
    *(RUN_FILE, METRICS, RECORD, PREDICTIONS, VALIDATION_PREDICTIONS, EXTERNAL_PREDICTIONS),
    *(SEARCH_FILE, ARCHITECTURE),
)


def run_publish(places: Sequence[Path], out: Path) -> dict[str, Any]:
    """Write the finished runs and searches at or below `places` to `out`, as two tables.

    Returns how many runs and bytes `out` now holds. Tables that are there already must be the same: raises
    `RunFolderError` where they differ, or where no run has come to its end, `DamagedError` for a file that is
    not as its run has left it, and `LinkError` for a link that leads out of any of the folders, before
    anything is written.
    """
    places = [place.absolute() for place in places]  # their common folder is looked for
    for place in places:
        _check_place(place, out)
    found = collect(places)
    if not found.runs:
        names = ", ".join(map(str, places))
        raise RunFolderError(f"{names}: no finished run there; finish one, or name the folder above the runs")
    root = places[0] if len(places) == 1 else Path(os.path.commonpath(places))
    contents = {below(out, out / name): content for name, content in tables_of(found, root).items()}
    for target, content in contents.items():
        if target.exists() and read_file(target) != content:
            raise RunFolderError(f"{target}: holds other runs; remove it, or name another folder")
    out.mkdir(parents=True, exist_ok=True)
    for target, content in contents.items():
        write_atomically(target, content)
    return {"out": str(out), "runs": len(found.runs), "bytes": sum(map(len, contents.values()))}


def _check_place(place: Path, out: Path) -> None:
    if not place.is_dir():
        raise RunFolderError(f"{place}: no such folder; name the output folder of runs")
    if out.resolve().is_relative_to(place.resolve()):
        raise RunFolderError(f"{out}: lies in {place}, whose runs it is to publish; name a folder elsewhere")
    for name in _READ:
        for file in place.rglob(name):
            below(place, file)
