"""Write predictions as a CSV file with a row an image."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trials.inference.prediction_rows import Row


@contextmanager
def new_table(path: Path | None) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Yield a function that writes rows to a new CSV file at once; None: it does nothing.

    The file stays after an error, if it has rows. Raises FileExistsError for a file that is there.
    """
    if path is None:
        yield lambda rows: None
        return
    with path.open("x", newline="", encoding="utf-8") as file:

        def write(rows: Sequence[Row]) -> None:
            if not rows:
                return
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            if not file.tell():
                writer.writeheader()
            writer.writerows(
                {key: int(value) if isinstance(value, bool) else value for key, value in row.items()}
                for row in rows
            )
            file.flush()

        try:
            yield write
        except BaseException:
            if not file.tell():
                path.unlink(missing_ok=True)
            raise
