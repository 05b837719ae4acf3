"""The checkpoint from which a killed training goes on: written whole, read as plain data alone."""

from __future__ import annotations

import io
import os
from os import PathLike
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from search_space.regular_files import not_a_file
from trials.errors import RunFolderError
from trials.files import write_atomically


class SaveEachEpoch(Checkpoint):
    """Writes the checkpoint from which a killed run goes on, whole or not at all.

    Lightning calls a `Checkpoint` last, so that whatever else an epoch's end changes is in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save."""
        trainer.save_checkpoint(self._path)


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place; Lightning itself would leave a killed run's in `TMPDIR`."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | PathLike[str], storage_options: Any = None
    ) -> None:
        """Write the file, whole or not at all."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), content.getvalue())


def resume_from(path: Path) -> str | None:
    """Return the checkpoint to go on from, if there is one at `path`.

    Raises `RunFolderError` where it is damaged, or holds more than plain data, which is never unpickled.
    """
    if not os.path.lexists(path):
        return None
    if reason := _damage(path):
        raise RunFolderError(
            f"{path}: not a checkpoint of ours, or a damaged one ({reason}); remove it, and the same command "
            "begins this run anew"
        )
    return str(path)


def _damage(path: Path) -> str | None:
    """Say why a checkpoint cannot be read as plain data; None where it can."""
    if said := not_a_file(path):
        return said
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged ones raise nearly anything
        said = str(error).partition("\n")[0]
        # torch advises to switch `weights_only` off, which would run what a hostile file holds.
        return "it holds more than plain data" if "weights" in said else said
    return None
