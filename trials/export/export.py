"""Export: a trained model as a folder that needs neither NNI nor this project, checked before it is there.

The whole decision is in the network itself, from bytes to probabilities, so that whoever opens it only makes
images square. It is written three times: `model.onnx` for any runtime; `model.pt2`, a program of
`torch.export`, as TorchScript is deprecated; and `network.py` with `model.safetensors`, the same program as
plain Python, because torch promises no newer version that reads a `.pt2`, and unpickles parts of one that it
did not write itself. `load_model.py` uses the last; `metadata.json` and `README.md` say what it all is.
"""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import load_file
from safetensors.torch import save as dump_weights
from scipy.special import expit
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.export import export as export_program

from search_space.strict_json import dump_json
from trials.data.new_folder import new_folder
from trials.errors import ExportError
from trials.evaluation.calibration import apply_temperature
from trials.export.card import figures, read_origin, write_card
from trials.files import write_atomically
from trials.models.inference import InferenceModel
from trials.models.model_file import ModelDescription, TrainedModel, load_model
from trials.models.onnx import export_onnx
from trials.runs.layout import LOADER, METADATA, NETWORK_CODE, ONNX, PROGRAM, WEIGHTS

OUTPUTS = ("probabilities", "calibrated", "log_odds")
TOLERANCE = 1e-4  # of a probability, or share of log odds: what another order of adding may change; ours
# No names of classes here: they are text of the data's, and this becomes a program.
_HEAD = '''"""The network of this folder, written out step by step for `load_model.py`."""

import torch
from torch import device, inf, nan  # noqa: F401


def network(images, weights):
    """Map uint8 images [b, channels, side, side] to probabilities [b, classes], and for the positive class
    to the calibrated one [b] and the log odds [b].
    """
'''


def run_export(model: Path, out: Path) -> dict[str, Any]:
    """Export the trained model in the folder `model` to the new folder `out`; return what was checked.

    Raises `ModelError` for a folder without a model and for one whose numbers are not finite, `DataError`
    where `out` holds something already, and `ExportError` where a written file says something else than the
    model. `out` is then not there.
    """
    trained = load_model(model)
    card = trained.description
    origin = read_origin(model)
    decision = InferenceModel(trained).eval()
    shape = (card.channels, card.image_size, card.image_size)
    squares = _noise(shape)
    expected = _expected(trained, squares)
    with new_folder(out) as folder:
        program = _program(decision, shape)
        _write_program(program, folder)
        export_onnx(decision, shape, folder / ONNX, dtype=torch.uint8, outputs=OUTPUTS)
        _describe_onnx(folder / ONNX, card)
        shutil.copyfile(Path(__file__).with_name(LOADER), folder / LOADER)
        differences = _differences(folder, squares, expected, card.classes.index(card.positive))
        for name in (name for name, difference in differences.items() if not difference <= TOLERANCE):
            raise ExportError(
                f"{out / name}: what it says differs from what the model says by {differences[name]:.1e}, "
                f"expected {TOLERANCE:.0e} at most; nothing was exported: a defect of ours, please report it"
            )
        text = dump_json(_metadata(card, origin.metrics)) + "\n"
        write_atomically(folder / METADATA, text.encode())
        write_card(folder, card, origin, figures(model), differences)
    files = sorted(path.name for path in out.iterdir())
    return {"out": str(out), "files": files, "largest_difference": differences, **_said(card)}


def _said(card: ModelDescription) -> dict[str, Any]:
    return {"not_for": card.not_for, "warnings": card.cautions}


def text(result: dict[str, Any]) -> str:
    """Return what was written and checked as lines to read."""
    checked = ", ".join(f"{name} {value:.1e}" for name, value in result["largest_difference"].items())
    lines = [
        f"{result['out']}: {', '.join(result['files'])}",
        f"largest difference from what the model says: {checked}",
        f"not for {result['not_for']}",
        *(f"warning: {warning}" for warning in result["warnings"]),
    ]
    return "\n".join(lines)


def _program(decision: InferenceModel, shape: tuple[int, ...]) -> ExportedProgram:
    example = torch.zeros(2, *shape, dtype=torch.uint8)  # 2, as torch would take 1 for fixed
    program = export_program(decision, (example,), dynamic_shapes=({0: Dim("batch")},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names places of this machine
    program.example_inputs = None  # would be pickled
    return program


def _write_program(program: ExportedProgram, folder: Path) -> None:
    """Write the program as torch's own file, and as Python with its weights by name."""
    torch.export.save(program, folder / PROGRAM)
    used = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    names = {
        spec.arg.name: spec.target
        for spec in program.graph_signature.input_specs
        if spec.target is not None and spec.arg.name in used
    }
    tensors = {**program.state_dict, **program.constants}
    weights = {target: tensors[target].detach().contiguous() for target in names.values()}
    write_atomically(folder / WEIGHTS, dump_weights(weights))
    lines = [f'    {argument} = weights["{target}"]\n' for argument, target in names.items()]
    body = program.graph_module.code.partition("):\n")[2].rstrip() + "\n"
    write_atomically(folder / NETWORK_CODE, "".join([_HEAD, *lines, body]).encode())


def _describe_onnx(path: Path, card: ModelDescription) -> None:
    """Put into the ONNX file what its user must know: the file may travel alone."""
    stored = onnx.load(path)
    onnx.helper.set_model_props(
        stored,
        {
            "classes": ", ".join(card.classes),
            "positive": card.positive,
            "threshold": repr(card.threshold),
            "threshold_log_odds": repr(card.cutoff),
            "fit": card.squares,
            "grey_range": str(card.grey_range),
            "not_for": card.not_for,
            "warnings": "; ".join(card.cautions),
        },
    )
    write_atomically(path, stored.SerializeToString())


def _expected(trained: TrainedModel, squares: Tensor) -> dict[str, np.ndarray]:
    """Return what the model says of squares [n, channels, side, side], by `OUTPUTS`, as its run computes it.

    `probabilities` are of the positive class alone. Raises `ModelError` for what is not finite.
    """
    card = trained.description
    pixels = [square.numpy().transpose(1, 2, 0) for square in squares]
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN rounds to 10 bits
        odds = trained.log_odds([np.squeeze(image) for image in pixels])
    calibrated = apply_temperature(odds, card.temperature, card.log_odds_limit)
    return dict(zip(OUTPUTS, (expit(odds), calibrated, odds), strict=True))


def _differences(
    folder: Path, squares: Tensor, expected: Mapping[str, np.ndarray], positive: int
) -> dict[str, float]:
    """Return how far what each file says of the squares is at most from what is expected."""
    network = runpy.run_path(str(folder / NETWORK_CODE))["network"]
    opened = torch.export.load(folder / PROGRAM).module()
    with torch.inference_mode():
        given = {
            ONNX: _onnx_outputs(folder / ONNX, squares),
            PROGRAM: opened(squares),
            WEIGHTS: network(squares, load_file(folder / WEIGHTS)),
        }
    return {name: _difference(outputs, expected, positive) for name, outputs in given.items()}


def _difference(outputs: Sequence[Any], expected: Mapping[str, np.ndarray], positive: int) -> float:
    """Return the largest difference of any output: of probabilities, and of log odds as a share of them."""
    probabilities, calibrated, odds = (np.asarray(output, dtype=float) for output in outputs)
    scale = np.maximum(np.abs(expected["log_odds"]), 1)
    gaps = (
        np.abs(probabilities[:, positive] - expected["probabilities"]),
        np.abs(calibrated - expected["calibrated"]),
        np.abs(odds - expected["log_odds"]) / scale,
    )
    return float(np.max(gaps))  # NaN where one is


def _noise(shape: tuple[int, ...]) -> Tensor:
    """Return 9 images of bytes [9, *shape]: an empty one, and noise in grains from one pixel to a quarter."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.zeros(1, *shape)]
    for cells in (4, 8, 16, shape[-1]):
        coarse = torch.rand(2, shape[0], cells, cells, generator=generator) * 255
        images.append(torch.nn.functional.interpolate(coarse, size=shape[1:], mode="bilinear"))
    return torch.cat(images).byte()


def _onnx_outputs(path: Path, squares: Tensor) -> list[np.ndarray]:
    try:
        import onnxruntime
    except ImportError:
        raise ExportError(
            "the check of an export needs onnxruntime: pip install -c constraints.txt -e '.[export]'"
        ) from None
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(OUTPUTS, {"images": squares.numpy()})
    return outputs


def _metadata(card: ModelDescription, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return `metadata.json`, after MONAI's bundle specification; `model` is what `load_model.py` reads."""
    versions = metrics.get("versions") or {}
    colours = ["red", "green", "blue"] if card.channels == 3 else ["grey"]
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
        "meta_schema_20240725.json",
        "version": "1.0.0",
        "changelog": {"1.0.0": "exported"},
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.5", "pillow": "11"},
        "name": f"lesion-nas {metrics.get('label') or card.network.kind}",
        "task": f"Classification of lesion crops: {' or '.join(card.classes)}",
        "description": "A small convolutional network for cropped lesion images, from bytes to probabilities",
        "authors": "not named by the export",
        "copyright": "not named by the export",
        "data_source": metrics.get("data"),
        "data_type": "image",
        "intended_use": f"Research only. Not for {card.not_for}",
        "warnings": card.cautions,
        "eval_metrics": metrics.get("test") or {},
        "trained_with": versions,
        "network_data_format": {
            "inputs": {
                "images": _tensor("image", "magnitude", "uint8", [0, 255], colours, [card.image_size] * 2)
            },
            "outputs": {
                "probabilities": _tensor("probabilities", "classes", "float32", [0, 1], card.classes),
                "calibrated": _tensor("probabilities", "classes", "float32", [0, 1], [card.positive]),
                "log_odds": _tensor("log odds", "classes", "float32", [], [card.positive]),
            },
        },
        "model": {**card.model_dump(mode="json"), "threshold_log_odds": card.cutoff},
    }


def _tensor(
    kind: str,
    form: str,
    dtype: str,
    limits: Sequence[int],
    channels: Sequence[str],
    spatial_shape: Sequence[int] = (),
) -> dict[str, Any]:
    return {
        "type": kind,
        "format": form,
        "num_channels": len(channels),
        "spatial_shape": list(spatial_shape),
        "dtype": dtype,
        "value_range": list(limits),
        "is_patch_data": False,
        "channel_def": {str(index): name for index, name in enumerate(channels)},
    }
