"""Runs on the data set in a folder: loaded, split and run in one call, as the command does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trials.data.load import load_external
from trials.data.split import Split
from trials.pipeline.ranking import run_rank
from trials.pipeline.search import run_search
from trials.pipeline.train import run_retrain, run_train
from trials.settings.load import load_settings
from trials.settings.schema import Settings


def search_on(data: Path, *, out: Path, settings: Settings, **more: Any) -> dict[str, Any]:
    return run_search(_split(data, settings, more), settings, out, **more)


def retrain_on(
    data: Path, architecture: Path, *, out: Path, settings: Settings, **more: Any
) -> dict[str, Any]:
    return run_retrain(_split(data, settings, more), settings, architecture, out, **more)


def train_on(
    data: Path,
    method: str,
    *,
    out: Path,
    profile: str = "cpu",
    overrides: Mapping[str, object] | None = None,
    external: Path | None = None,
    **more: Any,
) -> dict[str, Any]:
    settings = load_settings(profile, overrides)
    split = _split(data, settings, more)
    other = load_external(external, settings, split.data) if external else None
    return run_train(split, settings, method, out, external=other, **more)


def rank_on(
    data: Path,
    index: int,
    *,
    out: Path,
    profile: str = "cpu",
    overrides: Mapping[str, object] | None = None,
    **more: Any,
) -> dict[str, Any]:
    settings = load_settings(profile, overrides)
    return run_rank(_split(data, settings, more), settings, index, out, **more)


def _split(data: Path, settings: Settings, arguments: dict[str, Any]) -> Split:
    """Split by the folds, fold and seed among the arguments, which are taken out."""
    place = {name: arguments.pop(name) for name in ("folds", "fold", "seed") if name in arguments}
    return Split.load(data, settings, **place)
