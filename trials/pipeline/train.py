"""Train and test one method, or one architecture, under the comparison protocol.

What searches and trains networks is imported when it is needed, as `trials.methods.build` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_space.enas.layouts import parse_layout
from trials.data.dataset import LesionData
from trials.data.split import Split
from trials.data.task import Task
from trials.errors import RunFolderError, SettingsError
from trials.files import below
from trials.methods.base import Method
from trials.methods.build import build
from trials.methods.registry import METHODS, Entry, Title, find_method
from trials.pipeline.protocol import plan, train_and_test
from trials.pipeline.tuning import Tuning
from trials.runs.layout import ARCHITECTURE, part_folder, set_folder
from trials.settings.load import with_changes, without
from trials.settings.schema import Settings, require_one_training_of_cells

if TYPE_CHECKING:
    from trials.methods.cells import Found
    from trials.pipeline.ensemble import Member


def run_train(
    split: Split,
    settings: Settings,
    method: str,
    out: str | Path,
    *,
    external: LesionData | None = None,
    tested: bool = True,
    home: Path | None = None,
    part: int | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Train `method`, named as in the registry, test it on the split's test images and on `external` data.

    The method's own differences stand over the profile of `settings` and under what was given. Writes to
    `out` what `trials.pipeline.protocol` names, and returns the content of `metrics.json`. A method that is
    searched makes its search beside `out`, once for all layouts, and an ensemble or a set of cells trains its
    members there. Not `tested`, it is judged by its validation images alone, so that something may be chosen
    by it. One with choices takes those of the best trial of its tuning, which lies beside `out` too; in such
    a trial, not `tested`, they are given, and `home` is the folder in which all trials share the search. Of a
    cross-fit (`protocol.cross_fit`) `part` trains that one alone, as the whole will find it in its folder.
    The same arguments again resume an interrupted run, or report a finished one. With `dry_run` nothing is
    written, and settings, data and an estimate, without the search's share, are returned. Raises ValueError
    (`SettingsError`, `LeakError`, `TuningError`, `RunFolderError`, ...) before any work starts.
    """
    entry, out = find_method(method), Path(out)
    if out.name in METHODS and out.name != method:  # an ensemble's members train beside it, by their names
        raise RunFolderError(f"{out}: is the place of {out.name}, not of {method}; name another folder")
    beside = out.absolute().parent
    tuning = Tuning(beside, method, entry.choices) if entry.choices and tested else None
    settings = entry.settings(tuning.applied(settings) if tuning else settings)
    if settings.protocol.cross_fit:
        split, _ = split.cross_fitted(settings.protocol.cross_fit)
    task = Task(split, settings, external, tested)
    if part is not None:
        task = _only(task, part)
    if tuning:
        tuning.check(task)
    if dry_run:
        return plan(task, _make(task, entry, None))
    shared = home if home and entry.choices else beside
    facts = {"tuning": tuning.to_dict()} if tuning else {}
    return train_and_test(task, _make(task, entry, shared), entry.title, out, "train", facts).metrics


def run_retrain(
    split: Split,
    settings: Settings,
    architecture: str | Path,
    out: str | Path,
    *,
    layout: str = "enas7",
    dry_run: bool = False,
) -> dict[str, Any]:
    """Train the architecture in a file from scratch, and test it on the split's test images, if it has any.

    Writes to `out` what `trials.pipeline.protocol` and `model_file` name, and returns the content of
    `metrics.json`. The same arguments again resume an interrupted run, or report a finished one. With
    `dry_run` nothing is written, and the settings in force, the data found and an estimate of the cost are
    returned. Raises ValueError (`LeakError`, `RunFolderError`, ...) before any work starts.
    """
    from trials.methods.cells import cell_network
    from trials.pipeline.found import read_found

    parse_layout(layout)  # raises for none
    require_one_training_of_cells(settings, "retrain")
    task = Task(split, settings)
    network = cell_network(task, read_found(task, Path(architecture)), layout)
    if dry_run:
        return plan(task, network)
    title = Title(name=layout, label=layout.replace("enas", "ENAS-"), layout=layout)
    return train_and_test(task, network, title, Path(out), "retrain").metrics


def first_part(
    split: Split, settings: Settings, entry: Entry, external: LesionData | None, parts: int | None
) -> tuple[Task, Method]:
    """Return the first training of a cross-fit, as its task and method; nothing is written.

    Without `parts` it is the split itself.
    """
    task = Task(split, with_changes(entry.settings(settings), {"protocol.cross_fit": parts}), external)
    if parts:
        task = parts_of(task)[0]
    return task, _make(task, entry, None)


def trained_once(task: Task, method: Method) -> bool:
    """Return whether one training stands for all of a cross-fit, as nothing would differ between them.

    Those of data with a split of their own differ by their seeds alone (`Split.cross_fitted`).
    """
    return task.data.splits is not None and not method.seeded


def _make(task: Task, entry: Entry, home: Path | None) -> Method:
    """Build a method, its cells searched in `home`; without `home` nothing is searched or written."""
    if entry.joins or entry.members:
        from trials.pipeline.ensemble import Ensemble

        members = [find_method(name) for name in entry.members or _joined(task.settings)]
        # What is searched is made last, so that what the others lack is found before the search.
        last = sorted(members, key=lambda one: one.cells == "searched")
        made = {one.title.name: _member(task, one, home) for one in last}
        joined = [made[one.title.name] for one in members]
        return Ensemble(task, joined, chosen=_chooses(task, entry))
    if task.settings.protocol.cross_fit:
        return _cross_fit(task, entry, home)
    cells = _cells(task, entry, home)
    if entry.networks > 1:
        from trials.pipeline.ensemble import Ensemble

        return Ensemble(task, list(_networks(task, entry, cells, home)), facts=cells[0].facts)
    return build(task, entry, *cells)


def _chooses(task: Task, entry: Entry) -> bool:
    return entry.joins and task.settings.ensemble.weights == "greedy"


def _joined(settings: Settings) -> tuple[str, ...]:
    """Return the names of the methods that `ensemble` joins; raises `SettingsError` for fewer than two."""
    names = settings.ensemble.members
    if len(set(names)) < max(2, len(names)) or any(find_method(name).joins for name in names):
        raise SettingsError(
            f"ensemble.members = {', '.join(names) or 'none'}: expected two methods or more, each once, and "
            "no ensemble, such as --set ensemble.members=hog_geometry,cells7"
        )
    return names


def _member(task: Task, entry: Entry, home: Path | None) -> Member:
    """Return a method of an ensemble, with the settings that it has on its own."""
    from trials.pipeline.ensemble import Member

    own = replace(task, settings=entry.settings(task.settings))
    place = below(home, home / entry.title.name) if home else None
    return Member(entry.title.name, entry.title, _make(own, entry, home), own, place)


def _only(task: Task, part: int) -> Task:
    tasks = parts_of(task) if task.settings.protocol.cross_fit else []
    if not 0 <= part < len(tasks):
        raise SettingsError(
            f"part {part}: protocol.cross_fit = {task.settings.protocol.cross_fit} has {len(tasks)} parts, "
            "which count from 0"
        )
    return tasks[part]


def parts_of(task: Task) -> list[Task]:
    """Return the tasks of the trainings of which a cross-fit of this task is made."""
    parts = task.settings.protocol.cross_fit or 1
    settings = with_changes(task.settings, {"protocol.cross_fit": None})
    return [replace(task, split=one, settings=settings) for one in task.split.cross_fitted(parts)[1]]


def _cross_fit(task: Task, entry: Entry, home: Path | None) -> Method:
    from trials.pipeline.ensemble import Ensemble

    first, *others = parts_of(task)
    member = _part(first, entry, home)
    if trained_once(task, member.method):
        return _make(replace(task, settings=first.settings), entry, home)
    return Ensemble(task, [member, *(_part(one, entry, home) for one in others)])


def _part(task: Task, entry: Entry, home: Path | None) -> Member:
    """Return one training of a cross-fit."""
    from trials.pipeline.ensemble import Member

    assert task.split.part
    folder = part_folder(home, *task.split.part) if home else None
    place = below(home, folder / entry.title.name) if home and folder else None
    method = _make(task, entry, folder)
    return Member(part_folder(Path(), *task.split.part).name, entry.title, method, task, place)


def _networks(task: Task, entry: Entry, cells: Sequence[Found], home: Path | None) -> Iterator[Member]:
    """Yield a set's networks of these cells."""
    from trials.pipeline.ensemble import Member

    for split, found in zip(task.split.members(len(cells)), cells, strict=True):
        assert split.member
        own = replace(task, split=split)
        folder = set_folder(home or Path(), *split.member)
        place = below(home, folder / entry.title.name) if home else None
        yield Member(folder.name, entry.title, build(own, entry, found), own, place)


def _cells(task: Task, entry: Entry, home: Path | None) -> list[Found]:
    """Return the cells of each network of a method that has any: of the task's own search, or random ones.

    Without `home` they are random.
    """
    if entry.cells is None:
        return []
    from trials.methods.cells import check_starts, random_cells
    from trials.pipeline.found import read_found
    from trials.pipeline.search import search_in

    if entry.cells == "random" or home is None:
        return [random_cells(task, 0 if entry.repeated else number) for number in range(entry.networks)]
    check_starts(task, partial(build, task, entry))
    folder, record = search_in(home, task.split, without(task.settings, entry.choices))
    best = read_found(task, folder / ARCHITECTURE, search_seconds=record["seconds"])
    if entry.chooses:
        from trials.pipeline.cell_sets import choose_cells

        return choose_cells(task, folder, best, entry.networks)
    return [best] * entry.networks
