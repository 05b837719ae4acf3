"""The controller draws as ENAS's does."""

from __future__ import annotations

from itertools import combinations
from math import exp, log, tanh
from typing import Any

import pytest
import torch
from nni.mutable import Categorical, CategoricalMultiple, Numerical, label_scope

from search_space import Architecture, EnasSpace
from strategies.controller import Controller
from strategies.decisions import plan_decisions


def enas_choices(nodes: int = 5) -> dict[str, Any]:
    return EnasSpace("enas5", filters=4, nodes=nodes).simplify()


def zeroed(controller: Controller) -> Controller:
    """Leave only the constants that ENAS fixes, so that probabilities follow by hand."""
    with torch.no_grad():
        for name, parameter in controller.named_parameters():
            if not name.endswith("bias"):
                parameter.zero_()
    return controller


def share_of_convolutions(controller: Controller, cell: str, count: int = 400) -> float:
    samples = controller.draw(count, torch.Generator().manual_seed(0)).samples
    drawn = [value for sample in samples for label, value in sample.items() if label.startswith(f"{cell}/op")]
    return sum(str(value).startswith("sep_conv") for value in drawn) / len(drawn)


@pytest.mark.parametrize(("cell", "published"), [("normal", 0.63), ("reduce", 0.51)])
def test_a_fresh_controller_prefers_convolutions_as_much_as_in_enas(cell: str, published: float) -> None:
    torch.manual_seed(0)
    assert share_of_convolutions(Controller(enas_choices()), cell) == pytest.approx(published, abs=0.03)


def test_log_probability_and_entropy_are_those_worked_out_by_hand() -> None:
    controller = zeroed(Controller(enas_choices(nodes=1)))
    draw = controller.draw(50, torch.Generator().manual_seed(1))
    high = 1.10 / 2.5 * tanh(10.0)
    odds = {"normal": (exp(high + 0.25), exp(-0.25)), "reduce": (exp(high), 1.0)}
    entropy = 4 * log(2)  # two inputs for each of two slots in two cells, all equally likely
    for convolution, other in odds.values():
        total = 2 * convolution + 3 * other
        entropy -= 2 * (
            2 * convolution / total * log(convolution / total) + 3 * other / total * log(other / total)
        )
    for sample, log_prob, drawn_entropy in zip(
        draw.samples, draw.log_prob.tolist(), draw.entropy.tolist(), strict=True
    ):
        expected = -4 * log(2)
        for cell, (convolution, other) in odds.items():
            for slot in range(2):
                is_convolution = sample[f"{cell}/op_2_{slot}"].startswith("sep_conv")
                expected += log((convolution if is_convolution else other) / (2 * convolution + 3 * other))
        assert log_prob == pytest.approx(expected, abs=1e-5)
        assert drawn_entropy == pytest.approx(entropy, abs=1e-5)


def test_every_drawn_sample_is_an_architecture_of_the_space() -> None:
    for sample in Controller(enas_choices()).draw(20).samples:
        assert Architecture.from_sample(sample).to_sample() == sample


def test_drawing_many_takes_no_more_steps_than_drawing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(enas_choices())
    step, steps = torch.lstm_cell, 0

    def count(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        return step(*arguments)

    monkeypatch.setattr(torch, "lstm_cell", count)
    controller.draw(1)
    alone, steps = steps, 0
    controller.sample(64)
    assert alone == steps == 2 * (2 + 5 * 5)  # ENAS: two start steps, then five a node, in each cell


def test_samples_alone_are_those_of_a_draw() -> None:
    torch.manual_seed(0)
    some = CategoricalMultiple([0, 1, 2], n_chosen=None, label="some")
    two = CategoricalMultiple([0, 1, 2], n_chosen=2, label="two")
    controller = Controller({"some": some, "two": two, **enas_choices(nodes=2)})
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    assert controller.sample(20, one) == controller.draw(20, other).samples
    assert torch.equal(one.get_state(), other.get_state())


def test_options_are_drawn_as_torch_draws_them() -> None:
    choices = {label: Categorical(["x", "y", "z"], label=label) for label in ("a", "b")}
    drawn = zeroed(Controller(choices)).sample(50, torch.Generator().manual_seed(4))
    generator, alike = torch.Generator().manual_seed(4), torch.full((50, 3), 1 / 3)
    for label in choices:
        index = torch.multinomial(alike, 1, generator=generator).squeeze(1)
        assert [sample[label] for sample in drawn] == ["xyz"[i] for i in index.tolist()]


def test_the_generator_alone_decides_what_is_drawn() -> None:
    controller = Controller(enas_choices())
    first = controller.draw(3, torch.Generator().manual_seed(5)).samples
    torch.manual_seed(99)
    assert controller.draw(3, torch.Generator().manual_seed(5)).samples == first
    assert controller.draw(3, torch.Generator().manual_seed(6)).samples != first


@pytest.mark.parametrize("chosen", [None, 1, 2])
def test_probabilities_of_a_multiple_choice_match_its_frequencies(chosen: int | None) -> None:
    torch.manual_seed(2)
    controller = Controller({"pick": CategoricalMultiple([0, 1, 2], n_chosen=chosen, label="pick")})
    with torch.no_grad():
        controller.heads["'pick'"].bias.copy_(torch.tensor([1.0, 0.0, -1.0]))
        draw = controller.draw(6000, torch.Generator().manual_seed(0))
    sets = [s for n in ([1, 2, 3] if chosen is None else [chosen]) for s in combinations(range(3), n)]
    drawn = [tuple(sample["pick"]) for sample in draw.samples]
    assert set(drawn) == set(sets)
    for one in sets:
        frequency = drawn.count(one) / len(drawn)
        orders = {round(p, 5) for s, p in zip(drawn, draw.log_prob.exp().tolist(), strict=True) if s == one}
        assert sum(orders) == pytest.approx(
            frequency, abs=0.025
        )  # without replacement, each order has its own probability


def test_choices_that_only_look_like_a_cell_are_drawn_one_by_one() -> None:
    with label_scope("x"):
        three_inputs_for_node_two = CategoricalMultiple([0, 1, 2], n_chosen=1, label="input_2_0")
        mutables = {m.label: m for m in (Categorical(["a", "b"], label="op_2_0"), three_inputs_for_node_two)}
    choices, cells = plan_decisions(mutables)
    assert not cells and [choice.label for choice in choices] == list(mutables)


def test_a_choice_without_finite_options_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"'rate'.*finite list"):
        plan_decisions({"rate": Numerical(0.0, 1.0, label="rate")})


def test_a_space_without_choices_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to search"):
        Controller({})
