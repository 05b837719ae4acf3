"""What the verbs of the command share: their form, common options, and what these mean.

A verb imports what it needs when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trials.errors import SettingsError
from trials.settings.load import flat, load_settings, parse_assignment, profiles, read_overrides
from trials.settings.schema import Settings, check_folds
from trials.settings.section import LARGEST_SEED

if TYPE_CHECKING:
    from trials.data.split import Split

LARGEST_PORT = 65535
Outcome = tuple[Any, str, bool]  # what --json prints, what a reader gets instead, and whether all is well


@dataclass(frozen=True)
class Verb:
    """A verb of the command: what runs it, whose docstring is its help, and what adds its options.

    One that `resumes` goes on where it was by the same command.
    """

    name: str
    run: Callable[[argparse.Namespace], Outcome]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    resumes: bool = False


def class_and_group_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options on how a data set is read: its positive class, and those of `group_arguments`."""
    parser.add_argument("--positive", help="name of the positive class (default: malignant, if it is there)")
    group_arguments(parser)


def group_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options on groups, and on problems that are none in these data."""
    parser.add_argument(
        "--group-column",
        metavar="HEADING",
        help="manifest column of groups that stay together, `folder` or `none` (default: by the headings)",
    )
    parser.add_argument(
        "--accept",
        type=lambda text: text.split(","),
        metavar="KIND[,KIND]",
        help="checks to accept as they are in these data: labels, left_out, groups",
    )


def settings_arguments(parser: argparse.ArgumentParser, of: str = "") -> None:
    """Add the options of settings that differ, `of` all trials perhaps."""
    parser.add_argument("--settings", type=Path, help=f"JSON or YAML file of settings{of} that differ")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=f"one setting{of} that differs"
    )


def port_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option of the web UI's port; 0 takes one that is free."""
    parser.add_argument(
        "--port",
        type=whole_number(0, LARGEST_PORT),
        help="of the web UI (default: 8080, or another if that is taken)",
    )


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of every verb that searches or trains."""
    parser.add_argument("--data", type=Path, required=True, help="folder or .npz of lesion images")
    parser.add_argument("--out", type=Path, required=True, help="output folder, resumed if it holds this run")
    parser.add_argument(
        "--folds", type=whole_number(1), help="number of outer folds (default: 5 with --fold)"
    )
    parser.add_argument("--fold", type=whole_number(0), help="outer fold kept for the test (default: none)")
    parser.add_argument(
        "--seed", type=whole_number(0, LARGEST_SEED), default=0, help="of all that is random (default: 0)"
    )
    parser.add_argument(
        "--profile", choices=profiles(), default="cpu", help="settings to start from (default: cpu)"
    )
    settings_arguments(parser)
    parser.add_argument(
        "--sensitivity",
        metavar="CLASS=SHARE",
        help="call a class so that this share of its validation images is found, such as malignant=0.95",
    )
    class_and_group_arguments(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="settings, data, estimated time, memory and disk"
    )
    parser.set_defaults(trains=True)


def settings_of(arguments: argparse.Namespace, **named: object) -> Settings:
    """Return the settings in force: the profile's, the file's, then --set, then the options that name one."""
    named["protocol.sensitivity"] = arguments.sensitivity
    named["data.external_group_column"] = getattr(arguments, "external_group_column", None)
    told = {key: value for key, value in named.items() if value is not None}
    return load_settings(arguments.profile, given_with_options(arguments) | told)


def given_settings(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the settings of the file that is named, if any, then those of --set, by dotted name."""
    file = getattr(arguments, "settings", None)  # verify has none
    overrides = dict(flat(read_overrides(file))) if file else {}
    return overrides | dict(map(parse_assignment, arguments.set))


def given_with_options(arguments: argparse.Namespace) -> dict[str, object]:
    """Return `given_settings`, then those of `class_and_group_arguments`."""
    options = {name: getattr(arguments, name) for name in ("positive", "group_column", "accept")}
    told = {f"data.{name}": value for name, value in options.items() if value is not None}
    return given_settings(arguments) | told


def split_of(arguments: argparse.Namespace, settings: Settings) -> Split:
    """Return the data, loaded and split; raises `SettingsError` where folds and seed make no sense."""
    folds, fold = 5 if arguments.folds is None else arguments.folds, arguments.fold
    check_folds(folds, fold, arguments.seed)
    if fold is None and arguments.folds is not None:
        raise SettingsError("--folds needs --fold: which of them is set aside?")
    from trials.data.split import Split
    from trials.runs.folder import check_place

    check_place(arguments.out)  # of a dry run too
    return Split.load(arguments.data, settings, folds=folds, fold=fold, seed=arguments.seed)


def refuse_alone(arguments: argparse.Namespace, **options: str) -> None:
    """Raise `SettingsError` for an option that has no use without another one, as `options` name them."""
    for option, other in options.items():
        if getattr(arguments, option) and not getattr(arguments, other):
            raise SettingsError(
                f"--{option.replace('_', '-')} is of --{other}: name that too, or leave it out"
            )


def refuse_results_among_images(arguments: argparse.Namespace) -> None:
    """Raise `DataError` where what the verb writes would lie among the images that it reads."""
    out = getattr(arguments, "out", None)
    for data in (getattr(arguments, name, None) for name in ("data", "external", "source")):
        if data and out and Path(out).resolve().is_relative_to(Path(data).resolve()):
            from trials.data.readers.choose import refuse_inside  # late, as what the verbs need

            refuse_inside(data, out)


def whole_number(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """Return the type of an option that is a whole number within limits."""

    def read(text: str) -> int:
        limits = f"from {lowest} " + ("up" if highest is None else f"to {highest}")
        try:
            number = int(text)
        except ValueError:
            raise ArgumentTypeError(f"{text}: expected a whole number {limits}") from None
        if number < lowest or (highest is not None and number > highest):
            raise ArgumentTypeError(f"{text}: expected a whole number {limits}")
        return number

    return read


def check_layout(name: str) -> None:
    """Raise ValueError for an impossible layout, before torch is imported."""
    from search_space.enas.layouts import parse_layout

    parse_layout(name)


def warning_lines(result: Mapping[str, Any]) -> list[str]:
    """Return a line for each warning in a result."""
    return [f"warning: {warning}" for warning in result.get("warnings") or []]


def outline(values: Mapping[str, Any]) -> str:
    """Return nested JSON values as lines to read, each under a dotted name; objects in a list are counted."""
    return "\n".join(f"{name} = {value}" for name, value in _leaves(values))


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            yield f"{prefix}{name}", f"{len(value)}, listed with --json"
        else:
            yield f"{prefix}{name}", value
