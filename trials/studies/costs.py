"""What a training of a method costs in this process: timed steps of a network, timed fits of the others."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from trials.data.dataset import LesionData
from trials.data.split import Split
from trials.data.task import Task
from trials.methods.base import Method
from trials.methods.registry import Entry, find_method
from trials.pipeline.train import first_part, trained_once
from trials.runs.folder import RunFolder
from trials.runs.reporter import Reporter
from trials.settings.schema import Settings
from trials.studies.plan import Cost
from trials.training.estimate import peak_memory

TIMED_IMAGES = 240  # that a fit is timed on; of many images on twice and four times as many
TIMED_ANSWERS = 32
FEW_IMAGES = 500  # as many as a network's epochs are meant for; ours, about BUSI's, by which they were chosen
MEMORY_SHARE = 0.8  # of what is free


def cost_of(method: str, split: Split, settings: Settings, external: LesionData | None, parts: int) -> Cost:
    """Return what one training of a cross-fit costs, with its answers for test and external images.

    That of an ensemble is that of its members, one after another, and that of a set so many times that of
    one network, after one search. Raises ValueError as that training would: for data that the method cannot
    learn from, missing weights.
    """
    entry = find_method(method)
    if entry.members:
        return _one_after_another(
            entry.title.name, [cost_of(one, split, settings, external, parts) for one in entry.members]
        )
    entry.settings(settings)  # of a whole set, of which one network is timed
    one = replace(entry, networks=1)
    task, made = first_part(split, settings, one, external, parts)
    estimate = made.estimate() if made.steps else None  # of others it is not of all that a fit does
    trained = estimate["seconds"] if estimate else 0.0
    answered = _answer_seconds(made, task) if estimate else _fit_seconds(task, one, settings, external)
    seconds = entry.networks * (trained + answered)
    if entry.cells == "searched":
        seconds += _search_seconds(task)
    return Cost(
        entry.title.name,
        round(seconds, 1),
        peak_memory() + made.memory_bytes,
        epochs=task.settings.retrain.epochs if made.steps else 0,
        steps=made.steps,
        fewest_steps=_fewest(made.steps, len(task.split.training), settings),
        step_seconds=entry.networks * trained / made.steps if made.steps else 0.0,
        once=trained_once(task, made),
    )


def _one_after_another(name: str, each: Sequence[Cost]) -> Cost:
    """Return the cost of trainings that follow one another; the longest says how many steps there are."""
    steps = max(cost.steps for cost in each)
    of_steps = sum(cost.steps * cost.step_seconds for cost in each)
    return Cost(
        name,
        round(sum(cost.seconds for cost in each), 1),
        max(cost.memory_bytes for cost in each),
        epochs=max(cost.epochs for cost in each),
        steps=steps,
        fewest_steps=max(cost.fewest_steps for cost in each),
        step_seconds=of_steps / steps if steps else 0.0,
        once=all(cost.once for cost in each),
    )


def _fewest(steps: int, images: int, settings: Settings) -> int:
    """Return to how few steps a study may cut a training; to none fewer where a user has said how many."""
    if {"retrain.epochs", "retrain.max_steps"} & settings.given.keys():
        return steps
    return math.ceil(steps * min(1.0, FEW_IMAGES / images))


def _fit_seconds(task: Task, entry: Entry, settings: Settings, external: LesionData | None) -> float:
    """Return the seconds of a fit and its answers, from fits on some of the images."""
    training = task.split.training
    many = len(training) > 4 * TIMED_IMAGES
    counts = [2 * TIMED_IMAGES, 4 * TIMED_IMAGES] if many else [TIMED_IMAGES]
    timed: list[tuple[int, float]] = []
    for count in counts:
        some = _thinned(training, task.data.labels, count)
        made = first_part(replace(task.split, training=some), settings, entry, external, None)[1]
        with (
            tempfile.TemporaryDirectory() as place,
            RunFolder(Path(place, "timed"), {"method": entry.title.name}) as folder,
            Reporter(folder.path) as reporter,
        ):
            start = time.perf_counter()
            made.fit(folder, reporter)
            timed.append((len(some), time.perf_counter() - start))
    return extrapolated(timed, len(training)) + _answer_seconds(made, task)


def extrapolated(timed: Sequence[tuple[int, float]], images: int) -> float:
    """Return the seconds of a fit on so many images, from one or two `timed` ones (images, seconds).

    Of one they grow with the square. Two part what grows with the images, such as features, from what a
    kernel takes, which is hardly seen of few images and comes to most of it.
    """
    (count, seconds), *more = timed
    if not more:
        return seconds * (images / count) ** 2
    [(larger, after)] = more
    each = after / larger
    growth = min(max((each - seconds / count) / (larger - count), 0.0), each / larger)
    return images * (each + growth * (images - larger))


def _thinned(training: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Return about so many of the images, of each class its share."""
    step = -(-len(training) // count)
    return np.sort(np.concatenate([training[labels[training] == one][::step] for one in np.unique(labels)]))


def _answer_seconds(made: Method, task: Task) -> float:
    asked = len(task.split.validation) + len(task.test) + (len(task.external.files) if task.external else 0)
    some = task.split.development[:TIMED_ANSWERS]
    made.logits(task.data, some)  # what is loaded at the first time
    start = time.perf_counter()
    made.logits(task.data, some)
    return (time.perf_counter() - start) * asked / len(some)


def _search_seconds(task: Task) -> float:
    from trials.pipeline.search import run_search

    with tempfile.TemporaryDirectory() as place:
        found = run_search(task.split, task.settings, Path(place, "search"), dry_run=True)
    return float(found["estimate"]["seconds"])


def trials_at_once(memory_bytes: int) -> int:
    """Return how many trials of one thread, each of so much memory, this machine bears; one on a GPU."""
    import torch

    if torch.cuda.is_available():
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    room = int(MEMORY_SHARE * psutil.virtual_memory().available / max(memory_bytes, 1))
    return max(1, min(cores, room))
