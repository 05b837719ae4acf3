"""The command `lesion-nas`: the verbs of a study over the same code that NNI's trials run.

Results go to standard output (with `--json` JSON alone), progress and errors to standard error. Exit
status: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from typing import Any

from trials.commands import data, experiments, models, results, runs, study
from trials.commands.base import refuse_results_among_images
from trials.errors import SettingsError, in_words
from trials.nni_host.allocator import restart_with_mimalloc

VERBS = (*study.VERBS, *data.VERBS, *runs.VERBS, *experiments.VERBS, *results.VERBS, *models.VERBS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, sys.stdout.fileno())  # else Python complains when it ends
        return 128 + signal.SIGPIPE


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    arguments = parser.parse_args(_renamed(sys.argv[1:] if argv is None else argv))
    if argv is None and arguments.trains:  # the process is this command's own
        restart_with_mimalloc()
    try:
        with redirect_stdout(sys.stderr):  # nothing else may mix with the result
            refuse_results_among_images(arguments)
            result, text, well = arguments.verb(arguments)
    except SettingsError as error:
        parser.error(str(error))
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the one into the other
        goes_on = f"; with --out {arguments.out} the same command goes on where it was"
        return _fail(arguments, f"stopped{goes_on if arguments.resumes else ''}")
    except BrokenPipeError:
        raise
    except Exception as error:
        return _fail(arguments, in_words(error, resumes=arguments.resumes))
    _write(_json(result) if arguments.json else text)
    return 0 if well else 1


def _renamed(words: Sequence[str]) -> list[str]:
    """Return a command line in today's words; `contend --contestant` is of version 0.1."""
    if not words or words[0] != "contend":
        return list(words)
    return ["train", *(word.replace("--contestant", "--method", 1) for word in words[1:])]


def _json(result: Any) -> str:
    from search_space.strict_json import dump_json  # late, as what the verbs need

    return dump_json(result)


def _write(text: str) -> None:
    """Print text; what the terminal's encoding lacks, or a file's name that is no text, as an escape."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def _fail(arguments: argparse.Namespace, reason: str) -> int:
    if arguments.debug:
        traceback.print_exc()
    print(f"lesion-nas: error: {reason}", file=sys.stderr)  # which escapes what it cannot show
    return 1


class _Version(argparse.Action):
    """Print the version, which is looked up only then: a tree that is not installed has none."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(parser.prog, version("lesion-nas"))
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="lesion-nas",
        description="Neural architecture search on lesion images. For research, not for clinical use.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb in VERBS:
        about = verb.run.__doc__ or ""
        one = verbs.add_parser(verb.name, help=about, description=about)
        one.set_defaults(trains=False)
        verb.add_arguments(one)
        one.add_argument("--json", action="store_true", help="print JSON alone on standard output")
        one.add_argument("--debug", action="store_true", help="show the traceback of an error")
        one.set_defaults(verb=verb.run, resumes=verb.resumes)
    return parser


if __name__ == "__main__":
    sys.exit(main())
