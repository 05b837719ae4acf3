"""A balanced draw: the same number of images of every class, as Ahmed, Du and AlZoubi (MIDL 2020) have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trials.data.dataset import LesionData
from trials.data.records import LeftOut
from trials.errors import DataError

REASON = "not drawn: the settings ask for as many images of every class"


def draw_balanced(data: LesionData, per_class: int, seed: int) -> LesionData:
    """Return the data with `per_class` images of every class, or as many as the smallest class has.

    The others go to `left_out`. `digest` stays that of the whole set, within which group names have their
    meaning. Raises `DataError` for data with a split of their own.
    """
    if data.splits is not None:
        raise DataError(f"{data.root}: a draw would change the data's own split; set data.balanced_draw=null")
    count = min(per_class, int(np.bincount(data.labels).min()))
    generator = np.random.default_rng(seed)
    classes = [np.flatnonzero(data.labels == label) for label in range(len(data.classes))]
    drawn = np.concatenate([generator.choice(members, count, replace=False) for members in classes])
    kept = np.sort(drawn).tolist()
    left = sorted(set(range(len(data.files))) - set(kept))
    return replace(
        data,
        files=tuple(data.files[i] for i in kept),
        images=tuple(data.images[i] for i in kept),
        labels=data.labels[kept],
        groups=tuple(data.groups[i] for i in kept),
        image_digests=tuple(data.image_digests[i] for i in kept),
        copy_digests=tuple(data.copy_digests[i] for i in kept),
        table={name: tuple(cells[i] for i in kept) for name, cells in data.table.items()},
        left_out=data.left_out
        + tuple(LeftOut(data.files[i], data.classes[data.labels[i]], data.groups[i], REASON) for i in left),
    )
