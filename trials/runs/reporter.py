"""Where a run's progress goes: NNI's web UI, TensorBoard, and the terminal or log.

Outside NNI nothing is sent to it. Standard output is left to results: progress is written to standard error.
PyTorch, whose import takes seconds, is loaded when something is first written to TensorBoard.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tqdm import tqdm

from trials.errors import TrainingError
from trials.nni_host.paths import tensorboard_directory
from trials.runs.layout import TENSORBOARD

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.tensorboard.writer import SummaryWriter


class Reporter:
    """Sends a run's metrics and pictures to NNI, inside one of its trials, to TensorBoard and the log.

    `default` names the metric of an epoch that NNI plots first. TensorBoard files go where the web UI's
    TensorBoard button looks, or to `out/tensorboard` outside NNI. Without `to_nni` a trial's web UI hears
    nothing: what runs within another run leaves the trial's results to that.
    """

    def __init__(self, out: Path, *, default: str = "val_auc", to_nni: bool = True) -> None:
        self.default = default
        self._in_nni = to_nni and "NNI_PLATFORM" in os.environ
        self._directory = (tensorboard_directory() if to_nni else None) or out / TENSORBOARD

    @cached_property
    def _writer(self) -> SummaryWriter:
        from torch.utils.tensorboard.writer import SummaryWriter

        return SummaryWriter(str(self._directory))

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_writer" in self.__dict__:  # something was written
            self._writer.close()

    def say(self, text: str) -> None:
        """Write a line for a reader, above the progress bar where there is one."""
        tqdm.write(text, file=sys.stderr)

    def epoch(self, epoch: int, metrics: Mapping[str, float], *, again: bool = False) -> None:
        """Report the metrics of an epoch, counted from 0: an intermediate result for NNI, and a line.

        Those of training `again`, which nothing validates, are no results, and are named so. Raises
        `TrainingError` for a metric that is not finite, so that no web UI or tuner takes it for one.
        """
        _require_finite(metrics)
        for name, value in metrics.items():
            self._writer.add_scalar(f"again/{name}" if again else name, value, epoch)
        self._writer.flush()  # the web UI reads along
        values = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self.say(f"{'again, ' if again else ''}epoch {epoch + 1}  {values}")
        if self._in_nni and not again:
            import nni

            nni.report_intermediate_result({"default": metrics[self.default], **metrics})

    def final(self, metrics: Mapping[str, float]) -> None:
        """Report a trial's result, once everything is on disk; NNI ranks trials by its first metric.

        Raises as `epoch` does.
        """
        _require_finite(metrics)
        if self._in_nni:
            import nni

            nni.report_final_result({"default": next(iter(metrics.values())), **metrics})

    def picture(self, name: str, path: Path) -> None:
        """Show an image file."""
        pixels = np.asarray(Image.open(path).convert("RGB"))
        self._writer.add_image(name, pixels, dataformats="HWC")
        self._writer.flush()

    def samples(self, name: str, images: Tensor) -> None:
        """Show images, float [n, channels, h, w], side by side, each from black to white."""
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        self._writer.add_images(name, (images - low) / (high - low).clamp(min=1e-6))
        self._writer.flush()


def _require_finite(metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise TrainingError(f"{name} is {value}, which is no result; nothing was reported")
