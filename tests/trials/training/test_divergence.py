"""A training that diverges is noticed at once, made once more, and told of; nothing of it is a score."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from strategies.divergence import DivergedError
from tests.helpers.runs import search_on
from trials.errors import TrainingError
from trials.evaluation.metrics import doubts
from trials.models.model_file import load_model
from trials.runs.layout import CHECKPOINT, divergence_file
from trials.settings.load import load_settings
from trials.training.checkpoint import SaveEachEpoch
from trials.training.divergence import CLIP, EXPLODED, StopWhenDiverged
from trials.training.module import LesionModule

Retrain = Callable[..., Mapping[str, Any]]
UNLIMITED = load_settings("quick").retrain  # by epochs alone
RATE = 0.05  # of the quick profile
SEARCH = {
    "data.image_size": 16,
    "search.filters": 4,
    "search.nodes": 2,
    "search.epochs": 2,
    "search.controller_updates": 1,
    "search.controller_samples": 2,
    "search.final_samples": 4,
}


def diverge_above(monkeypatch: pytest.MonkeyPatch, rate: float) -> list[float]:
    """Let the loss of every training with a rate above this be no number; return the rates tried."""
    step, tried = LesionModule.training_step, []

    def training_step(self: LesionModule, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = step(self, batch, batch_idx)
        if not tried or tried[-1] != self.settings.learning_rate:
            tried.append(self.settings.learning_rate)
        return loss * float("nan") if self.settings.learning_rate > rate else loss

    monkeypatch.setattr(LesionModule, "training_step", training_step)
    return tried


def test_diverged_training_is_made_again_slower_and_says_so_everywhere(
    retrain: Retrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = diverge_above(monkeypatch, RATE / 2)
    out = tmp_path / "out"
    metrics = retrain(out)
    assert tried == pytest.approx([RATE, RATE / 10])
    record = json.loads((out / divergence_file(CHECKPOINT)).read_text())
    assert record["epoch"] == 1
    assert record["largest_gradient_norm"] == CLIP
    assert any("diverged in epoch 1" in warning for warning in metrics["warnings"])
    assert any("diverged in epoch 1" in warning for warning in load_model(out).description.warnings)


def test_interrupted_second_attempt_goes_on_as_one(
    retrain: Retrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverge_above(monkeypatch, RATE / 2)
    whole = retrain(tmp_path / "whole")
    save = SaveEachEpoch.on_train_epoch_end

    def killed(self: Any, trainer: Any, pl_module: Any) -> None:
        save(self, trainer, pl_module)
        raise KeyError("killed")

    with monkeypatch.context() as patch, pytest.raises(KeyError, match="killed"):
        patch.setattr(SaveEachEpoch, "on_train_epoch_end", killed)
        retrain(tmp_path / "parts")
    resumed = retrain(tmp_path / "parts")
    assert resumed["test"] == whole["test"]
    assert resumed["warnings"] == whole["warnings"]


@pytest.mark.parametrize("stage", ["retrain", "search"])
def test_what_diverges_twice_ends_with_the_setting_to_change(
    stage: str, retrain: Retrain, lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diverge_above(monkeypatch, 0.0)
    with pytest.raises(TrainingError, match=rf"--set {stage}\.learning_rate=0\.0005") as told:
        if stage == "search":
            search_on(lesions, out=tmp_path / "out", settings=load_settings("quick", SEARCH))
        else:
            retrain(tmp_path / "out")
    assert "in a second attempt too" in str(told.value)
    assert not (tmp_path / "out" / CHECKPOINT).exists()


def test_diverged_search_is_made_again_and_says_so(
    lesions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = diverge_above(monkeypatch, RATE / 2)
    record = search_on(lesions, out=tmp_path / "out", settings=load_settings("quick", SEARCH))
    assert tried == pytest.approx([RATE, RATE / 10])
    assert len(record["warnings"]) == 1
    assert "train_loss is" in record["warnings"][0]


@pytest.mark.parametrize(
    ("step", "metrics", "diverged"),
    [
        (1, {"train_loss": 0.6, "val_loss": 0.7}, False),
        (1, {"train_loss": 81.0}, True),
        (1, {"train_loss": float("inf")}, True),
        (1, {"train_loss": 0.6, "val_loss": float("nan")}, True),
        (1, {"train_loss": 0.6, "val_auc": float("nan"), "val_loss": 0.7}, True),
        (1, {"train_loss": 0.6, "val_loss": 841.0}, False),  # running averages lag behind
        (9, {"train_loss": 0.6, "val_loss": 841.0}, True),
    ],
)
def test_divergence_is_a_loss_that_is_no_number_or_far_above_a_guess(
    step: int, metrics: dict[str, float], diverged: bool
) -> None:
    trainer: Any = SimpleNamespace(
        current_epoch=step,
        global_step=step,
        estimated_stepping_batches=10,
        callback_metrics={name: torch.tensor(value) for name, value in metrics.items()},
    )
    guard = StopWhenDiverged(2, UNLIMITED)
    if diverged:
        with pytest.raises(DivergedError, match=f"epoch {step + 1}"):
            guard.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
    else:
        guard.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]


def test_a_guess_among_more_classes_has_a_higher_loss() -> None:
    trainer: Any = SimpleNamespace(
        current_epoch=0,
        global_step=1,
        estimated_stepping_batches=10,
        callback_metrics={"train_loss": torch.tensor(EXPLODED * np.log(2) + 1)},
    )
    StopWhenDiverged(7, UNLIMITED).on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
    with pytest.raises(DivergedError):
        StopWhenDiverged(2, UNLIMITED).on_train_epoch_end(trainer, None)  # type: ignore[arg-type]


def test_validation_makes_no_score_of_logits_that_are_no_numbers(
    retrain: Retrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchmetrics would say 1.0 of these."""
    forward = LesionModule.forward

    def not_numbers(self: LesionModule, images: Tensor) -> Any:
        logits = forward(self, images)
        return logits if self.training else logits * float("nan")

    monkeypatch.setattr(LesionModule, "forward", not_numbers)
    with pytest.raises(TrainingError, match="logits are not finite"):
        retrain(tmp_path / "out")


TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=bool)


def test_constant_answers_and_those_at_chance_are_doubted() -> None:
    (constant,) = doubts(TRUTH, np.full(8, 0.4))
    assert "answers alike" in constant
    # With 4 against 4 the bound is 0.5 + 1.645 sqrt(9 / 192) = 0.856, and 12 of 16 pairs are in order.
    (chance,) = doubts(TRUTH, [0.1, 0.2, 0.7, 0.8, 0.15, 0.75, 0.85, 0.9])
    assert "AUC 0.750" in chance
    assert "0.856" in chance
    assert doubts(TRUTH, np.linspace(0, 1, 8)) == []
    (few,) = doubts(TRUTH[3:6], [0.1, 0.8, 0.9])  # the bound would be 1.17
    assert "3 validation images are too few" in few
    assert doubts(np.ones(3, dtype=bool), [0.1, 0.2, 0.3]) == []  # nothing to tell apart


def test_dead_network_is_a_warning_beside_its_result(
    retrain: Retrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = LesionModule.forward
    monkeypatch.setattr(LesionModule, "forward", lambda self, images: 0 * forward(self, images))
    monkeypatch.setattr(
        "trials.models.network.TrainedModel.logits",
        lambda self, images, *_, **__: np.zeros((len(images), 2)),
    )
    metrics = retrain(tmp_path / "out")
    assert any("whatever the image" in warning for warning in metrics["warnings"])
    assert load_model(tmp_path / "out").description.warnings == tuple(metrics["warnings"])
