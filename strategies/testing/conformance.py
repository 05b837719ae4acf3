"""What every strategy must hold."""

from __future__ import annotations

import importlib.util
import inspect
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import nni
import pytest
import torch
from nni.nas.evaluator.pytorch import Trainer
from nni.nas.evaluator.pytorch.lightning import ClassificationModule, Lightning
from nni.nas.experiment import NasExperiment
from nni.nas.space import RawFormatModelSpace, model_context
from nni.runtime.trial_command_channel import get_default_trial_command_channel

from search_space import EnasSpace
from strategies.base import WeightSharingStrategy
from strategies.divergence import DivergedError
from strategies.nni_trial import InProcessEngine
from strategies.sampler import Sampler
from strategies.testing.searches import (
    SPACES,
    USER_SAMPLE,
    Channel,
    GuardedData,
    TwoMetrics,
    evaluator,
    ranking,
    run,
    search,
    trial_channel,
)


class StrategyTests:
    """The suite: inherit it in a class whose name starts with ``Test``, and define `make_strategy`.

    Each search takes a second or two, each of the spaces of NNI's hub about ten.
    """

    def make_strategy(self, **options: Any) -> WeightSharingStrategy:
        """Return a new strategy with these options of `WeightSharingStrategy`."""
        raise NotImplementedError

    def make(self, **options: Any) -> WeightSharingStrategy:
        """Return a new strategy that is quick."""
        quick = {"reward_metric_name": "val_acc", "final_samples": 5, "seed": 3}
        return self.make_strategy(**quick | options)

    def make_sampler(self, space: str) -> Sampler:
        """Return a new sampler of one of `SPACES`."""
        return self.make().make_sampler(SPACES[space][0]().simplify())

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """Sums of several threads may differ in their last digit."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    # The sampler

    @pytest.mark.parametrize("space", list(SPACES))
    def test_a_sampler_draws_from_its_generator_alone_and_from_the_space(self, space: str) -> None:
        sampler = self.make_sampler(space)
        drawn = sampler.draw(4, torch.Generator().manual_seed(5))
        torch.manual_seed(99)
        assert sampler.draw(4, torch.Generator().manual_seed(5)) == drawn
        for sample in drawn:
            assert json.loads(json.dumps(sample)) == sample  # plain values, as NNI writes them
            with model_context(sample):
                SPACES[space][0]()

    def test_a_sampler_returns_the_mean_reward_and_its_state_makes_another_go_on(self) -> None:
        one, other = self.make_sampler("user"), self.make_sampler("user")
        logged = one.learn(lambda sample: float(sample["first"] == 1), torch.Generator().manual_seed(1))
        assert 0 <= logged["reward"] <= 1
        saved = io.BytesIO()
        torch.save(one.state_dict(), saved)
        saved.seek(0)
        other.load_state_dict(torch.load(saved, weights_only=True))  # as from a checkpoint
        same = [sampler.draw(20, torch.Generator().manual_seed(2)) for sampler in (one, other)]
        assert same[0] == same[1]

    # A whole search

    @pytest.mark.parametrize("space", list(SPACES))
    def test_an_experiment_of_nnis_exports_architectures_of_the_space(
        self, space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path))
        torch.manual_seed(0)
        make, classes = SPACES[space]
        experiment = NasExperiment(make(), evaluator(classes, epochs=1), self.make(final_samples=3))
        experiment.config.experiment_working_directory = tmp_path
        experiment.run()
        experiment.stop()
        best = experiment.export_top_models(top_k=2, formatter="dict")
        assert best == [candidate.sample for candidate in experiment.strategy.candidates[:2]]
        images = torch.randn(2, 3, 12, 12)
        for sample in best:
            with model_context(sample):
                assert make()(images).shape == (2, classes)

    def test_the_same_seed_gives_the_same_search_in_another_process(self) -> None:
        command = [sys.executable, "-c", ANOTHER_PROCESS, inspect.getfile(type(self)), type(self).__name__]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "1"}
        there = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert there.returncode == 0, there.stderr
        found = [tuple(pair) for pair in json.loads(there.stdout.splitlines()[-1])]
        assert found == ranking(search(self.make()))

    def test_another_seed_gives_another_search(self) -> None:
        assert ranking(search(self.make())) != ranking(search(self.make(seed=4)))

    def test_the_best_of_many_comes_first_and_none_twice(self) -> None:
        found = ranking(search(self.make(final_samples=8)))
        assert len({sample for sample, _ in found}) == len(found) == 8
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)

    def test_a_score_is_the_accuracy_on_the_whole_validation_split(self) -> None:
        strategy = search(self.make(), shuffle=False)
        module = strategy.oneshot_module
        for candidate in strategy.candidates:
            module.set_architecture(candidate.sample)
            with module.evaluating(dropout=False), torch.no_grad():
                batches = list(evaluator(shuffle=False).val_dataloaders)
                right = [strategy.supernet(images).argmax(1) == labels for images, labels in batches]
            assert len(torch.cat(right)) == 20
            assert candidate.score == pytest.approx(float(torch.cat(right).float().mean()))

    def test_a_penalty_lowers_rewards_and_scores(self) -> None:
        class Deeper:
            def profile(self, sample: dict[str, Any]) -> float:
                return 1.0 + sum(sample[label] == "sep_conv_5x5" for label in sample)

        penalty = {"profiler": Deeper(), "baseline": 1.0, "scale": -10.0}
        best = search(self.make(penalty=penalty, final_samples=20)).candidates
        assert [c.score for c in best] == sorted((c.score for c in best), reverse=True)
        counts = [Deeper().profile(c.sample) for c in best]
        assert counts == sorted(counts)  # ten a convolution outweighs any accuracy

    @pytest.mark.parametrize("lost", [1, 1000])
    def test_an_architecture_without_a_finite_score_is_not_ranked(
        self, lost: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """torchmetrics makes an accuracy of logits that are all NaN: the share of class 0."""
        forward, calls = ClassificationModule.forward, []

        def not_numbers(self: ClassificationModule, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = forward(self, images)
            if self.training:  # the ranking alone has dropout off
                return logits
            calls.append(1)
            return logits * float("nan") if len(calls) <= lost else logits

        monkeypatch.setattr(ClassificationModule, "forward", not_numbers)
        strategy = self.make()
        if lost == 1:
            search(strategy)
            assert len(strategy.candidates) == 4
            assert strategy.oneshot_module.unscored == 1
        else:
            with pytest.raises(DivergedError, match="is nan"):
                search(strategy)

    # Data and evaluator

    def test_a_search_reads_training_and_validation_data_only(self) -> None:
        data = GuardedData()
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        given = Lightning(ClassificationModule(num_classes=2), trainer, datamodule=data)
        strategy = run(self.make(), given)
        assert data.trained and data.validated and len(strategy.candidates) == 5

    def test_a_data_module_serves_the_next_search_and_a_retraining(self) -> None:
        data, scores = GuardedData(), []
        for _ in range(2):
            given = evaluator(epochs=1)
            given.datamodule = data
            scores.append(ranking(run(self.make(), given)))
        assert scores[0] == scores[1] and data.val_dataloader() is not None

    def test_an_evaluator_or_space_that_has_been_used_is_refused(self) -> None:
        make = SPACES["own"][0]
        searched, fresh, given = make(), make(), evaluator(epochs=1)
        run(self.make(), given, searched)
        with pytest.raises(ValueError, match="epoch 1 of 1; make a new evaluator"):
            run(self.make(), given, fresh)
        with pytest.raises(ValueError, match="make a new space"):
            run(self.make(), evaluator(), searched)
        run(self.make(), evaluator(epochs=1), fresh)

    def test_an_evaluator_that_has_trained_a_network_is_refused(self) -> None:
        given, make = evaluator(epochs=1), SPACES["user"][0]
        with model_context(USER_SAMPLE):
            given.evaluate(make())
        with pytest.raises(ValueError, match="make a new evaluator"):
            run(self.make(), given, make())

    def test_a_metric_that_is_not_logged_is_refused_before_training(self) -> None:
        epochs: list[int] = []
        strategy = self.make(reward_metric_name="auc", on_epoch=lambda epoch, _: epochs.append(epoch))
        with pytest.raises(ValueError, match=r"logs \['val_acc', 'val_loss'\], not 'auc'"):
            search(strategy)
        assert not epochs

    # The shared weights

    def test_momentum_and_decay_move_unsampled_weights_only_when_asked(self) -> None:
        def moved(**options: Any) -> float:
            strategy = self.make(**options)
            given, space = evaluator(epochs=1), EnasSpace("enas3", filters=4, nodes=5)
            given.module.hparams.weight_decay = 0.1
            torch.manual_seed(0)
            strategy.initialize(RawFormatModelSpace(space, given), InProcessEngine())
            before = [p.detach().clone() for p in strategy.supernet.parameters()]
            strategy.run()
            # Offsets of batch norm start at zero, where decay alone does not move them.
            pairs = [(a, b) for a, b in zip(before, strategy.supernet.parameters(), strict=True) if a.any()]
            return sum(not torch.equal(a, b) for a, b in pairs) / len(pairs)

        assert moved() == 1
        assert moved(update_unsampled=False) < 0.9

    def test_fused_sgd_with_momentum_moves_sampled_weights_as_the_plain_one_does(self) -> None:
        def trained(**how: Any) -> list[torch.Tensor]:
            given = evaluator(epochs=2)
            given.module.optimizer = partial(torch.optim.SGD, momentum=0.9, dampening=0.1, **how)
            strategy = run(self.make(update_unsampled=False), given)
            return [weight.detach() for weight in strategy.supernet.parameters()]

        for ours, plain in zip(trained(fused=True), trained(foreach=False), strict=True):
            assert torch.equal(ours, plain)

    # Resuming

    def test_a_resumed_search_ends_as_the_uninterrupted_one(self, tmp_path: Path) -> None:
        whole = search(self.make(), epochs=3)
        search(self.make(), epochs=1, checkpoints=tmp_path)
        resumed = search(self.make(), epochs=3, resume=tmp_path / "last.ckpt")
        assert resumed.oneshot_module.history == whole.oneshot_module.history
        assert ranking(resumed) == ranking(whole)
        for ours, theirs in zip(resumed.supernet.parameters(), whole.supernet.parameters(), strict=True):
            assert torch.equal(ours, theirs)

    def test_a_search_killed_in_its_ranking_ends_as_the_uninterrupted_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nni, "get_current_parameter", dict)  # as in a trial, where evaluators report
        whole = search(self.make(), epochs=2, checkpoints=tmp_path)
        resumed = search(self.make(), epochs=2, resume=tmp_path / "last.ckpt")
        assert resumed.oneshot_module.history == whole.oneshot_module.history
        assert ranking(resumed) == ranking(whole)

    def test_a_checkpoint_of_another_seed_is_refused(self, tmp_path: Path) -> None:
        search(self.make(), epochs=1, checkpoints=tmp_path)
        with pytest.raises(ValueError, match="seed 3, not 4"):
            search(self.make(seed=4), epochs=2, resume=tmp_path / "last.ckpt")

    # What is reported

    def test_every_epoch_is_reported(self) -> None:
        epochs: list[tuple[int, Mapping[str, float]]] = []
        search(self.make(on_epoch=lambda *reported: epochs.append(reported)), epochs=3)
        assert [number for number, _ in epochs] == [0, 1, 2]
        assert all({"train_loss", "reward"} <= set(metrics) for _, metrics in epochs)

    @pytest.mark.parametrize("several_metrics", [False, True])
    def test_a_trial_has_the_best_score_as_its_one_final_result(
        self, several_metrics: bool, trial: Channel
    ) -> None:
        given = evaluator()
        if several_metrics:
            given.module = TwoMetrics()
        score = run(self.make(), given).candidates[0].score
        assert [kind for kind, _ in trial.sent] == ["PERIODICAL", "PERIODICAL", "FINAL"]
        assert trial.sent[-1][1] == {"default": score, "score": score}
        assert all(value["reward"] == value["default"] for _, value in trial.sent[:2])
        assert get_default_trial_command_channel() is trial

    def test_a_trial_whose_caller_reports_hears_nothing_else(self, trial: Channel) -> None:
        search(self.make(on_epoch=lambda *_: None))
        assert not trial.sent

    def test_a_search_that_fails_leaves_the_trials_channel_open(self, trial: Channel) -> None:
        with pytest.raises(ValueError, match="auc"):
            search(self.make(reward_metric_name="auc"))
        assert get_default_trial_command_channel() is trial

    @pytest.fixture
    def trial(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
        """A trial of NNI's that has its parameters."""
        monkeypatch.setattr(nni.trial, "_params", None)
        with trial_channel() as channel:
            nni.get_next_parameter()
            yield channel


ANOTHER_PROCESS = """
import json, sys, torch
from strategies.testing.conformance import load_case
from strategies.testing.searches import ranking, search
torch.set_num_threads(1)
print(json.dumps(ranking(search(load_case(*sys.argv[1:]).make()))))
"""


def load_case(file: str, name: str) -> StrategyTests:
    """Return a new instance of a class of tests, from the file that defines it."""
    spec = importlib.util.spec_from_file_location("conformance_case", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["conformance_case"] = module
    spec.loader.exec_module(module)
    case: StrategyTests = getattr(module, name)()
    return case
