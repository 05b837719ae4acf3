"""What a reader must know before the figures: what is missing, what took no part, what is contradictory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from trials.pipeline.scores import score_logits
from trials.report.methods import MethodRuns, by_method, folds_of, whole_seeds
from trials.runs.collection import Collection
from trials.runs.finished import Run, named, warned


def doubts(found: Collection, methods: Sequence[MethodRuns]) -> list[str]:
    """Return the warnings of a comparison."""
    taken = [run for run in found.runs if not run.for_tuning]
    compared = [run for run in taken if not run.is_candidate]
    return [
        *_missing(methods),
        *_left_out_seeds(compared),
        *_for_tuning(len(found.runs) - len(taken)),
        *found.unfinished,
        *warned(taken, lambda run: named(run.label, None if run.own_split else run.fold, run.seed)),
        *_contradictions(taken),
        *_profiles(compared),
        *_commits(taken),
    ]


def _missing(methods: Iterable[MethodRuns]) -> Iterator[str]:
    for method in methods:
        if method.missing_folds:
            folds = ", ".join(map(str, method.missing_folds))
            yield f"{method.label}: no finished run of fold {folds}; its figures are of the others only"


def _left_out_seeds(runs: Sequence[Run]) -> Iterator[str]:
    for group in by_method(runs):
        kept = whole_seeds(group)
        for seed in sorted({run.seed for run in group} - {run.seed for run in kept}):
            lacking = folds_of(kept, kept[0].seed) - folds_of(group, seed)
            names = ", ".join(sorted("of all data" if fold is None else str(fold) for fold in lacking))
            yield f"{group[0].label}: seed {seed} has no finished run of fold {names} and takes no part"


def _for_tuning(count: int) -> Iterator[str]:
    if count:
        yield f"{count} runs for tuning, judged by their validation images alone, take no part"


def _contradictions(runs: Iterable[Run]) -> Iterator[str]:
    """Say where a run's recorded accuracy is not that of its predictions."""
    for run in runs:
        recorded = run.metrics["test"]
        if recorded and len(run.tested.files):
            found = score_logits(run.classes, run.tested.labels, run.tested.logits, run.decision)["accuracy"]
            if abs(found - recorded["accuracy"]) > 1e-6:
                yield (
                    f"{run.folder}: its predictions have an accuracy of {found:.4f}, its metrics "
                    f"say {recorded['accuracy']:.4f}; the figures here are those of the predictions"
                )


def _profiles(runs: Iterable[Run]) -> Iterator[str]:
    """Say where not all methods began from one profile's settings, such as the size of the images."""
    labels: dict[str, set[str]] = {}
    for run in runs:
        labels.setdefault(str(run.metrics.get("profile")), set()).add(run.label)
    if len(labels) > 1:
        each = "; ".join(f"{profile} ({', '.join(sorted(labels[profile]))})" for profile in sorted(labels))
        yield f"the runs are of different profiles, so that more than the method differs: {each}"


def _commits(runs: Iterable[Run]) -> Iterator[str]:
    """Say where code was not the same for all runs, or not what a commit holds."""
    commits = {str(run.metrics.get("commit")) for run in runs}
    if len(commits) > 1:
        yield f"the runs are of different commits: {', '.join(sorted(commits))}"
    elif any(commit.endswith("-dirty") for commit in commits):
        yield f"the runs are of changed files: commit {', '.join(commits)} does not hold what was run"
