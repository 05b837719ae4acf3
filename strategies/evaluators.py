"""What a search does to the user's evaluator: it is used once, is silent, and gets its data back."""

from __future__ import annotations

from functools import partial
from typing import Any

import nni
from nni.nas.evaluator.pytorch import Lightning
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.space import RawFormatModelSpace

from strategies.nni_trial import silence


def refuse_used(space: RawFormatModelSpace) -> None:
    """Raise ValueError for an evaluator that has trained, or a space that a search has made its own.

    A trainer that has reached its last epoch trains no more: the search would rank weights that nothing has
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


@nni.trace  # as NNI asks of evaluators
class SilentEvaluator(Lightning):
    """An evaluator whose results NNI does not hear."""

    def evaluate(self, model: Any) -> Any:
        """Fit the model as `Lightning` does."""
        with silence():
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
