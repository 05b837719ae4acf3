"""Export a trained model as a folder that needs neither NNI nor this project, checked before it is there.

The whole decision is in the network itself, from bytes to probabilities, so users only make images square. It
is written three times: `model.onnx` for any runtime; `model.pt2`, a program of `torch.export`, as TorchScript
is deprecated; and `network.py` with `model.safetensors`, the same program as plain Python, because torch does
not promise that newer versions read a `.pt2`, and unpickles parts of one that it did not write itself.
`load_model.py` uses the last; `metadata.json` and `README.md` describe it all.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from search_space.strict_json import dump_json
from trials.data.new_folder import new_folder
from trials.errors import ExportError
from trials.export.card import write_card
from trials.export.check import (
    differences,
    expected_outputs,
    inputs_of,
    made_cells,
    noise,
    outputs_of,
    refuse_other_inputs,
)
from trials.export.contents import Contents
from trials.export.metadata import metadata
from trials.export.origin import figures, read_origin
from trials.export.program import write_program
from trials.files import write_atomically
from trials.models.description import ModelDescription
from trials.models.inference import Inference
from trials.models.inference_ensemble import inference_of
from trials.models.model_file import load_model, model_folder, study_figures
from trials.models.onnx import export_onnx
from trials.runs.layout import LOADER, METADATA, ONNX
from trials.runs.predictions import in_words

TOLERANCE = 1e-4  # of a probability, or share of log odds: what another order of adding may change; ours


def run_export(model: str | Path, out: str | Path, to_expect: Sequence[str] | None = None) -> dict[str, Any]:
    """Export the model in the folder `model`, or a study's final one, to the new folder `out`.

    Returns what was checked. `to_expect` are figures, in words, to expect of it; unless told, what its study
    says. Raises `ModelError` for a folder without a model and for one whose numbers are not finite,
    `DataError` where `out` holds something already, and `ExportError` where a written file gives other
    numbers than the model. After an error there is no `out`.
    """
    told = study_figures(Path(model)) if to_expect is None else to_expect
    model, out = model_folder(Path(model)), Path(out)
    trained = load_model(model)
    card, inference = trained.description, inference_of(trained).eval()
    about = Contents.of(trained)
    origin = read_origin(model)
    images = noise(inference.squares)
    cells = made_cells(card.covariates, len(images))
    expected = expected_outputs(trained, images, cells)
    with new_folder(out) as folder:
        _write_model(inference, about, origin.metrics, folder)
        found = differences(folder, inputs_of(trained, inference, images, cells), expected, card.known)
        refuse_other_inputs(folder, card.covariates, cells)
        _refuse_different(found, out)
        write_card(folder, about, origin, figures(model), found, told)
    files = sorted(path.name for path in out.iterdir())
    said = {"not_for": card.not_for, "warnings": card.warnings}
    return {"out": str(out), "files": files, "largest_difference": found, **said}


def _write_model(model: Inference, about: Contents, metrics: dict[str, Any], folder: Path) -> None:
    write_program(model, folder)
    export_onnx(model, model.examples(1), folder / ONNX, outputs_of(about.card.known))
    _describe_onnx(folder / ONNX, about)
    shutil.copyfile(Path(__file__).with_name(LOADER), folder / LOADER)
    write_atomically(folder / METADATA, (dump_json(metadata(about, metrics)) + "\n").encode())


def _refuse_different(found: dict[str, float], out: Path) -> None:
    """Raise `ExportError` for a file whose outputs differ too much, or are not finite."""
    for name in (name for name, difference in found.items() if not difference <= TOLERANCE):
        raise ExportError(
            f"{out / name}: its outputs differ from the model's by {found[name]:.1e}, expected "
            f"{TOLERANCE:.0e} at most; nothing was exported: a defect of ours, please report it"
        )


def text(result: dict[str, Any]) -> str:
    """Return what was written and checked as lines to read."""
    checked = ", ".join(f"{name} {value:.1e}" for name, value in result["largest_difference"].items())
    lines = [
        f"{result['out']}: {', '.join(result['files'])}",
        f"largest difference from the model: {checked}",
        f"not for {result['not_for']}",
        *(f"warning: {warning}" for warning in result["warnings"]),
    ]
    return "\n".join(lines)


def _describe_onnx(path: Path, about: Contents) -> None:
    """Write into the ONNX file what its users must know, as it may be passed on without the rest."""
    stored, card = onnx.load(path), about.card
    onnx.helper.set_model_props(
        stored,
        {
            "classes": ", ".join(card.classes),
            **_rule(card),
            "fit": about.fit,
            "grey_range": str(card.grey_range),
            **({"covariates": "; ".join(card.covariates.inputs)} if card.covariates else {}),
            "not_for": card.not_for,
            "warnings": "; ".join(card.warnings),
        },
    )
    write_atomically(path, stored.SerializeToString())


def _rule(card: ModelDescription) -> dict[str, str]:
    """Return how an image is called, each value as text."""
    numbers = {"threshold": card.threshold, "threshold_log_odds": card.cutoff, "costs": card.costs}
    names = {"positive": card.positive, "threshold_of": card.threshold_of}
    words = {} if card.known.are_two else {"decision": in_words(card.frozen.decision, card.known)}
    return {
        **{name: value for name, value in names.items() if value is not None},
        **{name: dump_json(value, indent=None) for name, value in numbers.items() if value is not None},
        **words,
    }
