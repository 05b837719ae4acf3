"""Verbs on data sets: check one, cut lesions out of published frames, remove what is kept of large ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from trials.commands.base import (
    Outcome,
    Verb,
    class_and_group_arguments,
    given_with_options,
    group_arguments,
    whole_number,
)
from trials.errors import SettingsError
from trials.settings.load import load_settings


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help="folder or .npz of lesion images")
    parser.add_argument(
        "--folds", type=whole_number(2), default=5, help="outer folds that must be possible (default: 5)"
    )
    class_and_group_arguments(parser)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting of data that differs"
    )


def _verify(arguments: argparse.Namespace) -> Outcome:
    """Check a data set before anything long."""
    given = given_with_options(arguments)
    if others := [name for name in given if not name.startswith("data.")]:
        raise SettingsError(f"{others[0]}: verify reads data alone; name settings of data, or leave it out")
    settings = load_settings("cpu", given).data
    from trials.data.checks import verify
    from trials.data.load import reading

    report = verify(arguments.data, folds=arguments.folds, **reading(settings))
    return report.to_dict(), report.text(), report.ok


def _prepare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="frames and masks, such as BUSI")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    group_arguments(parser)


def _prepare(arguments: argparse.Namespace) -> Outcome:
    """Cut the lesions out of published full frames; write crops and a manifest."""
    from trials.data.prepare import prepare

    prepared = prepare(
        arguments.source, arguments.out, group_column=arguments.group_column, accept=arguments.accept or ()
    )
    return prepared.to_dict(), prepared.text(), True


def _cache_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clear", action="store_true", help="remove all of it")


def _cache(arguments: argparse.Namespace) -> Outcome:
    """Say what is kept of large data sets for later runs, and where; or remove it."""
    from trials.data import cache

    busy = cache.clear() if arguments.clear else []
    entries, place = cache.entries(), str(cache.folder())
    result = {"folder": place, "limit": cache.limit(), "entries": entries, "in_use": busy}
    lines = [f"{place}: {sum(entries.values()) / 1e9:,.2f} of {cache.limit() / 1e9:,.0f} GB"]
    lines += [f"{name}: {size / 1e9:,.2f} GB" for name, size in entries.items()]
    lines += [f"{name}: is being made by another process and was not removed" for name in busy]
    return result, "\n".join(lines if entries or busy else [f"{place}: empty"]), True


VERBS = (
    Verb("verify", _verify, _verify_arguments),
    Verb("prepare", _prepare, _prepare_arguments),
    Verb("cache", _cache, _cache_arguments),
)
