"""The verb that runs an experiment under NNI to its end."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from trials.commands.base import (
    Outcome,
    Verb,
    given_settings,
    group_arguments,
    port_argument,
    refuse_results_among_images,
    settings_arguments,
)
from trials.settings.load import load_settings

ENDINGS = (signal.SIGINT, signal.SIGTERM)


def _launch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config",
        type=Path,
        metavar="CONFIG",
        help="quickstart, pipeline, compare, ..., or a file of your own",
    )
    port_argument(parser)
    parser.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where web UI and TensorBoard listen as well; whoever reaches them can start commands here, "
        "without a password (default: 127.0.0.1, this machine alone)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which browsers may ask for the web UI, such as a reverse proxy's",
    )
    parser.add_argument("--data", type=Path, help="folder of lesion images, where the experiment needs one")
    parser.add_argument("--external", type=Path, help="other images to test on, where it takes them")
    group_arguments(parser)
    settings_arguments(parser, of=" of all trials")
    parser.add_argument("--out", type=Path, help="output folder; what it holds is continued (default: new)")


def _launch(arguments: argparse.Namespace) -> Outcome:
    """Run an experiment under NNI to its end, with a web UI that only this machine can reach."""
    from trials.commands.launch_results import results
    from trials.nni_host.launch import failures, launch, summary

    if arguments.out is None:
        arguments.out = Path("experiments", f"{arguments.config.stem}-{time.strftime('%Y%m%d-%H%M%S')}")
        refuse_results_among_images(arguments)
    out = arguments.out
    named = {name: getattr(arguments, name) for name in ("data", "external", "port", "listen")}
    of_data = {"group_column": arguments.group_column, "accept": arguments.accept or ()}
    stop_in_order()
    settings = given_settings(arguments)
    _refuse_names(arguments, settings)
    trials = launch(arguments.config, out, hosts=arguments.allow_host, settings=settings, **named, **of_data)
    failed = failures(trials)
    for reason in failed:
        print(f"error: {reason}", file=sys.stderr)
    told = {"out": str(out.resolve()), "trials": [summary(trial) for trial in trials]}
    return told, f"\n{results(trials, out.resolve())}", not failed


def _refuse_names(arguments: argparse.Namespace, settings: Mapping[str, object]) -> None:
    """Raise ValueError where settings of all trials name what the images do not have.

    Every trial would fail of it, the first perhaps after a long search.
    """
    if not settings or arguments.data is None or not arguments.data.exists():
        return
    from trials.data.load import classes_named
    from trials.nni_host.launch import find_config, profile_of
    from trials.pipeline.freeze import check_rule

    column = {"data.group_column": arguments.group_column} if arguments.group_column else {}
    known = load_settings(profile_of(find_config(arguments.config)), {**settings, **column})
    check_rule(known.protocol, classes_named(arguments.data, known.data))


def stop_in_order() -> None:
    """Stop a running experiment at the first signal, also where a shell's background jobs ignore Ctrl-C."""
    for number in ENDINGS:
        signal.signal(number, _interrupt_once)


def _interrupt_once(*_: object) -> None:
    """Raise KeyboardInterrupt; later signals must not leave an experiment running that is being stopped."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


VERBS = (Verb("launch", _launch, _launch_arguments, resumes=True),)
