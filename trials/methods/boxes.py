"""The size of a lesion's box as covariates of the classical methods, which users need not name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trials.data.covariates import OWN, Column, NumberColumn, number, of_image
from trials.data.dataset import LesionData
from trials.errors import DataError
from trials.settings.data import SIZE


def box_problems(data: LesionData) -> Iterator[str]:
    """Yield why the boxes of some of the images are not known."""
    if missing := [name for name in SIZE if name not in data.table]:
        yield (
            f"{data.root}: no column {' and '.join(missing)} in a table beside the images, and no masks: "
            "width and height of every lesion's box are needed"
        )
        return
    for name in OWN:
        for file, cell in zip(data.files, data.table[name], strict=True):
            if not (number(cell) or 0) > 0:
                yield (
                    f"{data.root}: {name} = {cell!r} of {file}: width and height of every lesion's box must "
                    "be numbers above 0"
                )


def refuse_without_boxes(data: LesionData) -> None:
    """Raise `DataError` where the box of an image is not known."""
    for problem in box_problems(data):
        raise DataError(problem)


def box_columns(data: LesionData, training: np.ndarray, *, log: bool) -> tuple[Column, ...]:
    """Return the coding of width, height and their ratio, or of the logarithms, by the images at `training`.

    Boxes of one size are no error, unlike covariates that a user names: one of three may tell nothing.
    """
    columns = []
    for name, cells in data.cells(training, OWN).items():
        values = np.array(cells, dtype=float)
        scaled = np.log(values) if log else values
        fitted = NumberColumn(
            name=name,
            log=log,
            mean=float(scaled.mean()),
            std=float(scaled.std()) or 1.0,
            low=float(values.min()),
            high=float(values.max()),
        )
        columns.append(of_image(fitted, data))
    return tuple(columns)
