"""Read the images of a run as its settings say: its own data set, and an external one."""

from __future__ import annotations

from pathlib import Path

from trials.data.dataset import LesionData, load
from trials.data.draw import draw_balanced
from trials.data.findings import findings, say
from trials.data.readers.medmnist import classes_elsewhere
from trials.errors import DataError
from trials.settings.schema import Settings


def load_data(path: str | Path, settings: Settings) -> LesionData:
    """Decode the data set at `path`, a folder or a file, drawn as the settings say.

    Raises `DataError` with every problem of data unfit for use, one a line.
    """
    options = settings.data
    data = load(
        path,
        positive=options.positive,
        group_column=options.group_column,
        classes=options.classes,
        duplicates=options.duplicates,
        accept=options.accept,
    )
    if options.balanced_draw is None:
        return data
    drawn = draw_balanced(data, options.balanced_draw, options.fold_seed)
    say(findings(drawn.left_out[len(data.left_out) :], ()))
    return drawn


def load_external(path: str | Path, settings: Settings, data: LesionData) -> LesionData:
    """Decode another data set at `path`, to test on it what was trained on `data`: same positive class and
    range of grey.

    Raises `DataError` as `load_data`, and for classes that `data` does not have.
    """
    options = settings.data
    external = load(
        path,
        positive=data.positive,
        classes=classes_elsewhere(Path(path), options.classes),
        duplicates=options.duplicates,
        group_column=options.external_group_column,
        accept=options.accept,
        grey_range=data.grey_range,
    )
    if unknown := sorted(set(external.classes) - set(data.classes)):
        raise DataError(f"{path}: holds {unknown[0]!r}, not one of {', '.join(data.classes)}")
    return external
