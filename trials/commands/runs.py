"""Verbs that search and train: one run each."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from trials.commands.base import (
    Outcome,
    Verb,
    check_layout,
    outline,
    refuse_alone,
    run_arguments,
    settings_of,
    split_of,
    warning_lines,
    whole_number,
)
from trials.methods.registry import find_method
from trials.runs.layout import ARCHITECTURE, EXTERNAL_PREDICTIONS, SEARCHES


def _search_arguments(parser: argparse.ArgumentParser) -> None:
    run_arguments(parser)
    parser.add_argument("--strategy", choices=tuple(SEARCHES), help="ENAS, or a control of equal budget")
    _start_argument(parser)
    parser.add_argument(
        "--devices",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="GPUs, or processes where there is none, that divide each batch (default: 1)",
    )


def _start_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--start",
        metavar="RUN",
        help="finished search, of other data too, whose shared weights are the start",
    )


def _search(arguments: argparse.Namespace) -> Outcome:
    """Search for cells, or in search.space; write architecture.json, candidates.json, search.json."""
    named = {"search.strategy": arguments.strategy, "search.start": arguments.start}
    settings = settings_of(arguments, **named)
    split = split_of(arguments, settings)
    from trials.pipeline.search import run_search

    options = {"devices": arguments.devices, "dry_run": arguments.dry_run}
    try:
        result = run_search(split, settings, arguments.out, **options)
    except SystemExit as end:
        if end.code == 0:  # of a process that shared the search; the one that started it prints the result
            os._exit(0)
        raise
    if arguments.dry_run:
        return result, outline(result), True
    text = f"best architecture: {arguments.out / ARCHITECTURE} ({result['metric']} {result['score']:.3f})"
    return result, "\n".join([text, *warning_lines(result)]), True


def _run_outcome(arguments: argparse.Namespace, result: dict[str, Any], *more: str) -> Outcome:
    """Return a finished run's result, or what a dry run tells."""
    if arguments.dry_run:
        return result, outline(result), True
    judged = ("test", "test_at_0.5") if result["test"] else ("validation",)
    shown = (*judged, "threshold", "parameters", *more)
    lines = [
        str(arguments.out),
        outline({key: result[key] for key in shown if result[key] is not None}),
        *_external_lines(arguments, result),
        *warning_lines(result),
    ]
    return result, "\n".join(lines), True


def _external_lines(arguments: argparse.Namespace, result: dict[str, Any]) -> list[str]:
    """Say where the answers for external images are; a report scores all folds' models together."""
    if not result["external"]:
        return []
    file = arguments.out / EXTERNAL_PREDICTIONS
    return [f"external = {result['external']}: answers in {file}, scored by `lesion-nas report`"]


def _retrain_arguments(parser: argparse.ArgumentParser) -> None:
    run_arguments(parser)
    parser.add_argument("--architecture", type=Path, required=True, help=f"{ARCHITECTURE} of a search")
    parser.add_argument("--layout", required=True, help="enas7, enas17 or any other enasN")
    _start_argument(parser)


def _retrain(arguments: argparse.Namespace) -> Outcome:
    """Train a found architecture and test it on the fold set aside."""
    settings = settings_of(arguments, **{"retrain.start": arguments.start})
    check_layout(arguments.layout)
    split = split_of(arguments, settings)
    from trials.pipeline.train import run_retrain

    options = {"layout": arguments.layout, "dry_run": arguments.dry_run}
    result = run_retrain(split, settings, arguments.architecture, arguments.out, **options)
    return _run_outcome(arguments, result, "search_overlap")


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    run_arguments(parser)
    parser.add_argument(
        "--method",
        required=True,
        help="enas7, hog, timm:NAME, torchvision:NAME, features:timm:NAME, ...; a wrong name lists them all",
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--external", type=Path, help="another data set, to test the frozen model on")
    parser.add_argument(
        "--external-group-column", metavar="HEADING", help="the group column of that data set"
    )
    shown.add_argument(
        "--untested",
        action="store_true",
        help="look at no test image: judge by the validation images, by which settings may be chosen",
    )


def _train(arguments: argparse.Namespace) -> Outcome:
    """Train and test one method, searched, known or cheap, under the comparison protocol."""
    refuse_alone(arguments, external_group_column="external")
    settings = settings_of(arguments)
    find_method(arguments.method).settings(settings)  # wrong names end here
    split = split_of(arguments, settings)
    from trials.data.load import load_external
    from trials.pipeline.train import run_train

    external = load_external(arguments.external, settings, split.data) if arguments.external else None
    result = run_train(
        split,
        settings,
        arguments.method,
        arguments.out,
        external=external,
        tested=not arguments.untested,
        dry_run=arguments.dry_run,
    )
    return _run_outcome(arguments, result)


def _rank_arguments(parser: argparse.ArgumentParser) -> None:
    run_arguments(parser)
    parser.add_argument(
        "--index",
        type=whole_number(0),
        required=True,
        help="0: what ENAS found; 1 to COUNT: of a random search, best first",
    )
    parser.add_argument(
        "--count", type=whole_number(2), default=12, help="of the random search's candidates (default: 12)"
    )
    parser.add_argument("--layout", default="enas7", help="enas7 (default), enas17 or any other enasN")


def _rank(arguments: argparse.Namespace) -> Outcome:
    """Train a search's candidate alone, to see whether its cheap score ranks rightly."""
    settings = settings_of(arguments)
    check_layout(arguments.layout)
    split = split_of(arguments, settings)
    from trials.pipeline.ranking import run_rank
    from trials.pipeline.scores import headline_of
    from trials.runs.predictions import classes_of

    result = run_rank(
        split,
        settings,
        arguments.index,
        arguments.out,
        layout=arguments.layout,
        count=arguments.count,
        dry_run=arguments.dry_run,
    )
    if arguments.dry_run:
        return result, outline(result), True
    headline = headline_of(classes_of(result))
    shown: dict[str, Any] = {
        name: result[name] for name in ("candidate", "parameters", "macs", "proxies") if name in result
    }
    shown[f"validation.{headline}"] = result["validation"][headline]
    return result, f"{arguments.out}\n{outline(shown)}", True


VERBS = (
    Verb("search", _search, _search_arguments, resumes=True),
    Verb("retrain", _retrain, _retrain_arguments, resumes=True),
    Verb("train", _train, _train_arguments, resumes=True),
    Verb("rank", _rank, _rank_arguments, resumes=True),
)
