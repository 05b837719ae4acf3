"""Write a model as a program: torch's own file, and plain Python with its weights by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as dump_weights
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.export import export as export_program

from trials.files import write_atomically
from trials.models.inference import Inference, InferenceModel
from trials.runs.layout import NETWORK_CODE, PROGRAM, WEIGHTS

# No names of classes here: they are text from the data, and this becomes a program.
_HEAD = '''"""The network of this folder, written out step by step for `load_model.py`."""

import torch
from torch import device, inf, nan  # noqa: F401


def network({inputs}, weights):
    """{told}
    """
'''
_COVARIATES = " Beside the images\n    it takes covariates, float32 [b, d], as `load_model.code` gives them."
_SQUARES = " The images\n    are given once for each size that a member of the ensemble takes."
_OF_TWO = """Map uint8 images [b, channels, side, side] to probabilities [b, classes], and for the positive\
 class
    to the calibrated one [b] and the log odds [b]."""
_OF_MORE = """Map uint8 images [b, channels, side, side] to probabilities, calibrated probabilities and log
    probabilities, each [b, classes]."""


def write_program(model: Inference, folder: Path) -> None:
    """Write the program of a model to `folder`, in both forms."""
    inputs = model.examples(2)  # 2, as torch would take 1 for fixed
    program = _program(model, inputs)
    with warnings.catch_warnings():  # of weights that are parts of one array; `check` compares what was saved
        warnings.filterwarnings("ignore", "No complete tensor")
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
    arguments = zip(program.graph_signature.user_inputs, inputs, strict=True)
    lines += [f"    {argument} = {name}\n" for argument, name in arguments if argument != name]
    told = (_OF_TWO if model.two else _OF_MORE) + (_SQUARES if len(model.squares) > 1 else "")
    told += _COVARIATES if model.covariates else ""
    head = _HEAD.format(told=told, inputs=", ".join(inputs))
    body = program.graph_module.code.partition("):\n")[2].rstrip() + "\n"
    write_atomically(folder / NETWORK_CODE, "".join([head, *lines, body]).encode())


def _program(model: Inference, inputs: Mapping[str, Tensor]) -> ExportedProgram:
    batches: tuple[Any, ...] = ({0: Dim("batch")},) * len(inputs)
    if not isinstance(model, InferenceModel):  # all are one argument
        batches = (batches,)
    program = export_program(model, tuple(inputs.values()), dynamic_shapes=batches)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names places of this machine
    program.example_inputs = None  # would be pickled
    return program
