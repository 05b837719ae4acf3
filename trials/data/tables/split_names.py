"""The names that people and files give to the parts of a published split; code uses only `SPLITS`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from trials.data.records import SPLITS

_NAMES = {
    "training": ("training", "train", "trn", "tr"),
    "validation": ("validation", "valid", "val", "validate", "validating"),
    "test": ("test", "testing", "tst", "ts"),
}
_PARTS = {name: part for part, names in _NAMES.items() for name in names}
# Short names, as in the files of PatchCamelyon; digests of data hash these.
SHORT = {"training": "train", "validation": "valid", "test": "test"}
_BESIDE = frozenset({
    *("set", "sets", "data", "dataset", "split", "splits", "subset", "part", "folder"),
    *("image", "images", "img", "imgs", "picture", "pictures", "file", "files"),
})  # fmt: skip
_COLUMNS = frozenset({"split", "splits", "set", "subset", "partition"})
WAY_OUT = (
    f"name the parts {', '.join(SPLITS)}, one each; where there is no validation set, move some training "
    "images, of whole patients, there; or take the split out, for folds"
)


def part_of(name: str) -> str | None:
    """Return which of `SPLITS` a name means, in any case: `Train`, `VAL`, `test_set`; None: none of them."""
    found = [word for word in _words(name) if word not in _BESIDE]
    bare = re.sub(r"(data)?sets?$|data$", "", found[0]) if len(found) == 1 else ""
    return _PARTS.get(bare)


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", apart.lower()) if word]


def parts_of(names: Iterable[str]) -> dict[str, str] | None:
    """Return which of `SPLITS` each name means, where together they are these, one each; else None."""
    parts = {name: part_of(name) for name in names}
    known = {name: part for name, part in parts.items() if part}
    return known if sorted(known.values()) == sorted(SPLITS) and len(known) == len(parts) else None


def like_parts(names: Iterable[str]) -> bool:
    """Return whether names seem to be of a split: several mean parts, or one of several means training."""
    means = [part_of(name) for name in names]
    return len(means) - means.count(None) > 1 or ("training" in means and len(means) > 1)


def split_column(columns: Mapping[str, Sequence[str]]) -> str | None:
    """Return the heading of the column that names each image's part of a split; None: there is none.

    It is a column `split`, in any case and with any cells, or one with a heading like it whose cells are all
    parts.
    """
    plain = [name for name in columns if name.strip().lower() == "split"]
    named = [
        name for name in columns if (words := set(_words(name)) - {"data", "dataset"}) and words <= _COLUMNS
    ]
    of_parts = [name for name in named if columns[name] and all(map(part_of, columns[name]))]
    return next(iter([*plain, *of_parts]), None)
