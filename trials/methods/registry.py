"""All methods by name, as data: what each needs, and in which settings some differ from the others, and why.

How each is built is in `build`, which needs torch; a name and its settings are checked before that is there.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Literal

from trials.errors import SettingsError
from trials.models.backbone_names import backbone_named, frozen_named
from trials.models.specs import Backbone
from trials.settings.load import with_defaults
from trials.settings.schema import Settings
from trials.settings.training import RetrainSettings

ENTRY_POINTS = "lesion_nas.methods"  # where an installed package names its `Entry`s
CHOSEN = "chosen"  # the layout of cells whose number the settings choose


@dataclass(frozen=True)
class Title:
    """How a method is named in results; one that saw other data than the task's is shown apart.

    `layout` is that of its cells, of all of it or of a part.
    """

    name: str
    label: str
    layout: str | None = None
    saw_other_data: bool = False


@dataclass(frozen=True)
class Entry:
    """A method's title, and where its settings differ, with the reason.

    `cells` are those of a search by the strategy of the method's settings, or random ones; None: it has no
    cells. What is searched without a layout are the changes of Boosted EfficientNet. Of a set `networks`
    networks of such cells decide together, each trained from a seed of its own: of other cells each, those of
    a search chosen among its ranked candidates, or `repeated`, all of the best ones. `members` are the
    methods that an ensemble takes the mean of; they differ from the others in no setting, as all have the
    ensemble's own. What `joins` joins the methods that the settings name. `choices` are the settings that a
    tuning chooses by validation images before the method is tested. `builder` names what makes a method of
    another package of a `Task`, as "module:name"; it is imported when the method is trained. `backbone` is a
    network of timm or torchvision, which is trained, or whose features alone are learned from (`frozen`).
    """

    title: Title
    differs: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    cells: Literal["searched", "random"] | None = None
    networks: int = 1
    repeated: bool = False
    members: tuple[str, ...] = ()
    joins: bool = False
    choices: frozenset[str] = frozenset()
    builder: str = ""
    backbone: Backbone | None = None
    frozen: bool = False

    @property
    def chooses(self) -> bool:
        """Whether several of its search's candidates are chosen, which decide together."""
        return self.cells == "searched" and self.networks > 1 and not self.repeated

    def settings(self, settings: Settings) -> Settings:
        """Return `settings` with this method's differences over the profile and under what was given.

        Raises `SettingsError` for what cells, whose search comes first, cannot be trained with, and for a
        search that scores fewer candidates than are to be chosen.
        """
        found = with_defaults(settings, self.differs)
        if self.chooses and found.search.final_samples < self.networks:
            raise SettingsError(
                f"search.final_samples = {found.search.final_samples}: {self.title.name} chooses "
                f"{self.networks} of the architectures that its search scores at the end; score as many, or "
                "more"
            )
        if self.cells == "searched" and (found.search.space == "cells") != bool(self.title.layout):
            raise SettingsError(
                f"search.space = {found.search.space}: {self.title.name} is of another space, which it names "
                "itself; leave the setting out"
            )
        if self.cells and self.title.layout and _spares_weights(found.retrain):
            raise SettingsError(
                "retrain.layer_decay and retrain.freeze_epochs spare pretrained weights, and "
                f"{self.title.name} starts from random ones: leave them at 1 and 0"
            )
        return found


def _spares_weights(settings: RetrainSettings) -> bool:
    return settings.layer_decay < 1 or settings.freeze_epochs > 0


ENAS_B_CHOICES = frozenset(  # made for the cells that are found; nni_config/enas_b.yml says among what
    (
        *("enas_b.cells", "retrain.filters", "retrain.learning_rate", "data.augmentation_strength"),
        *("retrain.dropout", "retrain.drop_path", "retrain.weight_decay"),
    )
)
_CHANGES: dict[str, tuple[str, dict[str, object]]] = {  # that make EfficientNet Boosted EfficientNet
    "cropping": ("random center cropping", {"data.smallest_crop": 48}),
    "downsampling": ("less downsampling", {"boosted.downsampling": 16}),
    "attention": ("CBAM", {"boosted.attention": "cbam"}),
    "fusion": ("feature fusion", {"boosted.fusion": True}),
}
_ALL_CHANGES = {key: value for _, change in _CHANGES.values() for key, value in change.items()}
_CHANGED = "it stands for that change, which the paper names; how it is made is ours"

_OF_BOOSTED_SPACE: dict[str, object] = {"search.space": "boosted"}
_ITS_CHANGES = "its search chooses among the changes of EfficientNet, with shared ImageNet weights"
_OF_RANDOM_SEARCH = {"search.strategy": "random"}, "the control: random search through shared weights"
_OF_EVOLUTION = {"search.strategy": "evolution"}, "a control: regularized evolution through shared weights"
_OF_LOCAL_SEARCH = {"search.strategy": "local"}, "a control: local search through shared weights"

_FINE_TUNING: tuple[dict[str, object], str] = (
    {
        "data.image_size": 128,
        "data.fit": "stretch",
        "retrain.epochs": 12,
        "retrain.optimizer": "adamw",
        "retrain.schedule": "one_cycle",
        "retrain.learning_rate": 0.0005,
        "retrain.learning_rate_min": 0.000001,
        "retrain.weight_decay": 0.01,
    },
    "its weights are known already and only adapted, from the size and by the optimiser that suit them; "
    "rate and decay are ours",
)

_FROZEN: tuple[dict[str, object], str] = (
    {"data.image_size": 224, "data.fit": "stretch"},
    "its weights are not adapted, so that it sees images of about the size that most are published for; ours",
)

ENTRIES = (
    Entry(Title("geometry", "box geometry, logistic regression")),
    Entry(Title("covariates", "covariates, logistic regression")),
    Entry(Title("hog", "HOG, RBF SVM")),
    Entry(Title("hog_geometry", "HOG and box geometry, RBF SVM")),
    Entry(Title("hog_cells", "HOG of single cells, RBF SVM")),
    Entry(
        Title("hog_cells_mirrored", "HOG of single cells, mirrored, RBF SVM"),
        {"classical.mirror": True},
        "a mirrored lesion is a lesion of the same class; the same without is hog_cells; ours",
    ),
    Entry(Title("statistics", "colour and gradient statistics, RBF SVM")),
    Entry(Title("enas7", "ENAS-7", "enas7"), cells="searched"),
    Entry(Title("enas17", "ENAS-17", "enas17"), cells="searched"),
    Entry(Title("enas_b", "ENAS-B", CHOSEN), cells="searched", choices=ENAS_B_CHOICES),
    Entry(Title("random7", "random search, 7 cells", "enas7"), *_OF_RANDOM_SEARCH, cells="searched"),
    Entry(Title("random17", "random search, 17 cells", "enas17"), *_OF_RANDOM_SEARCH, cells="searched"),
    Entry(Title("evolution7", "regularized evolution, 7 cells", "enas7"), *_OF_EVOLUTION, cells="searched"),
    Entry(Title("local7", "local search, 7 cells", "enas7"), *_OF_LOCAL_SEARCH, cells="searched"),
    Entry(Title("cells7", "random cells, 7", "enas7"), cells="random"),
    Entry(Title("cells17", "random cells, 17", "enas17"), cells="random"),
    Entry(Title("enas7_set5", "ENAS-7, set of five", "enas7"), cells="searched", networks=5),
    Entry(
        Title("random7_set5", "random search, 7 cells, set of five", "enas7"),
        *_OF_RANDOM_SEARCH,
        cells="searched",
        networks=5,
    ),
    Entry(Title("cells7_set5", "random cells, 7, set of five", "enas7"), cells="random", networks=5),
    Entry(Title("enas7_seeds5", "ENAS-7, five seeds", "enas7"), cells="searched", networks=5, repeated=True),
    Entry(
        Title("enas7_hog_geometry", "mean of ENAS-7 and HOG with box geometry", "enas7"),
        members=("enas7", "hog_geometry"),
    ),
    Entry(
        Title("cells7_hog_geometry", "mean of random cells, 7, and HOG with box geometry", "enas7"),
        members=("cells7", "hog_geometry"),
    ),
    Entry(Title("ensemble", "ensemble"), joins=True),
    Entry(Title("cnn3", "CNN3 (our layout)")),
    Entry(Title("resnet18", "ResNet-18")),
    Entry(Title("efficientnet_b0", "EfficientNet-B0")),
    Entry(Title("boosted_baseline", "EfficientNet")),
    *(
        Entry(Title(f"boosted_{name}", f"EfficientNet, {label}"), change, _CHANGED)
        for name, (label, change) in _CHANGES.items()
    ),
    Entry(Title("boosted", "Boosted EfficientNet"), _ALL_CHANGES, _CHANGED),
    Entry(
        Title("boosted_chosen", "EfficientNet, changes chosen"),
        choices=frozenset(_ALL_CHANGES) | {"boosted.variant"},  # boosted_efficientnet_search.yml: among what
    ),
    Entry(
        Title("enas_boosted", "EfficientNet, changes by ENAS"),
        _OF_BOOSTED_SPACE,
        _ITS_CHANGES,
        cells="searched",
    ),
    Entry(
        Title("random_boosted", "EfficientNet, changes by random search"),
        {**_OF_BOOSTED_SPACE, **_OF_RANDOM_SEARCH[0]},
        f"{_OF_RANDOM_SEARCH[1]}; {_ITS_CHANGES}",
        cells="searched",
    ),
    Entry(
        Title("alexnet", "AlexNet, two groups"),
        {
            "data.image_size": 227,
            "data.fit": "stretch",
            "retrain.optimizer": "adamw",
            "retrain.learning_rate": 0.0001,
        },
        "its fully connected layers are made for 227x227, and it has no batch norm that would stand a higher "
        "rate; ours",
    ),
    Entry(
        Title("efficientnet_lite0", "EfficientNet-Lite0, ImageNet weights", saw_other_data=True),
        *_FINE_TUNING,
    ),
)

METHODS = {entry.title.name: entry for entry in ENTRIES}


def register(entry: Entry) -> None:
    """Add a method. Raises `ValueError` for a name in use."""
    if entry.title.name in METHODS:
        raise ValueError(f"method {entry.title.name}: the name is in use; choose another")
    METHODS[entry.title.name] = entry


def methods() -> dict[str, Entry]:
    """Return all methods by name, those of installed packages included."""
    _register_installed()
    return METHODS


@cache
def _register_installed() -> None:
    for entry in entry_points(group=ENTRY_POINTS):
        register(entry.load())


def find_method(name: str) -> Entry:
    """Return a method's entry, also that of any network such as `timm:convnext_atto.d2_in1k`.

    The entry's title has the name that its runs have. Raises `SettingsError` for a name that does not exist.
    """
    known = methods()
    if name in known:
        return known[name]
    if backbone := backbone_named(name):
        return _of_backbone(backbone)
    if backbone := frozen_named(name):
        return _of_frozen(name.replace(":", "-"), backbone)
    close = difflib.get_close_matches(name, known, 1)
    hint = f" (nearest: {close[0]})" if close else ""
    raise SettingsError(
        f"no method {name!r}{hint}; there are {', '.join(known)}, and each network of timm and torchvision, "
        "such as timm:convnext_atto.d2_in1k or torchvision:resnet18, or its features alone, such as "
        "features:torchvision:resnet18"
    )


def _of_backbone(backbone: Backbone) -> Entry:
    title = Title(backbone.method, f"{backbone.name} ({backbone.library})", saw_other_data=True)
    return Entry(title, *_FINE_TUNING, backbone=backbone)


def _of_frozen(name: str, backbone: Backbone) -> Entry:
    title = Title(name, f"features of {backbone.name} ({backbone.library}), RBF SVM", saw_other_data=True)
    return Entry(title, *_FROZEN, backbone=backbone, frozen=True)
