"""Settings from a profile and a user's own values: `--set key=value`, a settings file, NNI's parameters.

All name a setting by the same dotted names (`retrain.epochs`). `profiles.yml` holds the profiles.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from search_space.regular_files import read_file
from trials.errors import SettingsError, reason
from trials.settings.data import GRADED
from trials.settings.schema import KEYS, Settings
from trials.settings.section import BOOLEAN


@cache
def _file() -> dict[str, dict[str, dict[str, object]]]:
    known: dict[str, dict[str, dict[str, object]]] = read_yaml(
        Path(__file__).with_name("profiles.yml").read_text(encoding="utf-8")
    )
    return known


def profiles() -> dict[str, dict[str, object]]:
    """Return what each profile changes of the settings' defaults, by name."""
    return _file()["profiles"]


def load_settings(profile: str = "cpu", overrides: Mapping[str, object] | None = None) -> Settings:
    """Return a profile's settings with `overrides` over them, by dotted names or as nested mappings.

    Between them stands what a search's space brings, where the overrides name one.
    Raises `SettingsError` for a profile or key that does not exist, naming the nearest one that does, and
    for a value that a setting cannot have.
    """
    if profile not in profiles():
        raise SettingsError(
            f"no profile {profile!r}{_nearest(profile, profiles())}; there are {', '.join(profiles())}"
        )
    chosen = dict(flat(overrides or {}))
    of_space = _file()["spaces"].get(str(chosen.get("search.space")), {})
    values = profiles()[profile] | of_space | chosen
    if chosen.get("data.augmentation", GRADED[0]) not in GRADED:  # a profile's strength is meant for its own
        values["data.augmentation_strength"] = chosen.get("data.augmentation_strength", 1.0)
    nested: dict[str, dict[str, object]] = {}
    for key, value in values.items():
        if key not in KEYS:
            raise SettingsError(
                f"no setting {key!r}{_nearest(key, KEYS)}; docs/reference/settings.md lists them all"
            )
        section, name = key.split(".")
        nested.setdefault(section, {})[name] = value
    try:
        settings = Settings.model_validate({"profile": profile, **nested})
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(problem) for problem in error.errors())) from None
    settings._names = frozenset(chosen)
    return settings


def with_changes(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """Return the settings with `changes` over what was given; raises as `load_settings`."""
    return load_settings(settings.profile, settings.given | dict(flat(changes)))


def with_defaults(settings: Settings, defaults: Mapping[str, object]) -> Settings:
    """Return the settings with `defaults` over the profile and under what was given."""
    return load_settings(settings.profile, {**defaults, **settings.given})


def without(settings: Settings, names: Collection[str]) -> Settings:
    """Return the settings as if those called `names` had not been given."""
    kept = {name: value for name, value in settings.given.items() if name not in names}
    return load_settings(settings.profile, kept)


class _Once(yaml.SafeLoader):
    """Refuses what YAML 1.2 forbids and PyYAML takes the last of."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in {str(key) for key in keys if keys.count(key) > 1}:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key!r} is there twice; keep one of them", node.start_mark
            )
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def read_yaml(text: str) -> Any:
    """Return the value of a YAML text; raises `yaml.YAMLError` for none, and for a repeated key."""
    return yaml.load(text, _Once)


def read_overrides(path: Path) -> dict[str, object]:
    """Read overrides from a JSON or YAML file; raises `SettingsError` where it holds no mapping."""
    try:
        values = read_yaml(read_file(path).decode())  # every JSON file is YAML too
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # a date 2026-02-30: ValueError
        raise SettingsError(f"{path}: cannot read settings: {reason(error)}") from None
    twice = Counter(key for key, _ in flat(values)) if isinstance(values, dict) else Counter[str]()
    for key in (key for key, count in twice.items() if count > 1):
        raise SettingsError(f"{path}: {key} is there twice, nested and with dots; keep one of them")
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
    except (ValueError, RecursionError):
        return key, value


def flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of nested mappings, each under its dotted name."""
    for key, value in values.items():
        if isinstance(value, Mapping) and prefix.count(".") < 2:  # YAML can hold itself, without end
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _nearest(word: str, known: Mapping[str, object]) -> str:
    by_last_part = {key.rpartition(".")[2]: key for key in known}
    close = difflib.get_close_matches(word, known, 1) or difflib.get_close_matches(word, by_last_part, 1)
    return f" (nearest: {by_last_part.get(close[0], close[0])})" if close else ""


def _sentence(problem: Mapping[str, object]) -> str:
    location, found = problem["loc"], problem["input"]
    key = ".".join(map(str, location[:2])) if isinstance(location, tuple) else str(location)  # then places
    if problem["type"] == BOOLEAN and isinstance(context := problem["ctx"], dict):
        key, found = f"{key}.{context['name']}", context["input"]
    message = str(problem["msg"]).removeprefix("Value error, ")
    if key not in KEYS:  # of several settings together, whose message names them
        return message
    return f"{key} = {found!r}: {message} ({KEYS[key]})"
