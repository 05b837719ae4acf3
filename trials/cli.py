"""The command `lesion-nas`: the verbs of a study over the same code that NNI's trials run.

Results go to standard output (with `--json` JSON alone), progress and errors to standard error. Exit
status: 0 done, 1 failed, 2 wrong usage. Verbs import what they need when they run, so that `--help` is
quick.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trials.errors import SettingsError, in_words
from trials.methods.registry import find_method
from trials.runs.layout import ARCHITECTURE
from trials.settings.load import load_settings, parse_assignment, profiles, read_overrides
from trials.settings.schema import LARGEST_SEED, LARGEST_SIDE, Settings, check_folds

if TYPE_CHECKING:
    from trials.data.split import Split

Outcome = tuple[Any, str, bool]  # what --json prints, what a reader gets instead, and whether all is well


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
    try:
        with redirect_stdout(sys.stderr):  # nothing else may mix with the result
            _refuse_results_among_images(arguments)
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
    """Return a command line in the present words; `contend --contestant` is of version 0.1."""
    if not words or words[0] != "contend":
        return list(words)
    return ["train", *(word.replace("--contestant", "--method", 1) for word in words[1:])]


def _refuse_results_among_images(arguments: argparse.Namespace) -> None:
    """Raise `DataError` where what the verb writes would lie among the images that it reads."""
    out = getattr(arguments, "out", None)
    for data in (getattr(arguments, name, None) for name in ("data", "external", "source")):
        if data and out and Path(out).resolve().is_relative_to(Path(data).resolve()):
            from trials.data.readers.choose import refuse_inside  # late, as what the verbs need

            refuse_inside(data, out)


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


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="lesion-nas",
        description="Neural architecture search on lesion images. For research, not for clinical use.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, verb, arguments in (
        ("verify", _verify, _verify_arguments),
        ("prepare", _prepare, _prepare_arguments),
        ("search", _search, _search_arguments),
        ("retrain", _retrain, _retrain_arguments),
        ("train", _train, _train_arguments),
        ("rank", _rank, _rank_arguments),
        ("launch", _launch, _launch_arguments),
        ("evaluate", _evaluate, _evaluate_arguments),
        ("report", _report, _report_arguments),
        ("publish", _publish, _publish_arguments),
        ("predict", _predict, _predict_arguments),
        ("explain", _explain_images, _explain_arguments),
        ("export", _export, _export_arguments),
        ("architecture", _architecture, _architecture_arguments),
    ):
        about = verb.__doc__ or ""
        one = verbs.add_parser(name, help=about, description=about)
        arguments(one)
        one.add_argument("--json", action="store_true", help="print JSON alone on standard output")
        one.add_argument("--debug", action="store_true", help="show the traceback of an error")
        one.set_defaults(verb=verb, resumes=verb in _RESUMED)
    return parser


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument(
        "--folds", type=_whole(2), default=5, help="outer folds that must be possible (default: 5)"
    )
    parser.add_argument("--positive", help="name of the positive class (default: malignant)")
    _group_arguments(parser)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting of data that differs"
    )


def _group_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--group-column",
        metavar="HEADING",
        help="manifest column of what must stay together, `folder` or `none` (default: by the headings)",
    )
    parser.add_argument(
        "--accept",
        type=lambda text: text.split(","),
        metavar="KIND[,KIND]",
        help="problems that are none in these data: labels, left_out, groups",
    )


def _verify(arguments: argparse.Namespace) -> Outcome:
    """Check a data set before anything long."""
    named = {
        "data.positive": arguments.positive,
        "data.group_column": arguments.group_column,
        "data.accept": arguments.accept,
    }
    told = {key: value for key, value in named.items() if value is not None}
    settings = load_settings("cpu", dict(map(parse_assignment, arguments.set)) | told).data
    from trials.data.checks import verify

    report = verify(
        arguments.data,
        positive=settings.positive,
        group_column=settings.group_column,
        classes=settings.classes,
        duplicates=settings.duplicates,
        accept=settings.accept,
        folds=arguments.folds,
    )
    return report.to_dict(), report.text(), report.ok


def _prepare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="BUSI as published")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    _group_arguments(parser)


def _prepare(arguments: argparse.Namespace) -> Outcome:
    """Cut the lesions out of published full frames; write crops and a manifest."""
    from trials.data.prepare import prepare

    prepared = prepare(
        arguments.source, arguments.out, group_column=arguments.group_column, accept=arguments.accept or ()
    )
    return prepared.to_dict(), prepared.text(), True


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder or .npz of lesion images")
    parser.add_argument("--out", type=Path, required=True, help="output folder, resumed if it holds this run")
    parser.add_argument("--folds", type=_whole(1), help="number of outer folds (default: 5, with --fold)")
    parser.add_argument("--fold", type=_whole(0), help="outer fold to set aside for the test (default: none)")
    parser.add_argument(
        "--seed", type=_whole(0, LARGEST_SEED), default=0, help="of all that is random (default: 0)"
    )
    parser.add_argument(
        "--profile", choices=profiles(), default="cpu", help="settings to start from (default: cpu)"
    )
    parser.add_argument("--settings", type=Path, help="JSON or YAML file of settings that differ")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting that differs"
    )
    parser.add_argument("--positive", help="name of the positive class (default: malignant)")
    _group_arguments(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="settings, data, estimated time, memory and disk"
    )


def _settings(arguments: argparse.Namespace, **named: object) -> Settings:
    """Return the settings in force: the profile's, the file's, then --set, then the options that name one."""
    overrides = read_overrides(arguments.settings) if arguments.settings else {}
    overrides |= dict(map(parse_assignment, arguments.set))
    named |= {
        "data.positive": arguments.positive,
        "data.group_column": arguments.group_column,
        "data.accept": arguments.accept,
        "data.external_group_column": getattr(arguments, "external_group_column", None),
    }
    overrides |= {key: value for key, value in named.items() if value is not None}
    return load_settings(arguments.profile, overrides)


def _split(arguments: argparse.Namespace, settings: Settings) -> Split:
    """Return the data, loaded and split; raises `SettingsError` where folds and seed make no sense."""
    folds, fold = 5 if arguments.folds is None else arguments.folds, arguments.fold
    check_folds(folds, fold, arguments.seed)
    if fold is None and arguments.folds is not None:
        raise SettingsError("--folds needs --fold: which of them is set aside?")
    from trials.data.split import Split
    from trials.runs.folder import check_place

    check_place(arguments.out)  # of a dry run too
    return Split.load(arguments.data, settings, folds=folds, fold=fold, seed=arguments.seed)


def _whole(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number within limits from the command line."""

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


def _check_layout(name: str) -> None:
    """Raise ValueError for a layout that cannot be, before torch is imported."""
    from search_space.enas.layouts import parse_layout

    parse_layout(name)


def _search_arguments(parser: argparse.ArgumentParser) -> None:
    _run_arguments(parser)
    parser.add_argument("--strategy", choices=("enas", "random"), help="ENAS, or the random control")
    parser.add_argument(
        "--devices",
        type=_whole(1),
        default=1,
        metavar="N",
        help="GPUs, or processes where there is none, that divide each batch (default: 1)",
    )


def _search(arguments: argparse.Namespace) -> Outcome:
    """Search for a pair of cells; write architecture.json, candidates.json, search.json."""
    settings = _settings(arguments, **{"search.strategy": arguments.strategy})
    split = _split(arguments, settings)
    from trials.pipeline.search import run_search

    options = {"devices": arguments.devices, "dry_run": arguments.dry_run}
    try:
        result = run_search(split, settings, arguments.out, **options)
    except SystemExit as end:
        if end.code == 0:  # of a process that shared the search; the one that started it prints the result
            os._exit(0)
        raise
    if arguments.dry_run:
        return result, _outline(result), True
    text = f"best architecture: {arguments.out / ARCHITECTURE} ({result['metric']} {result['score']:.3f})"
    return result, "\n".join([text, *_warnings(result)]), True


def _retrain_arguments(parser: argparse.ArgumentParser) -> None:
    _run_arguments(parser)
    parser.add_argument("--architecture", type=Path, required=True, help=f"{ARCHITECTURE} of a search")
    parser.add_argument("--layout", required=True, help="enas7, enas17 or any other enasN")


def _retrain(arguments: argparse.Namespace) -> Outcome:
    """Train a found architecture from scratch and test it on the fold set aside."""
    settings = _settings(arguments)
    _check_layout(arguments.layout)
    split = _split(arguments, settings)
    from trials.pipeline.train import run_retrain

    options = {"layout": arguments.layout, "dry_run": arguments.dry_run}
    result = run_retrain(split, settings, arguments.architecture, arguments.out, **options)
    return _run_outcome(arguments, result, "search_overlap")


def _run_outcome(arguments: argparse.Namespace, result: dict[str, Any], *more: str) -> Outcome:
    """Return a finished run's result, or what a dry run tells."""
    if arguments.dry_run:
        return result, _outline(result), True
    judged = ("test", "test_at_0.5") if result["test"] else ("validation",)
    shown = (*judged, "threshold", "parameters", *more)
    lines = [str(arguments.out), _outline({key: result[key] for key in shown}), *_warnings(result)]
    return result, "\n".join(lines), True


def _warnings(result: Mapping[str, Any]) -> list[str]:
    return [f"warning: {warning}" for warning in result.get("warnings") or []]


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    _run_arguments(parser)
    parser.add_argument(
        "--method", required=True, help="enas7, resnet18, hog, ...; a wrong name lists them all"
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
    settings = _settings(arguments)
    find_method(arguments.method).settings(settings)  # wrong names end here
    split = _split(arguments, settings)
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
    _run_arguments(parser)
    parser.add_argument(
        "--index",
        type=_whole(0),
        required=True,
        help="0: what ENAS found; 1 to COUNT: of a random search, best first",
    )
    parser.add_argument(
        "--count", type=_whole(2), default=12, help="of the random search's candidates (default: 12)"
    )
    parser.add_argument("--layout", default="enas7", help="enas7 (default), enas17 or any other enasN")


def _rank(arguments: argparse.Namespace) -> Outcome:
    """Train a search's candidate alone, to see whether its cheap score ranks rightly."""
    settings = _settings(arguments)
    _check_layout(arguments.layout)
    split = _split(arguments, settings)
    from trials.pipeline.ranking import run_rank

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
        return result, _outline(result), True
    shown = {"candidate": result["candidate"], "validation.auc": result["validation"]["auc"]}
    return result, f"{arguments.out}\n{_outline(shown)}", True


def _launch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config",
        type=Path,
        metavar="CONFIG",
        help="quickstart, pipeline, compare, ..., or a file of your own",
    )
    parser.add_argument("--port", type=int, help="of the web UI (default: 8080, or another if that is taken)")
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
    _group_arguments(parser)
    parser.add_argument("--out", type=Path, help="output folder; what it holds is continued (default: new)")


def _launch(arguments: argparse.Namespace) -> Outcome:
    """Run an experiment under NNI to its end, with a web UI that only this machine can reach."""
    from trials.nni_host.launch import failures, launch, results, summary

    if arguments.out is None:
        arguments.out = Path("runs", f"{arguments.config.stem}-{time.strftime('%Y%m%d-%H%M%S')}")
        _refuse_results_among_images(arguments)
    out = arguments.out
    named = {name: getattr(arguments, name) for name in ("data", "external", "port", "listen")}
    of_data = {"group_column": arguments.group_column, "accept": arguments.accept or ()}
    trials = launch(arguments.config, out, hosts=arguments.allow_host, **named, **of_data)
    failed = failures(trials)
    for reason in failed:
        print(f"error: {reason}", file=sys.stderr)
    told = {"out": str(out.resolve()), "trials": [summary(trial) for trial in trials]}
    return told, f"\n{results(trials, out.resolve())}", not failed


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="output folder of a finished run")
    parser.add_argument("--data", type=Path, help="external data set to test the runs' models on")
    _group_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="output folder")


def _evaluate(arguments: argparse.Namespace) -> Outcome:
    """Bring runs together: mean and spread over folds, pooled, and on external data."""
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
        "--prevalence", type=float, default=0.1, help="share of positives for PPV and NPV (default: 0.1)"
    )


def _report(arguments: argparse.Namespace) -> Outcome:
    """Compare finished runs: one HTML page with intervals, tests and curves, and CSV beside it."""
    from trials.report.report import run_report, text

    result = run_report(
        arguments.runs,
        arguments.out,
        data=arguments.data,
        group_column=arguments.group_column,
        reference=arguments.reference,
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


def _model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="output folder of a network's run")


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    _model_arguments(parser)
    parser.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="crop of a lesion, or a folder of such, sub-folders included",
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="a new file for the predictions, a row an image"
    )
    parser.add_argument(
        "--with",
        dest="others",
        type=Path,
        nargs="+",
        default=[],
        metavar="MODEL",
        help="more models, such as other folds': all decide together",
    )


def _predict(arguments: argparse.Namespace) -> Outcome:
    """Say what trained models make of images, and how firmly."""
    from trials.inference.predict import run_predict, table_text, text

    result = run_predict(arguments.model, arguments.images, arguments.others, arguments.csv)
    told = f"{arguments.csv}: {table_text(result)}" if arguments.csv else text(result)
    return result, told, not result["left_out"]


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    _model_arguments(parser)
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="crop of a lesion")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")


def _explain_images(arguments: argparse.Namespace) -> Outcome:
    """Draw what a trained model looked at over images."""
    from trials.inference.explain import run_explain, text

    result = run_explain(arguments.model, arguments.images, arguments.out)
    return result, text(result), True


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _model_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")


def _export(arguments: argparse.Namespace) -> Outcome:
    """Write a trained model for those who have neither NNI nor this project, and check it."""
    from trials.export.export import run_export, text

    result = run_export(arguments.model, arguments.out)
    return result, text(result), True


def _architecture_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help=ARCHITECTURE)
    parser.add_argument("--layout", default="enas7", help="enas7 (default), enas17 or any other enasN")
    parser.add_argument("--filters", type=_whole(2), default=36, help="of the first cells (default: 36)")
    parser.add_argument("--channels", type=_whole(1), default=3, help="of the images (default: 3)")
    parser.add_argument("--classes", type=_whole(2), default=2, help="(default: 2)")
    parser.add_argument(
        "--image-size", type=_whole(1, LARGEST_SIDE), default=100, help="side in pixels (default: 100)"
    )
    parser.add_argument("--draw", type=Path, metavar="OUT", help="write a picture of the cells, .svg or .png")


def _architecture(arguments: argparse.Namespace) -> Outcome:
    """Describe an architecture: size, cost, cells; draw it."""
    _check_layout(arguments.layout)
    from search_space import Architecture, draw, macs, parameters
    from trials.files import write_atomically

    architecture = Architecture.load(arguments.file)
    size = (arguments.layout, arguments.filters, arguments.channels, arguments.classes)
    result = {
        "parameters": parameters(architecture, *size),
        "macs": macs(architecture, *size, arguments.image_size),
        "fixed_arc": architecture.fixed_arc,
        "loose_ends": {kind: list(cell.loose_ends) for kind, cell in architecture.cells.items()},
    }
    if arguments.draw:
        write_atomically(arguments.draw, draw(architecture, _kind_of_picture(arguments.draw)))
    return result, _outline(result), True


def _kind_of_picture(path: Path) -> Literal["svg", "png"]:
    match path.suffix.lower():
        case ".svg":
            return "svg"
        case ".png":
            return "png"
    raise ValueError(f"{path}: a drawing is an .svg or a .png file")


def _outline(values: Mapping[str, Any]) -> str:
    """Return nested JSON values as lines to read, each under its dotted name."""
    return "\n".join(f"{name} = {value}" for name, value in _leaves(values))


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


_RESUMED = (_search, _retrain, _train, _rank, _launch)  # by the same command


if __name__ == "__main__":
    sys.exit(main())
