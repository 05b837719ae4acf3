"""The training recipe: learning rates, loss, optimiser, seeds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nni.nas.space import model_context
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from search_space import Architecture, EnasSpace, progress
from strategies.divergence import DivergedError
from trials.data.batches import Batches
from trials.runs.layout import CHECKPOINT
from trials.runs.reporter import Reporter
from trials.settings.load import load_settings
from trials.settings.training import RetrainSettings
from trials.training.callbacks import ReportEachEpoch
from trials.training.checkpoint import resume_from
from trials.training.losses import ordinal_loss
from trials.training.module import LesionModule
from trials.training.schedules import cosine_with_restarts, one_cycle
from trials.training.seeding import seed_everything
from trials.training.trainer import make_trainer

ENAS = {"highest": 0.05, "lowest": 0.0001, "t0": 10, "t_mul": 2}


class TwoHeads(nn.Module):
    """A network with an auxiliary head and a record of the progress that it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.auxiliary = nn.Linear(3, 2), nn.Linear(3, 2)
        self.norm, self.dropout = nn.BatchNorm2d(3), nn.Dropout(0.3)
        self.progress: list[float] = []

    @property
    def drop_path_progress(self) -> float:
        return self.progress[-1] if self.progress else 0.0

    @drop_path_progress.setter
    def drop_path_progress(self, value: float) -> None:
        self.progress.append(value)

    def forward(self, images: torch.Tensor) -> Any:
        features = self.dropout(self.norm(images).abs().mean((2, 3)))
        return (self.main(features), self.auxiliary(features)) if self.training else self.main(features)


def batches(shuffle: bool = True, count: int = 40) -> Batches:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (count, 1, 8, 8), generator=generator).byte()
    images[::2] //= 4  # darker is class 1
    labels = (torch.arange(count) % 2 == 0).long()
    return Batches(
        images, labels, batch_size=8, shuffle=shuffle, seed=1, mean=[0.4], std=[0.3], augment="none"
    )


def recipe(**changes: object) -> RetrainSettings:
    return load_settings("quick", {f"retrain.{key}": value for key, value in changes.items()}).retrain


def train(out: Path, settings: RetrainSettings, *callbacks: Any, network: TwoHeads | None = None) -> TwoHeads:
    out.mkdir(exist_ok=True)
    seed_everything(3)
    network = network or TwoHeads()
    module = LesionModule(settings)
    module.set_model(network)
    with Reporter(out) as reporter:
        trainer = make_trainer(settings, out / CHECKPOINT, 3, ReportEachEpoch(reporter), *callbacks)
        trainer.fit(
            module,
            batches(),
            batches(shuffle=False),
            ckpt_path=resume_from(out / CHECKPOINT),
            weights_only=True,
        )
    return network


def test_restarts_fall_at_the_epochs_of_enas() -> None:
    rates = [cosine_with_restarts(epoch, **ENAS) for epoch in range(640)]
    assert [epoch for epoch in range(640) if rates[epoch] == 0.05] == [0, 10, 30, 70, 150, 310, 630]


def test_the_papers_hundred_epochs_leave_the_rate_near_0_035() -> None:
    assert cosine_with_restarts(99, **ENAS) == pytest.approx(0.035, abs=0.001)


def test_cosine_is_half_way_down_in_the_middle_of_a_period() -> None:
    assert cosine_with_restarts(20, **ENAS) == pytest.approx((0.05 + 0.0001) / 2)


def test_one_cycle_rises_straight_to_the_highest_and_ends_at_the_lowest() -> None:
    rates = [one_cycle(step, 101, highest=1.0, lowest=0.0, warm_up=0.1) for step in range(101)]
    assert rates.index(max(rates)) in (10, 11)
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[-1] == 0
    assert np.diff(rates[:10]) == pytest.approx(np.full(9, rates[1] - rates[0]))
    assert (np.diff(rates[11:]) < 0).all()


@pytest.mark.parametrize(
    ("name", "loss"), [("cross_entropy", functional.cross_entropy), ("ordinal", ordinal_loss)]
)
def test_auxiliary_loss_counts_two_fifths_and_classes_their_weights(
    name: str, loss: Callable[..., torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = torch.tensor([0.5, 1.5])
    module, network = LesionModule(recipe(), class_weights=weights, loss=name), TwoHeads()
    network.dropout.p = 0.0
    module.set_model(network)
    logged: dict[str, Any] = {}
    monkeypatch.setattr(module, "log_dict", lambda values, **_: logged.update(values))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.125)
    trainer = type(
        "Fake", (), {"global_step": 5, "estimated_stepping_batches": 20, "optimizers": [optimizer]}
    )
    monkeypatch.setattr(LesionModule, "trainer", trainer)
    images, labels = next(iter(batches()))
    found = module.training_step((images, labels), 0)
    main, auxiliary = network(images)
    expected = loss(main, labels, weight=weights) + 0.4 * loss(auxiliary, labels, weight=weights)
    assert found.item() == pytest.approx(expected.item())
    assert logged["lr"] == 0.125
    assert network.progress == [5 / 20]


def test_optimiser_is_nesterov_with_decay_on_every_weight(tmp_path: Path) -> None:
    module = LesionModule(recipe(epochs=1, weight_decay=4e-4, momentum=0.9))
    module.set_model(TwoHeads())
    make_trainer(module.settings, tmp_path / CHECKPOINT, 0).fit(module, batches(), batches(shuffle=False))
    (group,) = module.trainer.optimizers[0].param_groups
    assert (group["nesterov"], group["momentum"], group["weight_decay"]) == (True, 0.9, 4e-4)
    assert len(group["params"]) == len(list(module.model.parameters()))


@pytest.mark.parametrize("schedule", ["restarts", "one_cycle"])
def test_rates_follow_the_schedule_by_epoch_or_step(tmp_path: Path, schedule: str) -> None:
    rates: list[float] = []

    class Note(ReportEachEpoch):
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    settings = recipe(epochs=3, schedule=schedule, t0=2)
    with Reporter(tmp_path) as reporter:
        train(tmp_path, settings, Note(reporter))
    limits = {"highest": settings.learning_rate, "lowest": settings.learning_rate_min}
    if schedule == "restarts":
        expected = [cosine_with_restarts(step // 5, **limits, t0=2, t_mul=2) for step in range(15)]
    else:
        expected = [one_cycle(step, 15, **limits, warm_up=settings.warm_up) for step in range(15)]
    assert rates == pytest.approx(expected)


def test_drop_path_grows_from_the_first_to_the_last_step(tmp_path: Path) -> None:
    assert train(tmp_path, recipe(epochs=2)).progress == [step / 10 for step in range(10)]


@pytest.mark.parametrize("most", [None, 18])
@pytest.mark.parametrize("schedule", ["restarts", "one_cycle"])
def test_killed_run_goes_on_to_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, schedule: str, most: int | None
) -> None:
    class Kill(ReportEachEpoch):
        def on_train_batch_start(self, trainer: Any, *arguments: Any) -> None:
            if trainer.current_epoch == 2 and arguments[-1] == 3:
                raise KeyError("killed")

    settings = recipe(epochs=4, schedule=schedule, max_steps=most)
    whole = train(tmp_path / "whole", settings)
    with pytest.raises(KeyError, match="killed"), Reporter(tmp_path) as reporter:
        train(tmp_path / "parts", settings, Kill(reporter))
    resumed = train(tmp_path / "parts", settings)
    assert len(resumed.progress) == (most or 20) - 10  # two epochs of five steps are not trained again
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_checkpoint_holds_what_the_end_of_its_epoch_has_changed(tmp_path: Path) -> None:
    class Learns(LesionModule):
        learned = 0

        def on_train_epoch_end(self) -> None:
            self.learned += 1

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["learned"] = self.learned

    module = Learns(recipe(epochs=2))
    module.set_model(TwoHeads())
    make_trainer(module.settings, tmp_path / CHECKPOINT, 0).fit(module, batches(), batches(shuffle=False))
    saved = resume_from(tmp_path / CHECKPOINT)
    assert saved and torch.load(saved, weights_only=True)["learned"] == 2


def test_step_limit_ends_a_run_annealed(tmp_path: Path) -> None:
    network = train(tmp_path, recipe(epochs=50, max_steps=7))
    assert network.progress == [step / 7 for step in range(7)]


def test_progress_is_that_of_the_whole_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FIRST", "BETWEEN"):
        monkeypatch.setattr(progress, name, 0.0)
    train(tmp_path, recipe(epochs=2))
    shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("steps")]
    assert shown[-1].startswith("steps, epoch 2/2: 10 of 10, ") and shown[-1].endswith(" 00:00 left")


def test_diverged_training_stops_without_checkpoint(tmp_path: Path) -> None:
    network = TwoHeads()
    nn.init.constant_(network.main.weight, float("nan"))
    with pytest.raises(DivergedError, match="epoch 1"):
        train(tmp_path, recipe(), network=network)
    assert resume_from(tmp_path / CHECKPOINT) is None


def test_validation_scores_are_those_of_the_whole_split(tmp_path: Path) -> None:
    settings = recipe(epochs=1)
    module, split = LesionModule(settings), batches(shuffle=False, count=13)  # batches of 8 and 5
    network = TwoHeads()
    module.set_model(network)
    trainer = make_trainer(settings, tmp_path / CHECKPOINT, 0)
    trainer.validate(module, split, verbose=False)
    with torch.no_grad():
        logits = torch.cat([network.eval()(images) for images, _ in split])
    labels = torch.cat([labels for _, labels in split])
    values = trainer.callback_metrics
    assert values["val_acc"].item() == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert values["val_loss"].item() == pytest.approx(
        functional.cross_entropy(logits, labels).item(), rel=1e-5
    )
    given = logits.softmax(1)[:, 1]
    wins = (given[labels == 1][:, None] > given[labels == 0]).float().mean().item()
    assert values["val_auc"].item() == pytest.approx(wins)


@pytest.mark.filterwarnings("ignore:No positive samples in targets")
def test_a_class_without_images_is_left_out_of_the_mean_area(tmp_path: Path) -> None:
    settings, split = recipe(epochs=1), batches(shuffle=False, count=13)  # none of class 2
    seed_everything(3)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    module = LesionModule(settings, classes=3)
    module.set_model(network)
    trainer = make_trainer(settings, tmp_path / CHECKPOINT, 0)
    trainer.validate(module, split, verbose=False)
    with torch.no_grad():
        given = torch.cat([network(images).softmax(1) for images, _ in split])
    labels = torch.cat([labels for _, labels in split])
    areas = [roc_auc_score(labels == one, given[:, one]) for one in (0, 1)]
    assert trainer.callback_metrics["val_auc"].item() == pytest.approx(sum(areas) / 2)


def test_no_strided_pointwise_convolution_meets_channels_last() -> None:
    """Their backward pass corrupts memory in oneDNN (its issue 6035) where channels are few."""
    for seed in range(20):
        with model_context(Architecture.random(seed).to_sample()):
            network = EnasSpace("enas7", filters=2)
        strided = [
            module for module in network.modules() if isinstance(module, nn.Conv2d) and max(module.stride) > 1
        ]
        assert all(module.kernel_size != (1, 1) for module in strided)
