"""Publishing: the small files of finished runs, from which a report is made again without training.

Weights stay behind. What is copied names no place on this machine: runs know their data by name and digest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search_space.regular_files import read_file
from trials.errors import RunFolderError
from trials.files import below, write_atomically
from trials.runs.folder import is_done, read
from trials.runs.layout import (
    ARCHITECTURE,
    CANDIDATES,
    CELLS_SVG,
    EXTERNAL_PREDICTIONS,
    LATENCIES,
    METRICS,
    PREDICTIONS,
    RANKING,
    RECORD,
    RUN_FILE,
    SEARCH_FILE,
    VALIDATION_PREDICTIONS,
)

PUBLISHED = (
    *(RUN_FILE, METRICS, RECORD, PREDICTIONS, VALIDATION_PREDICTIONS, EXTERNAL_PREDICTIONS),
    *(SEARCH_FILE, ARCHITECTURE, CANDIDATES, RANKING, LATENCIES, CELLS_SVG),
)


def run_publish(runs: Path, out: Path) -> dict[str, Any]:
    """Copy the files `PUBLISHED` of the finished runs and searches below `runs` to the same places in `out`.

    Returns how many runs and bytes `out` now holds of them. What is there already is left as it is; raises
    `RunFolderError` where it differs, or where no run has come to its end, `DamagedError` for a file that is
    not as its run has left it, and `LinkError` for a link that leads out of either folder, before anything is
    written.
    """
    if not runs.is_dir():
        raise RunFolderError(f"{runs}: no such folder; name the output folder of runs")
    if out.resolve().is_relative_to(runs.resolve()):
        raise RunFolderError(
            f"{out}: lies in {runs}, whose runs it is to hold copies of; name a folder elsewhere"
        )
    states = [state.parent for state in sorted(runs.rglob(RUN_FILE)) if is_done(state.parent)]
    folders = [
        folder for folder in states if any((folder / name).is_file() for name in (METRICS, SEARCH_FILE))
    ]
    if not folders:
        raise RunFolderError(f"{runs}: no finished run there; finish one, or name the folder above the runs")
    files = [folder / name for folder in folders for name in PUBLISHED if (folder / name).is_file()]
    contents = {below(out, out / file.relative_to(runs)): read(below(runs, file)) for file in files}
    for target, content in contents.items():
        if target.exists() and read_file(target) != content:
            raise RunFolderError(
                f"{target}: differs from {runs / target.relative_to(out)}; remove the folder of that run "
                "there, or name another one"
            )
    for target, content in contents.items():
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content)
    return {"out": str(out), "runs": len(folders), "bytes": sum(map(len, contents.values()))}
