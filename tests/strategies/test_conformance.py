"""What every strategy here must hold; ENAS and the random control run through the same tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nni
import pytest
import pytorch_lightning as pl
import torch
from nni.nas.evaluator.pytorch import DataLoader, Lightning, Trainer
from nni.nas.evaluator.pytorch.lightning import ClassificationModule
from nni.nas.experiment import NasExperiment
from nni.nas.space import RawFormatModelSpace, model_context
from nni.runtime.trial_command_channel import (
    TrialCommandChannel,
    get_default_trial_command_channel,
    set_default_trial_command_channel,
)

from search_space import EnasSpace
from strategies.base import InProcessEngine, WeightSharingStrategy
from strategies.divergence import DivergedError
from tests.helpers.small_searches import SPACES, Reports, evaluator, search, small_data

Make = Callable[..., WeightSharingStrategy]


def ranking(strategy: WeightSharingStrategy) -> list[tuple[str, float]]:
    return [
        (json.dumps(candidate.sample, sort_keys=True), candidate.score) for candidate in strategy.candidates
    ]


@pytest.mark.parametrize("space", list(SPACES))
def test_an_experiment_of_nnis_exports_architectures_of_the_space(
    make_strategy: Make, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path))
    torch.manual_seed(0)
    make, classes = SPACES[space]
    experiment = NasExperiment(make(), evaluator(classes, epochs=1), make_strategy(final_samples=3))
    experiment.config.experiment_working_directory = tmp_path
    experiment.run()
    experiment.stop()
    best = experiment.export_top_models(top_k=2, formatter="dict")
    assert best == [candidate.sample for candidate in experiment.strategy.candidates[:2]]
    images = torch.randn(2, 3, 12, 12)
    for sample in best:
        with model_context(sample):
            assert make()(images).shape == (2, classes)


def test_the_same_seed_gives_the_same_search_in_another_process(
    make_strategy: Make, request: pytest.FixtureRequest
) -> None:
    here = ranking(search(make_strategy()))
    name = request.node.callspec.params["make_strategy"]
    script = (
        "import json; import tests.helpers.small_searches as c, torch; "
        "torch.set_num_threads(1); "
        f"s = c.search(c.SEARCHES[{name!r}]()); "
        "print(json.dumps([(json.dumps(x.sample, sort_keys=True), x.score) for x in s.candidates]))"
    )
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [tuple(pair) for pair in json.loads(there.stdout.splitlines()[-1])] == here


def test_another_seed_gives_another_search(make_strategy: Make) -> None:
    assert ranking(search(make_strategy())) != ranking(search(make_strategy(seed=4)))


def test_a_resumed_search_ends_as_the_uninterrupted_one(make_strategy: Make, tmp_path: Path) -> None:
    whole = search(make_strategy(), epochs=3)
    search(make_strategy(), epochs=1, checkpoints=tmp_path)
    resumed = search(make_strategy(), epochs=3, resume=tmp_path / "last.ckpt")
    assert resumed.oneshot_module.history == whole.oneshot_module.history
    assert ranking(resumed) == ranking(whole)
    for ours, theirs in zip(resumed.supernet.parameters(), whole.supernet.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_search_killed_in_its_ranking_ends_as_the_uninterrupted_one(
    make_strategy: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nni, "get_current_parameter", dict)  # as in a trial, where NNI's evaluators report
    whole = search(make_strategy(), epochs=2, checkpoints=tmp_path)
    resumed = search(make_strategy(), epochs=2, resume=tmp_path / "last.ckpt")
    assert resumed.oneshot_module.history == whole.oneshot_module.history
    assert ranking(resumed) == ranking(whole)


def test_a_checkpoint_of_another_seed_is_refused(make_strategy: Make, tmp_path: Path) -> None:
    search(make_strategy(), epochs=1, checkpoints=tmp_path)
    with pytest.raises(ValueError, match="seed 3, not 4"):
        search(make_strategy(seed=4), epochs=2, resume=tmp_path / "last.ckpt")


def test_the_best_of_many_comes_first_and_none_twice(make_strategy: Make) -> None:
    found = ranking(search(make_strategy(final_samples=8)))
    assert len({sample for sample, _ in found}) == len(found) == 8
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_a_score_is_the_accuracy_on_the_whole_validation_split(make_strategy: Make) -> None:
    strategy = search(make_strategy(), shuffle=False)
    module = strategy.oneshot_module
    for candidate in strategy.candidates:
        module.set_architecture(candidate.sample)
        with module._scoring(dropout=False), torch.no_grad():
            batches = list(evaluator(shuffle=False).val_dataloaders)
            right = [strategy.supernet(images).argmax(1) == labels for images, labels in batches]
        assert len(torch.cat(right)) == 20
        assert candidate.score == pytest.approx(float(torch.cat(right).float().mean()))


class Guarded(pl.LightningDataModule):
    """A data module whose test images must never be asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.trained = self.validated = 0

    def train_dataloader(self) -> DataLoader:
        self.trained += 1
        return DataLoader(small_data(), batch_size=8, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        self.validated += 1
        return DataLoader(small_data(20), batch_size=8)

    def test_dataloader(self) -> DataLoader:
        raise AssertionError("the search asked for test data")


def test_a_search_reads_training_and_validation_data_only(make_strategy: Make) -> None:
    data = Guarded()
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = ClassificationModule(num_classes=2)
    torch.manual_seed(0)
    strategy = make_strategy()
    strategy(
        RawFormatModelSpace(
            EnasSpace("enas3", filters=4, nodes=2), Lightning(module, trainer, datamodule=data)
        ),
        InProcessEngine(),
    )
    assert data.trained and data.validated and len(strategy.candidates) == 5


def test_every_epoch_and_the_end_are_reported(make_strategy: Make) -> None:
    reports = Reports()
    strategy = search(make_strategy(reporter=reports), epochs=3)
    assert [{"train_loss", "reward", "reward_best"} <= set(metrics) for metrics in reports.epochs] == [
        True
    ] * 3
    assert reports.finals == [{"score": strategy.candidates[0].score}]


class Channel(TrialCommandChannel):
    """The channel of a trial, which remembers what it has been sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def receive_parameter(self) -> Any:
        return {"parameter_id": 0, "parameters": {"any": 1}}

    def send_metric(self, type: str, value: Any, **where: Any) -> None:
        self.sent.append((type, value))


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    """A trial of NNI's that has its parameters."""
    monkeypatch.setattr(nni.trial, "_params", None)
    before, channel = get_default_trial_command_channel(), Channel()
    set_default_trial_command_channel(channel)
    nni.get_next_parameter()
    yield channel
    set_default_trial_command_channel(before)


class TwoMetrics(ClassificationModule):
    """Reports, as NNI's evaluators of several metrics do, a dict without `default`; each epoch as well."""

    def __init__(self) -> None:
        super().__init__(num_classes=2)
        self.metrics["again"] = self.metrics["acc"]

    def on_train_epoch_end(self) -> None:
        nni.report_intermediate_result(self._get_result_for_report())


@pytest.mark.parametrize("module", [None, TwoMetrics])
def test_a_trial_has_the_best_score_as_its_one_final_result(
    make_strategy: Make, module: type[TwoMetrics] | None, trial: Channel
) -> None:
    given = evaluator()
    given.module = module() if module else given.module
    strategy = make_strategy()
    strategy(RawFormatModelSpace(EnasSpace("enas3", filters=4, nodes=2), given), InProcessEngine())
    score = strategy.candidates[0].score
    assert [kind for kind, _ in trial.sent] == ["PERIODICAL", "PERIODICAL", "FINAL"]
    assert trial.sent[-1][1] == {"default": score, "score": score}
    assert [value["reward"] == value["default"] for _, value in trial.sent[:2]] == [True, True]
    assert get_default_trial_command_channel() is trial


def test_a_search_that_fails_leaves_the_trials_channel_open(make_strategy: Make, trial: Channel) -> None:
    with pytest.raises(ValueError, match="auc"):
        search(make_strategy(reward_metric_name="auc"))
    assert get_default_trial_command_channel() is trial


def test_an_evaluator_or_space_that_has_been_used_is_refused(make_strategy: Make) -> None:
    def space() -> EnasSpace:
        return EnasSpace("enas3", filters=4, nodes=2)

    searched, given = space(), evaluator(epochs=1)
    make_strategy()(RawFormatModelSpace(searched, given), InProcessEngine())
    fresh = space()
    with pytest.raises(ValueError, match="epoch 1 of 1; make a new evaluator"):
        make_strategy()(RawFormatModelSpace(fresh, given), InProcessEngine())
    with pytest.raises(ValueError, match="make a new space"):
        make_strategy()(RawFormatModelSpace(searched, evaluator()), InProcessEngine())
    make_strategy()(RawFormatModelSpace(fresh, evaluator(epochs=1)), InProcessEngine())


def test_an_evaluator_that_has_trained_a_network_is_refused(make_strategy: Make) -> None:
    given = evaluator(epochs=1)
    with model_context({"first": 0, "second": "conv", "one": [0], "two": [0, 1], "some": [2]}):
        given.evaluate(SPACES["user"][0]())
    with pytest.raises(ValueError, match="make a new evaluator"):
        make_strategy()(RawFormatModelSpace(SPACES["user"][0](), given), InProcessEngine())


def test_a_data_module_serves_the_next_search_and_a_retraining(make_strategy: Make) -> None:
    data = Guarded()
    scores = []
    for _ in range(2):
        given = evaluator(epochs=1)
        given.datamodule = data
        strategy = make_strategy()
        torch.manual_seed(0)
        strategy(RawFormatModelSpace(EnasSpace("enas3", filters=4, nodes=2), given), InProcessEngine())
        scores.append(ranking(strategy))
    assert scores[0] == scores[1] and data.val_dataloader() is not None


def test_a_metric_that_is_not_logged_is_refused_before_training(make_strategy: Make) -> None:
    reports = Reports()
    with pytest.raises(ValueError, match=r"logs \['val_acc', 'val_loss'\], not 'auc'"):
        search(make_strategy(reward_metric_name="auc", reporter=reports))
    assert not reports.epochs


def test_a_penalty_lowers_rewards_and_scores(make_strategy: Make) -> None:
    class Deeper:
        def profile(self, sample: dict[str, Any]) -> float:
            return 1.0 + sum(sample[label] == "sep_conv_5x5" for label in sample)

    penalty = {"profiler": Deeper(), "baseline": 1.0, "scale": -10.0}
    best = search(make_strategy(penalty=penalty, final_samples=20)).candidates
    assert [c.score for c in best] == sorted((c.score for c in best), reverse=True)
    counts = [Deeper().profile(c.sample) for c in best]
    assert counts == sorted(counts)  # ten a convolution outweighs any accuracy


def test_momentum_and_decay_move_unsampled_weights_only_when_asked(make_strategy: Make) -> None:
    def moved(**options: Any) -> float:
        strategy = make_strategy(**options)
        torch.manual_seed(0)
        given = evaluator(epochs=1)
        given.module.hparams.weight_decay = 0.1
        strategy.initialize(
            RawFormatModelSpace(EnasSpace("enas3", filters=4, nodes=5), given), InProcessEngine()
        )
        before = [p.detach().clone() for p in strategy.supernet.parameters()]
        strategy.run()
        # Offsets of batch norm start at zero, where decay alone does not move them.
        pairs = [(a, b) for a, b in zip(before, strategy.supernet.parameters(), strict=True) if a.any()]
        return sum(not torch.equal(a, b) for a, b in pairs) / len(pairs)

    assert moved() == 1
    assert moved(update_unsampled=False) < 0.9


def test_fused_sgd_with_momentum_moves_sampled_weights_as_the_plain_one_does(make_strategy: Make) -> None:
    def trained(**how: Any) -> list[torch.Tensor]:
        given = evaluator(epochs=2)
        given.module.optimizer = partial(torch.optim.SGD, momentum=0.9, dampening=0.1, **how)
        strategy = make_strategy(update_unsampled=False)
        torch.manual_seed(0)
        strategy(RawFormatModelSpace(EnasSpace("enas3", filters=4, nodes=2), given), InProcessEngine())
        return [weight.detach() for weight in strategy.supernet.parameters()]

    for ours, plain in zip(trained(fused=True), trained(foreach=False), strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize("lost", [1, 1000])
def test_an_architecture_without_a_finite_score_is_not_ranked(
    make_strategy: Make, lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchmetrics makes an accuracy of logits that are all NaN: the share of class 0."""
    forward, calls = ClassificationModule.forward, []

    def not_numbers(self: ClassificationModule, images: torch.Tensor) -> torch.Tensor:
        logits = forward(self, images)
        if self.training:  # the ranking alone has dropout off
            return logits
        calls.append(1)
        return logits * float("nan") if len(calls) <= lost else logits

    monkeypatch.setattr(ClassificationModule, "forward", not_numbers)
    strategy = make_strategy(final_samples=5)
    if lost == 1:
        search(strategy)
        assert len(strategy.candidates) == 4
        assert strategy.oneshot_module.unscored == 1
    else:
        with pytest.raises(DivergedError, match="is nan"):
            search(strategy)
