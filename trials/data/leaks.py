"""No image that trained or chose a model may test it.

A run records what it has seen: digests of the images' pixels, as they are and in any pose, hashes by which
pictures that were saved anew are found, and groups, which have a meaning within one data set only.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trials.data.dataset import LesionData
from trials.data.duplicates import copies, copies_by_hash, copy_hashes
from trials.errors import LeakError
from trials.runs.folder import read_json
from trials.runs.layout import SEARCH_FILE


def seen(data: LesionData, indices: np.ndarray) -> dict[str, Any]:
    """Return, as JSON values, what a run that trains on and chooses by the images at `indices` has seen."""
    return {
        "data_digest": data.digest,
        "groups": sorted({data.groups[index] for index in indices}),
        "image_digests": sorted({data.image_digests[index] for index in indices}),
        "copy_digests": sorted({data.copy_digests[index] for index in indices}),
    }


def hashes_of(data: LesionData, indices: np.ndarray) -> dict[str, Any]:
    """Return, as JSON values, the hashes of the images at `indices`: what makes a record of `seen` whole."""
    signs = copy_hashes([data.images[index] for index in indices])
    bits = np.packbits(np.concatenate([signs > 0, signs < 0], axis=1), axis=1)
    return {"copy_hashes": sorted({base64.b64encode(row.tobytes()).decode() for row in bits})}


def _signs(hashes: Sequence[str]) -> np.ndarray:
    """Return the signs int8 [n, 312] of `hashes_of`."""
    rows = np.frombuffer(b"".join(map(base64.b64decode, hashes)), np.uint8).reshape(len(hashes), -1)
    rising, falling = np.split(np.unpackbits(rows, axis=1).astype(np.int8), 2, axis=1)
    return rising - falling


def refuse_overlap(
    record: Mapping[str, Any],
    data: LesionData,
    test: np.ndarray,
    what: str,
    way_out: str,
    *,
    part: str = "test",
) -> None:
    """Raise `LeakError`, which names examples, if any test image or its group is in the record of `seen`.

    Of other data also if it is one of its pictures, saved anew: within one data set its split sees to that.
    Records of older runs have no hashes to tell by. What a record has `seen_before`, of what it started from,
    counts too. `part` is what the images are called.
    """
    for before in record.get("seen_before") or ():
        refuse_overlap(before, data, test, f"what {what} started from", way_out, part=part)
    digests = {*record["image_digests"], *record["copy_digests"]}
    groups = set(record["groups"])
    same_data = record["data_digest"] == data.digest
    again = set() if same_data else _again(record.get("copy_hashes") or (), data, test)
    found = [
        data.files[index]
        for index in test
        if {data.image_digests[index], data.copy_digests[index]} & digests
        or (same_data and data.groups[index] in groups)
        or index in again
    ]
    if found:
        raise LeakError(
            f"{what} has seen {len(found)} of the {len(test)} {part} images or others of their groups "
            f"({', '.join(found[:3])}{', ...' if len(found) > 3 else ''}); {way_out}"
        )


def other_data(before: Iterable[Mapping[str, Any]], data: LesionData) -> list[str]:
    """Return the names of the other data sets that records of `seen_before` are of."""
    found = []
    for record in before:
        found += [record["name"]] if record["data_digest"] != data.digest else []
        found += other_data(record.get("seen_before") or (), data)
    return list(dict.fromkeys(found))


def _again(hashes: Sequence[str], data: LesionData, test: np.ndarray) -> set[int]:
    """Return which of the images at `test` are pictures of these hashes."""
    if not hashes or not len(test):
        return set()
    found = copies_by_hash(copy_hashes([data.images[index] for index in test]), _signs(hashes))
    return {int(test[i]) for i, _ in found}


def refuse_copies(
    data: LesionData, indices: np.ndarray, tested: LesionData, test: np.ndarray, way_out: str
) -> None:
    """Raise `LeakError` where a test image is a picture among those at `indices`, under whatever name.

    Pictures are compared by a perceptual hash, so that saving one anew does not hide it.
    """
    found = copies([tested.images[i] for i in test], [data.images[i] for i in indices])
    if found:
        examples = (f"{tested.files[test[i]]} = {data.files[indices[j]]}" for i, j in found[:3])
        raise LeakError(
            f"{len({i for i, _ in found})} of the {len(test)} test images of {tested.name} are copies of "
            f"images to be trained on or chosen by ({', '.join(examples)}); {way_out}"
        )


def read_search_record(architecture: Path) -> dict[str, Any] | None:
    """Return what the search that wrote `architecture` has seen; None where no `search.json` lies beside it.

    Raises `LeakError` for a `search.json` without that record: it says that a search was made, not on what.
    """
    path = architecture.with_name(SEARCH_FILE)
    if not path.exists():
        return None
    search: dict[str, Any] = read_json(path)
    record = {"data_digest": search.get("data_digest"), **(search.get("seen") or {})}
    lists = all(isinstance(record.get(name), list) for name in _RECORD)
    if not lists or not isinstance(record["data_digest"], str):
        raise LeakError(
            f"{path}: does not say what the search has seen (data_digest, and {', '.join(_RECORD)} of seen); "
            "repeat the search, or copy the architecture elsewhere to use it as one of unknown origin"
        )
    return record


_RECORD = ("groups", "image_digests", "copy_digests")
