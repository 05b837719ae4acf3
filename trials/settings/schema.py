"""The settings of a run, typed and validated: every name, its default and where that comes from.

Field defaults are the paper's: Ahmed, Du and AlZoubi (MIDL 2020, arXiv 2005.13695) where they say, else
ENAS's own (Pham et al. 2018, arXiv 1802.03268, and the released code), else a choice of ours, and each
description says which. The larger sections have modules of their own. `trials.settings.load` lays profiles
and a user's own values over the defaults.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PrivateAttr, field_validator, model_validator

from trials.errors import SettingsError
from trials.settings.data import DataSettings
from trials.settings.search import SearchSettings
from trials.settings.section import LARGEST_SEED, Section, different_names, setting
from trials.settings.training import RetrainSettings


class BoostedSettings(Section):
    """The choices of Boosted EfficientNet (Wang et al., Cancers 2021) that are the network's.

    Random center cropping, the fourth, is data.smallest_crop. `search_space.BoostedEfficientNet` says how
    each is made, which the paper does not; the defaults are EfficientNet.
    """

    variant: Literal["lite0", "lite1", "lite2", "b0", "b1", "b2", "b3"] = setting(
        "b0", "EfficientNet's size, or EfficientNet-Lite's; ours, the smallest, as the paper's is unknown"
    )
    pretrained: bool = setting(
        False,
        "start from ImageNet weights: those of lite0 to lite2 come with the extra methods, the others "
        "torchvision downloads; ours, as the paper's start is unknown",
    )
    downsampling: Literal[32, 16, 8] = setting(
        32, "how many times smaller than the image the last maps are; EfficientNet's 32"
    )
    attention: Literal["library", "cbam", "none"] = setting(
        "library", "EfficientNet's squeeze-and-excitation, CBAM after each stage as well, or none of both"
    )
    fusion: bool = setting(False, "join the means of the maps of stages 3 and 5 to those of the last")
    frozen: Literal[0, 3, 5, 8] = setting(
        0, "so many stages, and the stem, keep their ImageNet weights; 8: all but what is added; ours"
    )

    @model_validator(mode="after")
    def _freezes_what_has_learned(self) -> BoostedSettings:
        if self.frozen and not self.pretrained:
            raise ValueError(
                f"boosted.frozen = {self.frozen} would keep random weights: set boosted.pretrained=true, or "
                "leave it at 0"
            )
        return self


class BackboneSettings(Section):
    """Where a network of timm or torchvision starts."""

    weights: str = setting(
        "published",
        "the weights that its library publishes under its name, from its cache or hub; random; or a file: "
        ".safetensors, or a state dict saved by torch; ours",
        min_length=1,
    )


class EnasBSettings(Section):
    """What ENAS-B chooses beside settings that others have too."""

    cells: int = setting(
        7, "cells of the network, its depth; ours, the smaller of the paper's layouts", ge=3, le=99
    )


class ClassicalSettings(Section):
    """What the classical features and classifiers have to choose."""

    mirror: bool = setting(
        False,
        "mirror images, left to right, are learned from too, and in use the logits of an image and of its "
        "mirror image are averaged; ours",
    )


class ProtocolSettings(Section):
    """What all methods alike go through."""

    refit: bool = setting(
        False,
        "once the validation images have chosen threshold and temperature, learn once more from the start, "
        "from those images too; ours, at twice the work. What tunes or ranks does without",
    )
    cross_fit: int | None = setting(
        None,
        "into how many parts the images outside the test are divided: as many models are trained, each "
        "without one part, which it then predicts, so that all of these images choose threshold, temperature "
        "and weights; the models decide together. Ours, at so many times the work; data with a split of "
        "their own keep it, and the models differ by their seeds, so that a method without a seed is trained "
        "once. Unset: one model, and data.validation_fraction says how many images choose",
        ge=2,
        le=20,
    )
    decision: Literal["youden", "argmax"] | None = setting(
        None,
        "which class an image is called: from the threshold of Youden's index on the validation images up, "
        "for two classes, or the likeliest; ours; unset: youden for two classes, argmax for more",
    )
    sensitivity: tuple[str, float] | None = setting(
        None,
        "the highest threshold at which the validation images of a class are called so at this share or "
        "more, such as malignant=0.95, in place of both; ours; unset: none",
    )
    costs: tuple[tuple[str, str, float], ...] | None = setting(
        None,
        "calls of least expected cost by calibrated probabilities, in place of both: a list of [class, "
        "called so, cost], such as [[malignant, benign, 5]]; other mistakes cost 1, right calls 0; ours; "
        "unset: none",
    )

    @model_validator(mode="after")
    def _trains_each_model_once(self) -> ProtocolSettings:
        if self.refit and self.cross_fit:
            raise ValueError(
                "protocol.refit and protocol.cross_fit = "
                f"{self.cross_fit}: in a cross-fit all images are learned from already; leave out one"
            )
        return self

    @field_validator("sensitivity", mode="before")
    @classmethod
    def _of_a_class(cls, value: object) -> object:
        if value is None:
            return None
        parts = value.rpartition("=")[::2] if isinstance(value, str) else value
        try:
            name, share = str(parts[0]), float(parts[1])  # type: ignore[index]
        except (TypeError, ValueError, LookupError):
            name, share = "", 0.0
        if not (name and 0 < share <= 1):
            raise ValueError("expected a class and a share above 0, up to 1, such as malignant=0.95")
        return name, share

    @field_validator("costs")
    @classmethod
    def _of_mistakes(cls, value: tuple[tuple[str, str, float], ...] | None) -> object:
        pairs = [(true, called) for true, called, _ in value or ()]
        if twice := [pair for pair in pairs if pairs.count(pair) > 1]:
            raise ValueError(f"{' called '.join(twice[0])} has two costs: keep one of them")
        for true, called, cost in value or ():
            if true == called or cost < 0:
                raise ValueError(
                    f"[{true}, {called}, {cost:g}]: expected two classes and a cost of 0 or more"
                )
        return value

    @model_validator(mode="after")
    def _has_one_rule(self) -> ProtocolSettings:
        rules = [name for name in ("decision", "sensitivity", "costs") if getattr(self, name) is not None]
        if len(rules) > 1:
            names = " and ".join(f"protocol.{name}" for name in rules)
            raise ValueError(f"{names}: images are called by one rule; set one of them")
        return self


class EnsembleSettings(Section):
    """What the method `ensemble` joins."""

    members: tuple[str, ...] = setting(
        (), "names of the methods that decide together; two or more", max_length=20
    )
    weights: Literal["greedy", "equal"] = setting(
        "greedy",
        "how much each counts: chosen on the validation images, after Caruana et al. (ICML 2004), unless "
        "equal weights do as well on images that the choice has not seen (ours), or equal",
    )

    @field_validator("members", mode="before")
    @classmethod
    def _names_of_methods(cls, value: object) -> object:
        return different_names(value, "names of methods, all different, such as hog_geometry,cells7")


class Settings(Section):
    """All settings of a run, under the name of the profile that they started from.

    `given` are those that were set over the profile; no dump has them apart.
    """

    profile: str = "paper"
    data: DataSettings = DataSettings()
    search: SearchSettings = SearchSettings()
    retrain: RetrainSettings = RetrainSettings()
    boosted: BoostedSettings = BoostedSettings()
    backbone: BackboneSettings = BackboneSettings()
    enas_b: EnasBSettings = EnasBSettings()
    classical: ClassicalSettings = ClassicalSettings()
    protocol: ProtocolSettings = ProtocolSettings()
    ensemble: EnsembleSettings = EnsembleSettings()

    _names: frozenset[str] = PrivateAttr(default=frozenset())  # of what was given

    @model_validator(mode="after")
    def _grades_have_an_order(self) -> Settings:
        if self.retrain.loss == "ordinal" and self.data.ordered is None:
            raise ValueError(
                "retrain.loss = ordinal is for ordered classes: name them from the least to the most, "
                "data.ordered, or train with retrain.loss = cross_entropy"
            )
        return self

    @model_validator(mode="after")
    def _searches_from_weights_that_there_are(self) -> Settings:
        if self.search.space != "boosted":
            return self
        if chosen := self.boosted.model_dump(exclude_defaults=True).keys() - {"variant", "pretrained"}:
            raise ValueError(
                f"boosted.{min(chosen)} is among what search.space = boosted searches: leave one of them out"
            )
        if not self.boosted.pretrained:
            raise ValueError(
                "search.space = boosted starts from ImageNet weights, and boosted.pretrained is false: take "
                "the profile cpu_pretrained or patches_pretrained, or set it true"
            )
        return self

    @property
    def given(self) -> dict[str, object]:
        """What was set over the profile, by dotted name."""
        names = {name: name.split(".") for name in sorted(self._names)}
        return {name: getattr(getattr(self, section), key) for name, (section, key) in names.items()}


KEYS = {  # every dotted name with its description
    f"{section}.{name}": field.description or ""
    for section, sub in Settings.model_fields.items()
    if isinstance(sub.default, Section)
    for name, field in type(sub.default).model_fields.items()
}


def check_folds(folds: int, fold: int | None, seed: int) -> None:
    """Raise `SettingsError` for folds, one of them to set aside, and a seed that cannot be.

    1 fold is what data with a split of their own have.
    """
    if folds < 1:
        raise SettingsError(f"folds = {folds}: expected 2 or more, or 1 for data with a split of their own")
    if fold is not None and not 0 <= fold < folds:
        raise SettingsError(f"fold = {fold}: there are {folds} folds, counted from 0")
    if not 0 <= seed <= LARGEST_SEED:
        raise SettingsError(f"seed = {seed}: expected a whole number from 0 to {LARGEST_SEED}")


def require_one_training_of_cells(settings: Settings, what: str) -> None:
    """Raise `SettingsError` where the settings ask for more than `what` does: one training, of cells."""
    if settings.protocol.cross_fit:
        raise SettingsError(
            f"protocol.cross_fit = {settings.protocol.cross_fit}: {what} trains once; leave the setting out, "
            "or train a method such as enas7, whose parts have each a search of their own"
        )
    if settings.search.space != "cells":
        raise SettingsError(
            f"search.space = {settings.search.space}: {what} is of cells; leave the setting out, or train "
            "enas_boosted, whose search and retraining are of that space"
        )
