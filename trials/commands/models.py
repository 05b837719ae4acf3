"""Verbs on trained models and on architectures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from trials.commands.base import Outcome, Verb, check_layout, outline, whole_number
from trials.runs.layout import ARCHITECTURE
from trials.settings.section import LARGEST_SIDE


def _model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="output folder of `train`, `retrain` or `study`"
    )


def _images_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "images",
        type=Path,
        nargs="+",
        metavar="IMAGE",
        help="crop of a lesion, or a folder of such, sub-folders included",
    )


def _covariates_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--covariates",
        type=Path,
        metavar="TABLE",
        help="CSV file of what the model takes beside the images: a column `file` and one for each covariate",
    )


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    _model_arguments(parser)
    _images_argument(parser)
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
    _covariates_argument(parser)


def _predict(arguments: argparse.Namespace) -> Outcome:
    """Say what trained models make of images, and how firmly."""
    from trials.inference.predict import run_predict, table_text, text

    result = run_predict(
        arguments.model, arguments.images, arguments.others, arguments.csv, arguments.covariates
    )
    told = f"{arguments.csv}: {table_text(result)}" if arguments.csv else text(result)
    return result, told, not result["left_out"]


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    _model_arguments(parser)
    _images_argument(parser)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument(
        "--class",
        dest="class_name",
        metavar="NAME",
        help="the class that maps speak for (default: the positive one of two, of more the one called)",
    )
    _covariates_argument(parser)


def _explain(arguments: argparse.Namespace) -> Outcome:
    """Draw what a trained model looked at over images."""
    from trials.inference.explain import run_explain, text

    result = run_explain(
        arguments.model, arguments.images, arguments.out, arguments.class_name, arguments.covariates
    )
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
    parser.add_argument(
        "--filters", type=whole_number(2), default=36, help="of the first cells (default: 36)"
    )
    parser.add_argument("--channels", type=whole_number(1), default=3, help="of the images (default: 3)")
    parser.add_argument("--classes", type=whole_number(2), default=2, help="(default: 2)")
    parser.add_argument(
        "--image-size", type=whole_number(1, LARGEST_SIDE), default=100, help="side in pixels (default: 100)"
    )
    parser.add_argument("--draw", type=Path, metavar="OUT", help="write a picture of the cells, .svg or .png")


def _architecture(arguments: argparse.Namespace) -> Outcome:
    """Describe an architecture: size, cost, cells; draw it."""
    check_layout(arguments.layout)
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
    return result, outline(result), True


def _kind_of_picture(path: Path) -> Literal["svg", "png"]:
    match path.suffix.lower():
        case ".svg":
            return "svg"
        case ".png":
            return "png"
    raise ValueError(f"{path}: a drawing is an .svg or a .png file")


VERBS = (
    Verb("predict", _predict, _predict_arguments),
    Verb("explain", _explain, _explain_arguments),
    Verb("export", _export, _export_arguments),
    Verb("architecture", _architecture, _architecture_arguments),
)
