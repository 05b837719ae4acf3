"""Write predictions as a CSV file with a row an image."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # of an image: its file and the columns below
COLUMNS = ("file", "probability", "log_odds", "std_over_views", "std_over_models", "called_positive")


@contextmanager
def new_table(path: Path | None) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Yield a function that writes rows to a new CSV file at once; None: it does nothing.

    The file stays after an error, if it has rows. Raises FileExistsError for a file that is there.
    """
    if path is None:
        yield lambda rows: None
        return
    with path.open("x", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()

        def write(rows: Sequence[Row]) -> None:
            writer.writerows(row | {"called_positive": int(row["called_positive"])} for row in rows)
            file.flush()

        head = file.tell()
        try:
            yield write
        except BaseException:
            if file.tell() == head:
                path.unlink(missing_ok=True)
            raise
