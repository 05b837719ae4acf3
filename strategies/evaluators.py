"""What a search does to the user's evaluator: it is used once, silent in a trial, and gets its data back.

NNI's evaluators report by themselves what they have measured last: in a search a metric of training images
through whichever architecture came last. NNI keeps the first final result of a trial, so that only the
strategy's reporter may speak.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import nni
from nni.nas.evaluator.pytorch import Lightning
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.space import RawFormatModelSpace
from nni.runtime.trial_command_channel import (
    ParameterRecord,
    TrialCommandChannel,
    get_default_trial_command_channel,
    set_default_trial_command_channel,
)


def refuse_used(space: RawFormatModelSpace) -> None:
    """Raise ValueError for an evaluator that has trained, or a space that a search has made its own.

    A trainer that has come to its last epoch trains no more: the search would rank weights that nothing has
    trained.
    """
    trainer = getattr(space.evaluator, "trainer", None)
    if trainer is not None and trainer.fit_loop.epoch_progress.total.ready:
        raise ValueError(
            "the evaluator has trained before, and its trainer goes on from there: "
            f"epoch {trainer.current_epoch} of {trainer.max_epochs}; make a new evaluator for every search"
        )
    modules = getattr(space.model_space, "modules", tuple)
    if any(isinstance(module, BaseSuperNetModule) for module in modules()):
        raise ValueError(
            "the space holds the shared weights of another search; make a new space for every search"
        )


def give_back(evaluator: Lightning, strategy: Any) -> None:
    """Let the evaluator's data module load its own data again, in place of what `strategy` has put there."""
    for place, name in enumerate(("train_dataloader", "val_dataloader")):
        loader = vars(evaluator.datamodule).get(name) if evaluator.datamodule is not None else None
        if isinstance(loader, partial) and getattr(loader.func, "__self__", None) is strategy:
            setattr(evaluator.datamodule, name, loader.args[place])


class _Silenced(TrialCommandChannel):
    """A trial's channel without its results."""

    def __init__(self, channel: TrialCommandChannel) -> None:
        self.channel = channel

    def receive_parameter(self) -> ParameterRecord | None:
        return self.channel.receive_parameter()

    def send_metric(self, *args: Any, **kwargs: Any) -> None:
        pass


@nni.trace  # as NNI asks of evaluators
class SilentEvaluator(Lightning):
    """An evaluator of which NNI hears nothing."""

    def evaluate(self, model: Any) -> Any:
        """Fit the model as `Lightning` does."""
        with _as_channel(_Silenced(get_default_trial_command_channel())):
            return super().evaluate(model)


def silent(evaluator: Lightning) -> Lightning:
    """Return an evaluator of the same parts that reports nothing to NNI."""
    return SilentEvaluator(
        evaluator.module,
        evaluator.trainer,
        evaluator.train_dataloaders,
        evaluator.val_dataloaders,
        datamodule=evaluator.datamodule,
        fit_kwargs=evaluator.fit_kwargs,
    )


@contextmanager
def heard() -> Iterator[None]:
    """Let results through to NNI while a silent evaluator runs."""
    channel = get_default_trial_command_channel()
    with _as_channel(channel.channel if isinstance(channel, _Silenced) else channel):
        yield


@contextmanager
def _as_channel(channel: TrialCommandChannel) -> Iterator[None]:
    before = get_default_trial_command_channel()
    set_default_trial_command_channel(channel)
    try:
        yield
    finally:
        set_default_trial_command_channel(before)
