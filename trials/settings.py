"""The one configuration of searches and retrainings, typed and validated.

Field defaults are the paper's: Ahmed, Du and AlZoubi (MIDL 2020, arXiv 2005.13695) where they say, else ENAS's own
(Pham et al. 2018, arXiv 1802.03268, and the released code), else a choice of ours, and each description says which. A
profile is a list of differences from them; `--set key=value`, a settings file and NNI's trial parameters override a
profile by the same dotted names.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

AUXILIARY_WEIGHT = 0.4  # of the auxiliary head's loss beside the main one; ENAS's released code


class SettingsError(ValueError):
    """A setting that does not exist or has a value that it cannot have."""


class Section(BaseModel):
    """Values that never change once they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(Section):
    """How images become the networks' input."""

    image_size: int = Field(100, ge=16, description="side of the square input, pixels; the paper's 100")
    channels: Literal[1, 3] = Field(3, description="input channels; the paper's networks count 3 (grey is repeated)")
    fit: Literal["squash", "pad"] = Field(
        "squash", description="squash the crop to a square as the paper does, or pad it to keep its proportions"
    )
    expand: bool = Field(True, description="train on the paper's expanded set: rotated, mirrored, rank-k copies")
    augmentation: Literal["none", "paper", "ultrasound"] = Field(
        "none",
        description="drawn anew for every batch: the paper's transformations, or gentler ones that suit ultrasound "
        "(ours); the paper expands its training set beforehand instead",
    )
    class_balance: Literal["none", "weighted_loss", "balanced_sampling"] = Field(
        "none", description="answer to unequal classes; the paper's set is balanced and needs none"
    )
    positive: str = Field("malignant", description="name of the positive class; the paper's")
    group_column: str | None = Field(
        None, description="manifest column that names what must stay together; unset: duplicate_group, if present"
    )
    validation_fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="of the training images, held out by groups for rewards and decision thresholds; ENAS's 10 %",
    )


class TrainingSettings(Section):
    """What a search's shared weights and a retrained network have in common."""

    epochs: int = Field(ge=1, description="passes over the training images")
    batch_size: int = Field(8, ge=2, description="images a step; the paper's 8")
    max_steps: int | None = Field(None, ge=1, description="stop after so many steps (ours); unset: all epochs")
    filters: int = Field(ge=2, description="F of the first cells, doubled at each reduction")
    learning_rate: float = Field(0.05, gt=0, description="highest learning rate; ENAS's")
    learning_rate_min: float = Field(ge=0, description="lowest learning rate; ENAS's")
    schedule: Literal["restarts", "one_cycle"] = Field(
        "restarts",
        description="ENAS's cosine with warm restarts, which the paper's 100 epochs leave unannealed, or one cycle: "
        "warm-up, then one cosine down to the lowest rate on the last step (ours)",
    )
    t0: int = Field(10, ge=1, description="epochs before the first restart; ENAS's")
    t_mul: int = Field(2, ge=1, description="growth of the interval between restarts; ENAS's")
    warm_up: float = Field(0.1, ge=0, lt=1, description="share of the steps one_cycle warms up for; ours")
    momentum: float = Field(0.9, ge=0, lt=1, description="Nesterov momentum; ENAS's")
    weight_decay: float = Field(
        ge=0, description="PyTorch's weight decay, on every weight: twice the lambda of ENAS's loss term lambda * w^2"
    )
    dropout: float = Field(ge=0, lt=1, description="share dropped before the classifier; ENAS's")
    auxiliary: bool = Field(
        True,
        description=f"train with an auxiliary head, its loss weighted {AUXILIARY_WEIGHT}; ENAS does (but leaves the "
        "head's own weights untrained; here they are trained)",
    )


class SearchSettings(TrainingSettings):
    """One search: shared weights, controller, final ranking."""

    strategy: Literal["enas", "random"] = Field("enas", description="ENAS, or the random control of equal budget")
    epochs: int = Field(150, ge=1, description="passes over the training images; ENAS's")
    normal_cells: int = Field(6, ge=1, description="normal cells of the shared network; ENAS's")
    nodes: int = Field(5, ge=1, description="nodes in a cell; ENAS's")
    filters: int = Field(20, ge=2, description="filters of the first cells; ENAS's")
    image_size: int | None = Field(None, ge=16, description="search at this size; unset: data.image_size")
    learning_rate_min: float = Field(0.0005, ge=0, description="lowest learning rate; ENAS's")
    weight_decay: float = Field(2e-4, ge=0, description="PyTorch's weight decay; ENAS's lambda 1e-4, doubled")
    dropout: float = Field(0.1, ge=0, lt=1, description="share dropped before the classifier; ENAS's")
    warmup_epochs: int = Field(0, ge=0, description="epochs before the controller learns; ENAS has none")
    controller_updates: int = Field(30, ge=0, description="controller updates after every epoch; ENAS's")
    controller_samples: int = Field(10, ge=1, description="architectures averaged in an update; ENAS's")
    reward_batch_size: int = Field(8, ge=1, description="validation images a reward; as the batch, which is ENAS's rule")
    final_samples: int = Field(100, ge=1, description="architectures scored at the end; ours, the papers are silent")
    top_k: int = Field(10, ge=1, description="best architectures exported; ours")

    @property
    def layout(self) -> str:
        """Name of the shared network's layout: ENAS adds two reduction cells to the normal ones."""
        return f"enas{self.normal_cells + 2}"


class RetrainSettings(TrainingSettings):
    """One final network, trained from scratch."""

    epochs: int = Field(100, ge=1, description="passes over the training images; the paper's")
    filters: int = Field(36, ge=2, description="filters of the first cells; ENAS's, and the paper's by its counts")
    learning_rate_min: float = Field(0.0001, ge=0, description="lowest learning rate; ENAS's")
    weight_decay: float = Field(4e-4, ge=0, description="PyTorch's weight decay; ENAS's lambda 2e-4, doubled")
    dropout: float = Field(0.2, ge=0, lt=1, description="share dropped before the classifier; ENAS's")
    drop_path: float = Field(0.4, ge=0, lt=1, description="highest share of dropped paths; ENAS's")


class Settings(Section):
    """All settings of a run, under the name of the profile that they started from."""

    profile: str = "paper"
    data: DataSettings = DataSettings()
    search: SearchSettings = SearchSettings()
    retrain: RetrainSettings = RetrainSettings()


_AFFORDABLE: dict[str, object] = {  # ours, common to the profiles for processors without an accelerator
    "data.expand": False,
    "data.augmentation": "paper",
    "data.class_balance": "weighted_loss",
    "data.validation_fraction": 0.2,
    "search.schedule": "one_cycle",
    "search.auxiliary": False,
    "retrain.schedule": "one_cycle",
    "retrain.auxiliary": False,
}

PROFILES: dict[str, dict[str, object]] = {
    "paper": {},
    "cpu": _AFFORDABLE
    | {
        "data.image_size": 64,
        "search.epochs": 12,
        "search.batch_size": 16,
        "search.normal_cells": 3,
        "search.filters": 8,
        "search.image_size": 48,
        "search.reward_batch_size": 32,
        "retrain.epochs": 30,
        "retrain.batch_size": 16,
        "retrain.filters": 12,
        "retrain.drop_path": 0.2,
    },
    "quick": _AFFORDABLE
    | {
        "data.image_size": 32,
        "search.epochs": 2,
        "search.batch_size": 16,
        "search.normal_cells": 1,
        "search.filters": 4,
        "search.controller_updates": 5,
        "search.controller_samples": 4,
        "search.reward_batch_size": 16,
        "search.final_samples": 10,
        "search.top_k": 3,
        "retrain.epochs": 3,
        "retrain.batch_size": 16,
        "retrain.filters": 4,
        "retrain.drop_path": 0.0,
    },
}


def load_settings(profile: str = "cpu", overrides: Mapping[str, object] | None = None) -> Settings:
    """Return a profile's settings with `overrides`, whose keys are dotted (`retrain.epochs`) or nested mappings.

    Raises `SettingsError` for a profile or key that does not exist, naming the nearest one that does, and for a value
    that a setting cannot have.
    """
    if profile not in PROFILES:
        raise SettingsError(f"no profile {profile!r}{_nearest(profile, PROFILES)}; there are {', '.join(PROFILES)}")
    values = PROFILES[profile] | dict(_flat(overrides or {}))
    nested: dict[str, dict[str, object]] = {}
    for key, value in values.items():
        if key not in KEYS:
            raise SettingsError(f"no setting {key!r}{_nearest(key, KEYS)}; `--dry-run` lists them all")
        section, name = key.split(".")
        nested.setdefault(section, {})[name] = value
    try:
        return Settings.model_validate({"profile": profile, **nested})
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(problem) for problem in error.errors())) from None


def read_overrides(path: Path) -> dict[str, object]:
    """Read overrides from a JSON or YAML file; raises `SettingsError` where it holds no mapping."""
    import yaml  # type: ignore[import-untyped]  # NNI's own dependency; few commands need it

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))  # every JSON file is YAML too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot read settings: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: expected a mapping such as {{'retrain.epochs': 20}}, found {values!r}")
    return values


def parse_assignment(text: str) -> tuple[str, object]:
    """Split `key=value` from a command line; the value is read as JSON where it is JSON, else as text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise SettingsError(f"--set expects key=value such as retrain.epochs=20, found {text!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def _known_keys() -> dict[str, str]:
    sections = {"data": DataSettings, "search": SearchSettings, "retrain": RetrainSettings}
    return {
        f"{section}.{name}": field.description or ""
        for section, model in sections.items()
        for name, field in model.model_fields.items()
    }


KEYS = _known_keys()  # every dotted key with its description


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _nearest(word: str, known: Mapping[str, object]) -> str:
    by_last_part = {key.rpartition(".")[2]: key for key in known}
    close = difflib.get_close_matches(word, known, 1) or difflib.get_close_matches(word, by_last_part, 1)
    return f" (nearest: {by_last_part.get(close[0], close[0])})" if close else ""


def _sentence(problem: Mapping[str, object]) -> str:
    location = problem["loc"]
    key = ".".join(map(str, location)) if isinstance(location, tuple) else str(location)
    return f"{key} = {problem['input']!r}: {problem['msg']} ({KEYS.get(key, 'unknown')})"
