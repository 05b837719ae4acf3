"""Data folders that this package writes: wholly there or not at all, with a manifest."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from trials.data.records import DataError


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` at the end and vanishes after an error.

    Raises `DataError` where `out` already holds something; nothing is ever written over.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: exists and is not an empty folder; choose another, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    growing = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield growing
        growing.chmod(0o755)  # mkdtemp's folders are their owner's alone
        growing.replace(out)
    finally:
        shutil.rmtree(growing, ignore_errors=True)


def write_manifest(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """`manifest.csv` with the columns of the first row."""
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
