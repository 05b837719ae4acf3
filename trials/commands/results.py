"""Verbs on finished runs: bring them together, compare and publish them."""

from __future__ import annotations

import argparse
from pathlib import Path

from trials.commands.base import Outcome, Verb, group_arguments, refuse_alone


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="output folder of a finished run")
    parser.add_argument("--data", type=Path, help="external data set to test the runs' models on")
    group_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="output folder")


def _evaluate(arguments: argparse.Namespace) -> Outcome:
    """Bring runs together: mean and standard deviation over folds, pooled, and on external data."""
    refuse_alone(arguments, group_column="data", accept="data")
    from trials.pipeline.evaluate import run_evaluate, text_table

    result = run_evaluate(
        arguments.runs,
        arguments.out,
        arguments.data,
        group_column=arguments.group_column,
        accept=arguments.accept or (),
    )
    return result, text_table(result), True


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUNS", help="output folder of a comparison, or of single runs"
    )
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument(
        "--data", type=Path, help="the runs' data set, for pictures, maps, boxes and subgroups"
    )
    parser.add_argument(
        "--group-column", metavar="HEADING", help="its group column (default: as in the runs)"
    )
    parser.add_argument(
        "--reference",
        metavar="METHOD",
        help="whom the others are tested against (default: the strongest without searched or random cells)",
    )
    parser.add_argument(
        "--positive",
        metavar="CLASS",
        help="of more than two classes the one that is read against all others too (default: as in the runs)",
    )
    parser.add_argument(
        "--prevalence", type=float, default=0.1, help="share of positives for PPV and NPV (default: 0.1)"
    )


def _report(arguments: argparse.Namespace) -> Outcome:
    """Compare finished runs: one HTML page with intervals, tests and curves, and CSV beside it."""
    refuse_alone(arguments, group_column="data")
    from trials.report.report import run_report, text

    result = run_report(
        arguments.runs,
        arguments.out,
        data=arguments.data,
        group_column=arguments.group_column,
        reference=arguments.reference,
        positive=arguments.positive,
        prevalence=arguments.prevalence,
    )
    return result, text(result), True


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUNS", help="output folders of comparisons or runs"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for two tables without weights")


def _publish(arguments: argparse.Namespace) -> Outcome:
    """Write finished runs as two small tables, of which a report can be made without training."""
    from trials.pipeline.publish import run_publish

    result = run_publish(arguments.runs, arguments.out)
    return result, f"{result['out']}: {result['runs']} runs, {result['bytes'] / 1e6:.1f} MB", True


VERBS = (
    Verb("evaluate", _evaluate, _evaluate_arguments),
    Verb("report", _report, _report_arguments),
    Verb("publish", _publish, _publish_arguments),
)
