"""All contestants by name, and in which settings some differ from the others, and why.

`home` is the folder of a task, in which contestants share what they search; None: nothing may be written.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch import nn

from trials.contestants.architectures import KnownNetwork, load_imagenet_lite0, start_classifier
from trials.contestants.base import Contestant
from trials.contestants.cells import CHOICES, enas_b, from_search, of_chance
from trials.contestants.classical import ClassicalContestant, logistic_regression, support_vectors
from trials.contestants.features import (
    STATISTICS,
    geometry,
    geometry_and_gradients,
    gradients,
    statistics,
)
from trials.contestants.mean import MeanContestant
from trials.contestants.networks import BoostedContestant, NetworkContestant
from trials.contestants.protocol import Title
from trials.settings import Settings, SettingsError, load_settings
from trials.task import Task


@dataclass(frozen=True)
class Entry:
    """A contestant's title, how it is made (task, home), and where its settings differ, with the reason.

    `choices` are the settings that a tuning chooses by validation images before the contestant is tested.
    """

    title: Title
    make: Callable[[Task, Path | None], Contestant]
    differs: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    choices: frozenset[str] = frozenset()

    def settings(self, profile: str, overrides: Mapping[str, object]) -> Settings:
        """Return the profile's settings, this contestant's differences over them, `overrides` over all."""
        return load_settings(profile, {**self.differs, **overrides})


def _known(kind: str, start: Callable[[nn.Module], None] | None = None) -> Callable[..., Contestant]:
    network = KnownNetwork.model_validate({"kind": kind})
    return lambda task, home: NetworkContestant(task, network, start=start)


def _classical(*parts: Callable[..., object]) -> Callable[..., Contestant]:
    return lambda task, home: ClassicalContestant(task, *parts)  # type: ignore[arg-type]


def _mean(*names: str) -> Callable[..., Contestant]:
    """Make the mean of entries that differ from the others in no setting, as all have the mean's own."""

    def make(task: Task, home: Path | None) -> Contestant:
        entries = [CONTESTANTS[name] for name in names]
        return MeanContestant(task, [(entry.title, entry.make(task, home)) for entry in entries], home)

    return make


def _boosted(task: Task, home: Path | None) -> Contestant:
    return BoostedContestant(task)


_CHANGES: dict[str, tuple[str, dict[str, object]]] = {  # that make EfficientNet Boosted EfficientNet
    "cropping": ("random center cropping", {"data.smallest_crop": 48}),
    "downsampling": ("less downsampling", {"boosted.downsampling": 16}),
    "attention": ("CBAM", {"boosted.attention": "cbam"}),
    "fusion": ("feature fusion", {"boosted.fusion": True}),
}
_ALL_CHANGES = {key: value for _, change in _CHANGES.values() for key, value in change.items()}
_CHANGED = "it stands for that change, which the paper names; how it is made is ours"

_OF_RANDOM_SEARCH = {"search.strategy": "random"}, "the control: random search through shared weights"

ENTRIES = (
    Entry(Title("geometry", "box geometry, logistic regression"), _classical(geometry, logistic_regression)),
    Entry(Title("hog", "HOG, RBF SVM"), _classical(gradients, support_vectors)),
    Entry(
        Title("hog_geometry", "HOG and box geometry, RBF SVM"),
        _classical(geometry_and_gradients, partial(support_vectors, standardised=3)),
    ),
    Entry(
        Title("statistics", "colour and gradient statistics, RBF SVM"),
        _classical(statistics, partial(support_vectors, standardised=STATISTICS)),
    ),
    Entry(Title("enas7", "ENAS-7", "enas7"), partial(from_search, layout="enas7")),
    Entry(Title("enas17", "ENAS-17", "enas17"), partial(from_search, layout="enas17")),
    Entry(Title("enas_b", "ENAS-B", "chosen"), enas_b, choices=CHOICES),  # in each fold another layout
    Entry(
        Title("random7", "random search, 7 cells", "enas7"),
        partial(from_search, layout="enas7"),
        *_OF_RANDOM_SEARCH,
    ),
    Entry(
        Title("random17", "random search, 17 cells", "enas17"),
        partial(from_search, layout="enas17"),
        *_OF_RANDOM_SEARCH,
    ),
    Entry(Title("cells7", "random cells, 7", "enas7"), partial(of_chance, layout="enas7")),
    Entry(Title("cells17", "random cells, 17", "enas17"), partial(of_chance, layout="enas17")),
    Entry(
        Title("enas7_hog_geometry", "mean of ENAS-7 and HOG with box geometry", "enas7"),
        _mean("enas7", "hog_geometry"),
    ),
    Entry(
        Title("cells7_hog_geometry", "mean of random cells, 7, and HOG with box geometry", "enas7"),
        _mean("cells7", "hog_geometry"),
    ),
    Entry(Title("cnn3", "CNN3 (our layout)"), _known("cnn3")),
    Entry(Title("resnet18", "ResNet-18"), _known("resnet18")),
    Entry(Title("efficientnet_b0", "EfficientNet-B0"), _known("efficientnet_b0", start_classifier)),
    Entry(Title("boosted_baseline", "EfficientNet"), _boosted),
    *(
        Entry(Title(f"boosted_{name}", f"EfficientNet, {label}"), _boosted, change, _CHANGED)
        for name, (label, change) in _CHANGES.items()
    ),
    Entry(
        Title("boosted", "Boosted EfficientNet"),
        _boosted,
        _ALL_CHANGES,
        _CHANGED,
    ),
    Entry(
        Title("boosted_chosen", "EfficientNet, changes chosen"),
        _boosted,
        choices=frozenset(_ALL_CHANGES) | {"boosted.variant"},  # boosted_efficientnet_search.yml: among what
    ),
    Entry(
        Title("alexnet", "AlexNet, two groups"),
        _known("alexnet"),
        {
            "data.image_size": 227,
            "data.fit": "squash",
            "retrain.optimizer": "adamw",
            "retrain.learning_rate": 0.0001,
        },
        "its fully connected layers are made for 227x227, and it has no batch norm that would stand a higher "
        "rate; ours",
    ),
    Entry(
        Title("efficientnet_lite0", "EfficientNet-Lite0, ImageNet weights", saw_other_data=True),
        _known("efficientnet_lite0", load_imagenet_lite0),
        {
            "data.image_size": 128,
            "data.fit": "squash",
            "retrain.epochs": 12,
            "retrain.optimizer": "adamw",
            "retrain.schedule": "one_cycle",
            "retrain.learning_rate": 0.0005,
            "retrain.learning_rate_min": 0.000001,
            "retrain.weight_decay": 0.01,
        },
        "its weights are known already and only adapted, from the size and by the optimiser that suit them; "
        "rate and decay are ours",
    ),
)

CONTESTANTS = {entry.title.name: entry for entry in ENTRIES}


def contestant(name: str) -> Entry:
    """Return a contestant's entry; raises `SettingsError` for a name that does not exist."""
    if name not in CONTESTANTS:
        close = difflib.get_close_matches(name, CONTESTANTS, 1)
        hint = f" (nearest: {close[0]})" if close else ""
        raise SettingsError(f"no contestant {name!r}{hint}; there are {', '.join(CONTESTANTS)}")
    return CONTESTANTS[name]
