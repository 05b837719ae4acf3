"""ENAS learns as published, and has none of the known defects of NNI's own version."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nni.mutable import Categorical
from nni.nas.oneshot.pytorch.profiler import ExpectationProfilerPenalty
from torch import nn

from search_space import progress
from strategies import ENAS
from strategies.controller import Controller
from strategies.enas import Reinforce
from strategies.random_sampling import Uniform
from strategies.testing.searches import evaluator, search
from tests.helpers.small_searches import SEARCHES


def reinforce(**options: Any) -> Reinforce:
    torch.manual_seed(0)
    choices = {"x": Categorical(["good", "bad"], label="x")}
    defaults: dict[str, Any] = {
        "updates": 30,
        "samples": 10,
        "learning_rate": 0.0035,
        "entropy_weight": 0.0,
        "baseline_decay": 0.99,
        "warmup_epochs": 0,
    }
    return Reinforce(Controller(choices), Uniform(choices, observations=1), **defaults | options)


def test_what_is_rewarded_becomes_more_likely() -> None:
    sampler = reinforce()
    generator = torch.Generator().manual_seed(0)

    def share() -> float:
        return sum(s["x"] == "good" for s in sampler.draw(500, generator)) / 500

    before = share()
    for _ in range(10):
        sampler.learn(lambda sample: float(sample["x"] == "good"), generator)
    assert before == pytest.approx(0.5, abs=0.08)
    assert (
        share() > 0.6
    )  # 1.10 / 2.5 bounds the logits, so that no more than exp(.88) / (1 + exp(.88)) = 0.71 is possible


def test_the_baseline_is_the_moving_average_from_zero() -> None:
    sampler = reinforce(updates=1, samples=3)
    sampler.learn(lambda sample: 1.0, torch.Generator())
    assert sampler.baseline == pytest.approx(1 - 0.99**3)


def test_the_baseline_of_what_is_minimized_starts_from_the_first_reward() -> None:
    choices = {"x": Categorical(["good", "bad"], label="x")}
    for metric, expected in (("-val_loss", -0.7), ("val_acc", -0.7 * (1 - 0.99**3))):
        strategy = ENAS(
            reward_metric_name=metric, warmup_epochs=1, controller_updates=1, controller_samples=3
        )
        sampler, resumed = strategy.make_sampler(choices), strategy.make_sampler(choices)
        assert (
            sampler.learn(lambda sample: -9.0, torch.Generator())["baseline"] == 0
        )  # nothing is learned yet
        resumed.load_state_dict(sampler.state_dict())
        assert resumed.learn(lambda sample: -0.7, torch.Generator())["baseline"] == pytest.approx(
            expected, 1e-3
        )


def test_the_baseline_that_leaves_one_out_is_the_mean_of_the_updates_others() -> None:
    def moved(rewards: list[float]) -> bool:
        sampler = reinforce(updates=1, samples=len(rewards), baseline="leave_one_out")
        before = [p.detach().clone() for p in sampler.controller.parameters()]
        left = iter(rewards)
        sampler.learn(lambda sample: next(left), torch.Generator().manual_seed(1))
        assert sampler.baseline == pytest.approx(sum(rewards) / len(rewards))
        return any(
            not torch.equal(a, b) for a, b in zip(before, sampler.controller.parameters(), strict=True)
        )

    assert not moved([-0.75, -0.75, -0.75])  # the moving average from 0 takes these for bad
    assert moved([-0.75, -0.5, -0.75])


def test_advantages_over_the_others_depend_neither_on_what_all_have_in_common_nor_on_the_unit() -> None:
    def learned(offset: float, unit: float) -> torch.Tensor:
        sampler = reinforce(updates=5, baseline="leave_one_out", entropy_weight=0.0)
        before = torch.cat([p.detach().flatten() for p in sampler.controller.parameters()])
        generator = torch.Generator().manual_seed(1)
        sampler.learn(lambda sample: offset + unit * (sample["x"] == "good"), generator)
        after = torch.cat([p.detach().flatten() for p in sampler.controller.parameters()])
        assert (after - before).abs().max() > 0.003
        return after

    assert torch.allclose(learned(0.0, 1.0), learned(-50.0, 1.0), atol=1e-4)
    assert torch.allclose(learned(0.0, 1.0), learned(-0.4, 0.01), atol=1e-4)  # as log losses differ


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"baseline": "none"}, "baseline 'none': expected one of moving_average, leave_one_out"),
        ({"baseline": "leave_one_out", "controller_samples": 1}, "needs controller_samples of at least 2"),
        ({"same_batches": 0}, r"same_batches \(0\) must be at least 1"),
    ],
)
def test_rewards_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ENAS(**options)


def test_entropy_is_added_to_the_reward_with_its_weight() -> None:
    sampler = reinforce(updates=1, samples=1, entropy_weight=0.5, baseline_decay=0.0)
    logged = sampler.learn(lambda sample: 0.0, torch.Generator())
    assert sampler.baseline == pytest.approx(0.5 * logged["entropy"])
    assert logged["reward"] == 0.0  # what is reported is the evaluator's metric


def test_nothing_is_learned_during_the_warm_up() -> None:
    sampler = reinforce(updates=2, samples=2, warmup_epochs=1)
    before = [p.detach().clone() for p in sampler.controller.parameters()]
    sampler.learn(lambda sample: 1.0, torch.Generator())
    assert all(torch.equal(a, b) for a, b in zip(before, sampler.controller.parameters(), strict=True))
    sampler.learn(lambda sample: 1.0, torch.Generator())
    assert not all(torch.equal(a, b) for a, b in zip(before, sampler.controller.parameters(), strict=True))


def test_what_the_controller_prefers_counts_only_after_the_warm_up() -> None:
    sampler = reinforce(updates=1, samples=1, warmup_epochs=1)
    (head,) = sampler.controller.heads.values()
    with torch.no_grad():
        head.bias.copy_(torch.tensor([100.0, -100.0]))  # 0.71 is then the bound, see above
    generator = torch.Generator().manual_seed(0)
    share = [0.0, 0.0]
    for epoch in range(2):
        share[epoch] = sum(sample["x"] == "good" for sample in sampler.draw(2000, generator)) / 2000
        sampler.learn(lambda sample: 0.0, generator)
    assert share == pytest.approx([0.5, 0.71], abs=0.04)


@pytest.mark.parametrize(
    "name",
    ["batches_per_update", "replay_buffer_size", "policy_fn", "update_kwargs", "log_prob_every_n_step"],
)
def test_arguments_of_ppo_are_refused_with_what_replaces_them(name: str) -> None:
    with pytest.raises(TypeError, match=rf"{name} belongs to NNI's PPO version of ENAS; here .+"):
        ENAS(**{name: 1})


def test_a_penalty_on_expectations_is_refused() -> None:
    with pytest.raises(TypeError, match="only SampleProfilerPenalty"):
        ENAS(penalty=ExpectationProfilerPenalty(None, baseline=1.0))


# What NNI's own strategy gets wrong, one test each


def test_the_controller_is_updated_so_often_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = 0
    inner = Reinforce.update

    def counted(self: Reinforce, *args: Any) -> None:
        nonlocal updates
        updates += 1
        inner(self, *args)

    monkeypatch.setattr(Reinforce, "update", counted)
    search(SEARCHES["enas"](), epochs=3)
    assert updates == 3 * 2


def test_rewards_leave_no_trace_in_statistics_weights_or_gradients() -> None:
    strategy = search(SEARCHES["enas"](), space="user")
    module = strategy.oneshot_module
    norms = [m for m in strategy.supernet.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(n.running_mean.eq(0).all() and n.running_var.eq(1).all() for n in norms)
    for parameter in strategy.supernet.parameters():
        parameter.grad = None
    before = {name: value.clone() for name, value in strategy.supernet.state_dict().items()}
    with module.evaluating(dropout=True):
        module.score(strategy.candidates[0].sample, iter(evaluator().val_dataloaders))
    assert all(torch.equal(value, before[name]) for name, value in strategy.supernet.state_dict().items())
    assert all(p.grad is None for p in strategy.supernet.parameters())


def test_the_export_is_the_best_of_the_ranking_whose_progress_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FIRST", "BETWEEN"):
        monkeypatch.setattr(progress, name, 0.0)
    strategy = search(SEARCHES["enas"]())
    count, told = len(strategy.candidates), capsys.readouterr().err
    assert f"architectures ranked: {count} of {count}, " in told
    exports = [strategy.oneshot_module.export() for _ in range(8)]
    listed = [model.sample for model in strategy.list_models(limit=3)]
    assert all(export == strategy.candidates[0].sample for export in exports)
    assert listed == [candidate.sample for candidate in strategy.candidates[:3]]


def test_the_checkpoint_holds_the_controllers_optimiser(tmp_path: Any) -> None:
    search(SEARCHES["enas"](), epochs=1, checkpoints=tmp_path)
    state = torch.load(tmp_path / "last.ckpt", weights_only=False)["search"]["sampler"]
    assert state["optimizer"]["state"] and state["baseline"] > 0


@pytest.mark.parametrize(("shared", "different"), [(False, 2 * 2 * 3), (True, 2 * 2)])
def test_samples_of_an_update_are_measured_on_the_same_images_when_asked(
    shared: bool, different: int
) -> None:
    seen: list[float] = []
    strategy = SEARCHES["enas"](reward_shared=shared, reward_batches=2)
    inner = strategy.mutate_evaluator

    def watched(given: Any) -> Any:
        step = given.module.validation_step

        def validation_step(batch: Any, index: int) -> Any:
            seen.append(float(batch[0].sum()))
            return step(batch, index)

        given.module.validation_step = validation_step
        return inner(given)

    strategy.mutate_evaluator = watched  # type: ignore[method-assign]
    search(strategy, epochs=1)
    rewards = seen[1 : 1 + 2 * 3 * 2]  # after the first look; two updates of three samples on two batches
    assert len(set(rewards)) == different


def test_a_minus_before_a_metric_makes_the_lowest_the_best() -> None:
    strategy = search(SEARCHES["enas"](reward_metric_name="-val_loss"))
    scores = [candidate.score for candidate in strategy.candidates]
    assert max(scores) < 0 and scores == sorted(scores, reverse=True)
    assert {candidate.metric for candidate in strategy.candidates} == {"-val_loss"}
    assert all(epoch["reward"] < 0 for epoch in strategy.oneshot_module.history)


def test_several_batches_a_reward_are_averaged_over_all_images() -> None:
    seen: list[int] = []
    strategy = SEARCHES["enas"](reward_batches=2)
    inner = strategy.mutate_evaluator

    def watched(given: Any) -> Any:
        step = given.module.validation_step

        def validation_step(batch: Any, index: int) -> Any:
            seen.append(len(batch[1]))
            return step(batch, index)

        given.module.validation_step = validation_step
        return inner(given)

    strategy.mutate_evaluator = watched  # type: ignore[method-assign]
    search(strategy, epochs=1)
    probe, rewards, ranked = 1, 2 * 3 * 2, 5 * 3  # 20 validation images are three batches
    assert len(seen) == probe + rewards + ranked
