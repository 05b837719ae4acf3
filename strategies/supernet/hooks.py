"""The hooks with which NNI turns a model space into a supernet, module by module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nni.nas.hub.pytorch.nasnet import NDSStagePathSampling
from nni.nas.nn.pytorch import InputChoice
from nni.nas.oneshot.pytorch.strategy import no_default_hook
from nni.nas.oneshot.pytorch.supermodule.operation import NATIVE_MIXED_OPERATIONS
from nni.nas.oneshot.pytorch.supermodule.sampling import (
    PathSamplingInput,
    PathSamplingLayer,
    PathSamplingRepeat,
)
from torch import nn

from strategies.supernet.enas_cells import SharedCell
from strategies.supernet.nni_hub import QuickEntry, QuickReduction, SharedNniCell, keep_fixed_operation

MutationHook = Callable[[nn.Module, str, dict[str, Any], dict[str, Any]], Any]


def share_input_choice(
    module: nn.Module, name: str, memo: dict[str, Any], mutate_kwargs: dict[str, Any]
) -> Any:
    """NNI's mutation hook for input choices; unlike NNI's own it also takes choices of any subset."""
    if type(module) is not InputChoice:
        return None
    if module.reduction not in ("sum", "mean", "concat"):
        raise ValueError(
            f"the input choice {module.label!r} reduces by {module.reduction!r}; use sum, mean or concat"
        )
    return PathSamplingInput(module.n_candidates, module.n_chosen, module.reduction, module.label)


def sharing_hooks() -> list[MutationHook]:
    """Return the hooks that turn a model space into a supernet; the last refuses what the others leave."""
    return [
        NDSStagePathSampling.mutate,  # NNI's hub gives this to its own strategies only
        SharedCell.mutate,
        SharedNniCell.mutate,
        PathSamplingLayer.mutate,
        share_input_choice,
        PathSamplingRepeat.mutate,
        QuickEntry.mutate,
        QuickReduction.mutate,
        keep_fixed_operation,
        *(mixed.mutate for mixed in NATIVE_MIXED_OPERATIONS),
        no_default_hook,
    ]
