"""What people call the parts of a published split, as folders or in a column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from trials.data.records import SPLITS

_PARTS = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "validate", "validating"), "valid"),
    **dict.fromkeys(("test", "testing", "tst", "ts"), "test"),
}
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
    """Which of `SPLITS` a name means, in any case: `Training`, `VAL`, `test_set`; None: none of them."""
    found = [word for word in _words(name) if word not in _BESIDE]
    bare = re.sub(r"(data)?sets?$|data$", "", found[0]) if len(found) == 1 else ""
    return _PARTS.get(bare)


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", apart.lower()) if word]


def parts_of(names: Iterable[str]) -> dict[str, str] | None:
    """Which of `SPLITS` each name means, where together they are these, one each; else None."""
    parts = {name: part_of(name) for name in names}
    known = {name: part for name, part in parts.items() if part}
    return known if sorted(known.values()) == sorted(SPLITS) and len(known) == len(parts) else None


def like_parts(names: Iterable[str]) -> bool:
    """Whether names seem to be of a split: several mean parts of one, or one means train beside others."""
    means = [part_of(name) for name in names]
    return len(means) - means.count(None) > 1 or ("train" in means and len(means) > 1)


def split_column(columns: Mapping[str, Sequence[str]]) -> str | None:
    """The heading of the column that names each image's part of a split; None: there is none.

    That is a column `split`, in any case and whatever its cells, or one of a heading like it whose cells are
    all parts.
    """
    plain = [name for name in columns if name.strip().lower() == "split"]
    named = [
        name for name in columns if (words := set(_words(name)) - {"data", "dataset"}) and words <= _COLUMNS
    ]
    told = [name for name in named if columns[name] and all(map(part_of, columns[name]))]
    return next(iter([*plain, *told]), None)
