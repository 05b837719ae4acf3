"""Read the images of a data set: of any path, and of a run as its settings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from trials.data.assemble import assemble
from trials.data.covariates import table_of, unknown_columns
from trials.data.dataset import LesionData
from trials.data.decode import Decoded, decode_all
from trials.data.draw import draw_balanced
from trials.data.faults import excessive_shares, faults
from trials.data.files.decoding import in_one_range
from trials.data.files.grey_range import GreyRange
from trials.data.findings import ACCEPTABLE, findings, say
from trials.data.labels import label_notes, label_problems, misnamed, positive_class
from trials.data.masks.checks import like_masks
from trials.data.readers.base import Options
from trials.data.readers.choose import read
from trials.data.readers.medmnist import classes_elsewhere
from trials.data.records import Listing
from trials.data.tables.patient_folders import with_folder_groups
from trials.errors import DataError
from trials.runs.predictions import Classes
from trials.settings.data import DataSettings
from trials.settings.schema import Settings


@dataclass(frozen=True)
class Examined:
    """What could be read (None: nothing), and all that forbids its use."""

    data: LesionData | None
    problems: tuple[str, ...]


class Reading(TypedDict, total=False):
    """How a data set is read.

    `positive` names the class that sensitivity is about, by `labels.positive_class` unless told; `ordered`
    all classes from the least to the most; `known` those of a model that is to look at the data, in its
    order, of which some may be missing. `group_column` the column that says which images belong together, by
    `columns.find` unless told, "none" for none; without any, near-duplicates are found and grouped, in data
    with a split of their own copies only. `classes` names the label numbers of an `.npz`; `duplicates` says
    whether near-duplicates ("near") or copies alone ("copies") are grouped. `accept` names problems that are
    none here, of `ACCEPTABLE`. `grey_range` is that of a model which is to look at the data; unless told it
    is decided from them. `covariates` names columns beside the images that models are given; `frames`
    asks for whole frames where masks mark lesions.
    """

    positive: str | None
    ordered: Sequence[str] | None
    known: Sequence[str] | None
    group_column: str | None
    classes: Sequence[str] | None
    duplicates: str
    accept: Sequence[str]
    grey_range: GreyRange | None
    covariates: Sequence[str]
    frames: bool


def reading(settings: DataSettings) -> Reading:
    """Return how the settings say that a run's data set is read."""
    return Reading(
        positive=settings.positive,
        ordered=settings.ordered,
        group_column=settings.group_column,
        classes=settings.classes,
        duplicates=settings.duplicates,
        accept=settings.accept,
        covariates=settings.covariates,
        frames=settings.frames,
    )


def load(path: str | Path, **options: Unpack[Reading]) -> LesionData:
    """Read a data set of any format that a reader knows; `storage.py` says where its pixels are kept.

    A split of its own has every class in each part; what lies in two of them leaves training, then
    validation. Raises `DataError` with every problem, one a line; says on standard error what was left out
    or joined.
    """
    examined = examine(path, **options)
    if examined.problems or examined.data is None:
        raise DataError("\n".join(examined.problems))
    say(findings(examined.data.left_out, examined.data.notes))
    return examined.data


def examine(
    path: str | Path,
    *,
    positive: str | None = None,
    ordered: Sequence[str] | None = None,
    known: Sequence[str] | None = None,
    group_column: str | None = None,
    classes: Sequence[str] | None = None,
    duplicates: str = "near",
    accept: Sequence[str] = (),
    grey_range: GreyRange | None = None,
    covariates: Sequence[str] = (),
    frames: bool = False,
) -> Examined:
    """As `load`, but problems are listed, and what is readable is returned beside them."""
    if unknown := sorted(set(accept) - set(ACCEPTABLE)):
        return Examined(None, (f"accept {unknown[0]}: expected one of {', '.join(ACCEPTABLE)}",))
    try:
        listing = read(Path(path).absolute(), Options(group_column, classes, frames))
        listing = with_folder_groups(listing, group_column)
    except DataError as error:
        return Examined(None, (str(error),))
    listing = _with_labels_checked(listing, positive, accept, ordered, known)
    listing, grey_range = in_one_range(listing, grey_range)
    listing = _with_covariates_checked(listing, covariates)
    images, damaged = decode_all(listing)
    listing = _with_masks_found(replace(listing, problems=(*listing.problems, *damaged)), images)
    if not images:
        return Examined(None, listing.problems)
    there = table_of([image.record for image in images]) if covariates else {}
    columns = [name for name in covariates if name in there]
    data = assemble(listing, images, positive, known or ordered, duplicates, grey_range, columns)
    data = replace(data, ordered=ordered is not None)
    return Examined(data, (*listing.problems, *faults(data, known), *excessive_shares(data, listing, accept)))


def _with_labels_checked(
    listing: Listing,
    positive: str | None,
    accept: Sequence[str],
    ordered: Sequence[str] | None,
    known: Sequence[str] | None,
) -> Listing:
    labels = [record.label for record in listing.records]
    found = label_problems(labels, positive, accept, ordered, known)
    problems = [f"{listing.root}: {problem}" for problem in found]
    return replace(
        listing,
        problems=(*listing.problems, *problems),
        notes=(*listing.notes, *label_notes(labels, accept)),
    )


def _with_covariates_checked(listing: Listing, covariates: Sequence[str]) -> Listing:
    table = table_of(listing.records) if covariates else {}
    problems = [f"{listing.root}: {problem}" for problem in unknown_columns(covariates, table)]
    return replace(listing, problems=(*listing.problems, *problems))


def _with_masks_found(listing: Listing, images: Sequence[Decoded]) -> Listing:
    problems, notes = like_masks(listing, images)
    return replace(listing, problems=(*listing.problems, *problems), notes=(*listing.notes, *notes))


def classes_named(path: str | Path, settings: DataSettings) -> Classes:
    """Return the classes of the data set at `path`, as its reader lists them: no image is decoded.

    Raises `DataError` where the settings name classes or covariates that are not there.
    """
    listing = read(Path(path).absolute(), Options(settings.group_column, settings.classes, settings.frames))
    labels = [record.label for record in listing.records]
    table = table_of(listing.records) if settings.covariates else {}
    problems = [
        *misnamed(labels, settings.positive, settings.ordered),
        *unknown_columns(settings.covariates, table),
    ]
    if problems:
        raise DataError("\n".join(f"{listing.root}: {problem}" for problem in problems))
    names = tuple(settings.ordered or sorted(set(labels)))
    return Classes(names, positive_class(names, settings.positive))


def load_data(path: str | Path, settings: Settings) -> LesionData:
    """Decode the data set at `path`, a folder or a file, drawn as the settings say.

    Raises `DataError` with every problem of data unfit for use, one a line.
    """
    options = settings.data
    data = load(path, **reading(options))
    if options.balanced_draw is None:
        return data
    drawn = draw_balanced(data, options.balanced_draw, options.fold_seed)
    say(findings(drawn.left_out[len(data.left_out) :], ()))
    return drawn


def load_external(path: str | Path, settings: Settings, data: LesionData) -> LesionData:
    """Decode another data set at `path`, to test on it what was trained on `data`: same classes and range of
    grey. Classes may be missing there, which a note says.

    Raises `DataError` as `load_data`, and for classes that `data` does not have.
    """
    options = reading(settings.data) | {
        "positive": data.positive,
        "ordered": None,
        "known": data.classes,
        "classes": classes_elsewhere(Path(path), settings.data.classes),
        "group_column": settings.data.external_group_column,
        "grey_range": data.grey_range,
    }
    return load(path, **options)
