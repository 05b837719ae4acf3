"""Verify a data set: list all that forbids its use, and all that readers of results should know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Unpack

import numpy as np

from trials.data.covariates import coding_of
from trials.data.dataset import LesionData
from trials.data.duplicates import near_duplicates
from trials.data.files.paths import some
from trials.data.folds import OWN_SPLIT, check_folds, group_shortages
from trials.data.load import Reading, examine
from trials.data.records import LeftOut
from trials.errors import DataError
from trials.evaluation.power import outlook

NO_FOLDS = "not assigned"
SHOWN = 20  # lines of one kind, or files in a line, in the text; the dictionary has all
FEW_CLASSES = 4  # of more the text says the extremes alone; ours


@dataclass(frozen=True)
class Report:
    """The result of `verify`. `problems` forbid the use of the data, `warnings` do not."""

    path: str
    layout: str
    group_source: str
    fold_source: str
    digest: str
    counts: dict[str, object]
    left_out: tuple[LeftOut, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the data can be used."""
        return not self.problems

    def to_dict(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        return {"ok": self.ok, **asdict(self)}

    def text(self) -> str:
        """Return all of it as text, long lists cut after `SHOWN` lines."""
        lines = [f"{self.path}: {self.layout or 'unreadable'}"]
        if self.layout:
            lines += [f"groups from {self.group_source}, folds {self.fold_source}, digest {self.digest}"]
            lines += [f"{name}: {_in_words(value)}" for name, value in self.counts.items()]
        for kind, found in (("warning", self.warnings), ("problem", self.problems)):
            lines += [f"{kind}: {line}" for line in found[:SHOWN]]
            lines += [f"... and {len(found) - SHOWN} more {kind}s"] if len(found) > SHOWN else []
        return "\n".join([*lines, "fit for use" if self.ok else "not fit for use"])


def verify(path: str | Path, *, folds: int = 5, **options: Unpack[Reading]) -> Report:
    """Read and check a data set without raising; options as of `load.load`."""
    examined, accept = examine(path, **options), options.get("accept", ())
    data, problems = examined.data, list(examined.problems)
    if data is None:
        return Report(str(path), "", "", "", "", {}, (), tuple(problems), ())
    source, of_folds, fold_problems = _check_folds(data, folds, accept, assign=not problems)
    kinds, uncodable = _coded(data)
    problems += [*fold_problems, *uncodable]
    warnings = [*_left_out(data), *of_folds, *data.notes, *_leaks(data)]
    return Report(
        str(path),
        data.layout,
        data.group_source,
        source,
        data.digest,
        _counts(data) | ({"covariates": kinds} if kinds else {}),
        data.left_out,
        tuple(problems),
        tuple(warnings),
    )


def _check_folds(
    data: LesionData, folds: int, accept: Sequence[str], *, assign: bool
) -> tuple[str, list[str], list[str]]:
    """Return where folds come from, and notes and problems; unless `assign`, only groups are counted."""
    if data.splits is not None:
        return OWN_SPLIT, [], []
    if not assign:
        return NO_FOLDS, [], list(group_shortages(data, folds))
    try:
        source, notes = check_folds(data, folds, accept)
    except DataError as error:
        return NO_FOLDS, [], str(error).splitlines()
    return source, list(notes), []


def _counts(data: LesionData) -> dict[str, object]:
    labels = Counter(data.labels.tolist())
    return {
        "images": len(data.files),
        "classes": {name: labels[index] for index, name in enumerate(data.classes)},
        **({"split": dict(Counter(data.splits))} if data.splits else {}),
        "groups": len(set(data.groups)),
        "left out": len(data.left_out),
        "colour images": sum(image.ndim == 3 for image in data.images),
        "smallest AUC difference that a comparison can show": smallest_difference(data),
    }


def smallest_difference(data: LesionData) -> dict[str, object]:
    """Return `outlook` of the images that are tested on; of more than two classes of each."""
    labels = np.array(data.classes)[data.labels[data.tested]]
    groups = np.array(data.groups)[data.tested]
    if data.known.are_two:
        return dict(outlook(labels == data.positive, groups))  # which may be no class: a problem of its own
    return {name: outlook(labels == name, groups) for name in data.classes}


def _in_words(count: object) -> str:
    if not isinstance(count, Mapping):
        return str(count)
    nested = any(isinstance(value, Mapping) for value in count.values())
    if nested and len(count) > FEW_CLASSES:
        return _extremes(count)
    between, after = ("; ", ":") if nested else (", ", "")
    return between.join(f"{name}{after} {_in_words(value)}" for name, value in count.items())


def _extremes(differences: Mapping[str, Mapping[str, object]]) -> str:
    """Say those of the classes that can show the least and the most; the JSON has all."""

    def size(name: str) -> float:
        gap = differences[name]["groups"]
        return gap if isinstance(gap, float) else float("inf")

    ordered = sorted(differences, key=size)
    shown = [f"{name}: {_in_words(differences[name])}" for name in (ordered[0], ordered[-1])]
    return f"from {' to '.join(shown)}, of {len(ordered)} classes"


def _coded(data: LesionData) -> tuple[dict[str, str], list[str]]:
    """Return whether each covariate is a number or a category, and problems of those that teach nothing."""
    try:
        coding = coding_of(data, np.arange(len(data.files)))
    except DataError as error:
        return {}, str(error).splitlines()
    return {column.name: column.kind for column in (coding.columns if coding else ())}, []


def _left_out(data: LesionData) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for item in data.left_out:
        groups.setdefault((item.reason, item.group), []).append(item.file)
    return [
        f"left out, {reason}: {f'group {group}: ' if group else ''}{some(files, SHOWN)} ({len(files)} images)"
        for (reason, group), files in groups.items()
    ]


def _leaks(data: LesionData) -> list[str]:
    """Return near-duplicates in different groups of the data: a split may put them on both sides."""
    if not data.group_source.startswith("column"):
        return []
    return [
        f"near-duplicates in groups {data.groups[i]} and {data.groups[j]}: {data.files[i]}, {data.files[j]}"
        for i, j in near_duplicates(data.images)
        if data.groups[i] != data.groups[j]
    ]
