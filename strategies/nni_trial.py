"""A search inside a trial of NNI's: what reaches the web UI, and what does not.

NNI's engine and evaluators report by themselves. In a search an evaluator would report the last metric of
training images, through whichever architecture came last, and NNI keeps a trial's first final result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import nni
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import ExecutableModelSpace
from nni.runtime.trial_command_channel import (
    ParameterRecord,
    TrialCommandChannel,
    get_default_trial_command_channel,
    set_default_trial_command_channel,
)


class InProcessEngine(SequentialExecutionEngine):
    """NNI's sequential engine without its takeover of the trial channel.

    NNI's own engine redirects ``nni.report_*`` and overwrites the trial's parameters, so that inside a trial
    started by nnictl nothing reaches the web UI.
    """

    def _run_single_model(self, model: ExecutableModelSpace) -> None:
        model.execute()


def report_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
    """Report an intermediate result whose default is the mean reward; do nothing outside a trial."""
    if nni.get_current_parameter() is not None:
        nni.report_intermediate_result({"default": metrics["reward"], **metrics})


def report_end(score: float) -> None:
    """Report the final result, the score of the best architecture; do nothing outside a trial."""
    if nni.get_current_parameter() is not None:
        nni.report_final_result({"default": score, "score": score})


class _Silenced(TrialCommandChannel):
    """A trial's channel without its results."""

    def __init__(self, channel: TrialCommandChannel) -> None:
        self.channel = channel

    def receive_parameter(self) -> ParameterRecord | None:
        return self.channel.receive_parameter()

    def send_metric(self, *args: Any, **kwargs: Any) -> None:
        pass


@contextmanager
def silence() -> Iterator[None]:
    """Keep results from NNI."""
    with _as_channel(_Silenced(get_default_trial_command_channel())):
        yield


@contextmanager
def heard() -> Iterator[None]:
    """Let results through to NNI within :func:`silence`."""
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
