"""The interface of a reader: one data format, one file, one `Reader` beside its code.

`choose.py` lists the readers and adds those of other packages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trials.data.records import Listing


@dataclass(frozen=True)
class Options:
    """What a user may say about a data set.

    `group_column` names the column that keeps images together, `none` or `folder` (`columns.py`);
    `classes` names the label numbers 0, 1, ...; `frames` asks for whole frames where masks mark lesions.
    """

    group_column: str | None = None
    classes: Sequence[str] | None = None
    frames: bool = False


@dataclass(frozen=True)
class Reader:
    """A data format.

    `expects` describes it in messages: "a folder with manifest.csv". `holds(path)` returns whether an
    existing file or folder is of this format, without reading much. `read(path, options)` lists the images,
    decodes none, and raises `DataError` where nothing can be listed. A reader without `group_columns`,
    `class_names` or `masks`, by which it cuts, is not given these options: setting them is an error.
    """

    name: str
    expects: str
    holds: Callable[[Path], bool]
    read: Callable[[Path, Options], Listing]
    group_columns: bool = False
    class_names: bool = False
    masks: bool = False
