"""The verb of a whole study."""

from __future__ import annotations

import argparse
from pathlib import Path

from trials.commands.base import (
    Outcome,
    Verb,
    class_and_group_arguments,
    given_with_options,
    port_argument,
    settings_arguments,
    whole_number,
)
from trials.commands.experiments import stop_in_order


def _hours(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 10_000:
        raise argparse.ArgumentTypeError(f"{text}: expected hours, a number above 0")
    return number


def _study_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help="folder or .npz of lesion images")
    parser.add_argument(
        "--out", type=Path, required=True, help="output folder; the same command goes on there"
    )
    parser.add_argument("--external", type=Path, help="another data set, to test the frozen models on")
    parser.add_argument(
        "--hours",
        type=_hours,
        default=1.0,
        help="what does not fit is cut: parts, steps of networks, then methods (default: 1)",
    )
    parser.add_argument(
        "--methods",
        type=lambda text: text.split(","),
        default=[],
        metavar="METHOD[,METHOD]",
        help="hog, cells7, ... (default: by the data)",
    )
    parser.add_argument(
        "--seeds",
        type=whole_number(2, 20),
        default=3,
        help="trainings of each method in each fold, at most, each without another part (default: 3)",
    )
    parser.add_argument("--folds", type=whole_number(2), default=5, help="number of outer folds (default: 5)")
    class_and_group_arguments(parser)
    settings_arguments(parser)
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("study"),
        help="file of the experiment, such as one with hosts (default: study)",
    )
    port_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="check the data and show the plan")


def _study(arguments: argparse.Namespace) -> Outcome:
    """Go from a folder of images to a final model and an honest report, under NNI."""
    from trials.studies.run import run_study, text

    stop_in_order()
    result = run_study(
        arguments.data,
        arguments.out,
        external=arguments.external,
        hours=arguments.hours,
        methods=arguments.methods,
        seeds=arguments.seeds,
        folds=arguments.folds,
        settings=given_with_options(arguments),
        config=arguments.config,
        port=arguments.port,
        dry_run=arguments.dry_run,
    )
    return result, "nothing was trained" if arguments.dry_run else text(result), True


VERBS = (Verb("study", _study, _study_arguments, resumes=True),)
