"""Optuna's TPE behind NNI's tuner interface: what it proposes, and what it hears of trials."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nni
import pytest
from nni.runtime import msg_dispatcher
from optuna.trial import TrialState

from strategies.optuna_tuner import OptunaTuner

TOY = Path(__file__).parents[1] / "trials" / "nni_host" / "toy"
SPACE: dict[str, Any] = {
    "stage": {"_type": "choice", "_value": ["tune"]},
    "x": {"_type": "choice", "_value": ["null", 48]},
    "y": {"_type": "choice", "_value": [32, 16, 8]},
    "z": {"_type": "choice", "_value": [False, True]},
}
NUMBER: dict[str, Any] = {"x": {"_type": "uniform", "_value": [0, 1]}}


def tuner(space: dict[str, Any] = SPACE, **options: Any) -> OptunaTuner:
    made = OptunaTuner(**options)
    made.update_search_space(space)
    return made


def play(made: OptunaTuner, count: int, merit: Callable[[dict[str, Any]], float]) -> list[dict[str, Any]]:
    """Run trials one after the other; return their parameters."""
    first, asked = len(made.records), []
    for number in range(first, first + count):
        asked.append(made.generate_parameters(number))
        made.receive_trial_result(number, asked[-1], merit(asked[-1]))
        made.trial_end(number, True)
    return asked


def near(optimum: float) -> Callable[[dict[str, Any]], float]:
    return lambda parameters: -abs(parameters["x"] - optimum)


def test_each_combination_is_proposed_once_and_then_there_are_no_more() -> None:
    made = tuner(startup_trials=4)
    asked = play(made, 12, lambda parameters: parameters["y"])
    assert len({json.dumps(one) for one in asked}) == 12
    with pytest.raises(nni.NoMoreTrialError, match="all 12"):
        made.generate_parameters(12)
    assert made.generate_multiple_parameters([12, 13]) == []


@pytest.mark.parametrize("mode", ["maximize", "minimize"])
def test_after_the_start_it_looks_where_results_are_good(mode: str) -> None:
    sign = 1 if mode == "maximize" else -1
    asked = play(tuner(NUMBER, optimize_mode=mode), 30, lambda p: sign * near(0.8)(p))
    first, last = asked[:10], asked[20:]
    assert sum(abs(one["x"] - 0.8) for one in last) < sum(abs(one["x"] - 0.8) for one in first) / 2


def test_the_same_seed_proposes_the_same_and_another_another() -> None:
    runs = [play(tuner(NUMBER, seed=seed), 15, near(0.3)) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_two_at_a_time_do_not_try_the_same() -> None:
    made = tuner(startup_trials=2)
    play(made, 5, lambda parameters: parameters["y"])
    together = made.generate_multiple_parameters([5, 6, 7])
    assert len({json.dumps(one) for one in together}) == 3


def test_a_trial_that_was_ended_is_poorer_than_any_that_came_to_its_end() -> None:
    made = tuner(NUMBER)
    for number, (value, success) in enumerate([(0.9, False), (0.5, True)]):
        made.generate_parameters(number)
        made.receive_trial_result(number, {}, value)
        made.trial_end(number, success)
    trials = made.study(made_sampler()).trials
    assert [trial.state for trial in trials] == [TrialState.PRUNED, TrialState.COMPLETE]
    assert trials[0].intermediate_values == {0: 0.9} and trials[1].value == 0.5


def made_sampler() -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=0)


@pytest.mark.parametrize("late", [False, True])
def test_trials_that_are_ended_drive_proposals_away(late: bool) -> None:
    """Where x is above a half every trial is ended; nothing else tells them apart."""
    made = tuner(NUMBER, startup_trials=8)
    asked = []
    for number in range(40):
        x = made.generate_parameters(number)["x"]
        asked.append(x)
        for step in (1, 0) if late else (0, 1):  # NNI tells both from two threads, in either order
            if step == 0:
                made.receive_trial_result(number, {}, 0.1 if x > 0.5 else 1 - x)
            else:
                made.trial_end(number, x <= 0.5)
    assert sum(x > 0.5 for x in asked[20:]) <= 4


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, None, "0.9", True, {"auc": 0.9}, {"default": math.nan}]
)
def test_what_is_no_number_counts_as_failed_and_is_not_tried_again(value: Any) -> None:
    made = tuner()
    parameters = made.generate_parameters(0)
    made.receive_trial_result(0, parameters, value)
    made.trial_end(0, True)
    assert made.records[0].state == TrialState.FAIL
    assert parameters not in play(made, 11, lambda parameters: 0.5)


def test_a_dict_counts_by_its_default_and_a_crashed_trial_as_failed() -> None:
    made = tuner()
    made.generate_multiple_parameters([0, 1])
    made.receive_trial_result(0, {}, {"default": 1, "loss": 2.0})
    made.trial_end(0, True)
    made.trial_end(1, False)
    made.trial_end(None, False)  # type: ignore[arg-type]  # a trial that a person added in the web UI
    assert [(one.state, one.value) for one in made.records.values()] == [
        (TrialState.COMPLETE, 1.0),
        (TrialState.FAIL, None),
    ]


def through_javascript(parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in parameters.items()
    }


def test_what_is_replayed_after_a_resume_is_not_tried_again_and_the_search_goes_on_from_it() -> None:
    space = {
        **SPACE,
        "rate": {"_type": "qloguniform", "_value": [0.001, 0.02, 0.001]},
        "drop": {"_type": "quniform", "_value": [0, 2, 0.25]},
        "strength": {"_type": "choice", "_value": [0.5, 1.0]},
    }

    def merit(parameters: dict[str, Any]) -> float:
        return parameters["y"] + 10 * parameters["drop"]

    whole = tuner(space, startup_trials=3)
    asked = play(whole, 8, merit)
    resumed = tuner(space, startup_trials=3)
    resumed.import_data([{"parameter": through_javascript(one), "value": merit(one)} for one in asked[:6]])
    assert play(resumed, 2, merit) == asked[6:]


class Dispatcher:
    """NNI's dispatcher after a resume: it has started again by itself what was running."""

    def __init__(self, recovered: dict[int, dict[str, Any]]) -> None:
        self.recovered_trial_params = recovered

    def send(self, *_: Any) -> None:
        pass


def test_a_trial_that_nni_itself_starts_again_after_a_resume_is_not_proposed_beside_it() -> None:
    running = tuner().generate_parameters(0)
    made = tuner()
    send = Dispatcher({3: running}).send
    asked = [made.generate_parameters(number, st_callback=send) for number in range(4, 15)]
    assert running not in asked and len({json.dumps(one) for one in asked}) == 11
    made.import_data([{"parameter": dict(running), "value": 0.5}])
    assert (made.records[3].state, made.records[3].value) == (TrialState.COMPLETE, 0.5)
    assert len(made.records) == 12


def test_results_of_another_search_space_are_left_aside() -> None:
    made = tuner()
    plain = tuner().generate_parameters(0)
    for parameter in ({"lr": 0.1}, {**plain, "y": 64}):
        made.import_data([{"parameter": parameter, "value": 0.5}])
    assert made.study(made_sampler()).trials == []
    assert len(play(made, 12, lambda parameters: 0.5)) == 12


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("quniform", [1, 5, 2], {1, 2, 4}),  # as NNI: multiples from 0, clipped
        ("quniform", [0, 0.5, 0.1], {0, 0.1, 0.2, 3 * 0.1, 0.4, 0.5}),
        ("qloguniform", [0.01, 0.05, 0.01], {0.01, 0.02, 0.03, 0.04, 0.05}),
        ("randint", [2, 5], {2, 3, 4}),
        ("choice", ["null", 0.5, 1, False], {"null", 0.5, 1, False}),
    ],
)
def test_values_are_those_that_nni_has(kind: str, values: list[Any], expected: set[Any]) -> None:
    made = tuner({"x": {"_type": kind, "_value": values}}, startup_trials=2)
    assert {one["x"] for one in play(made, len(expected), near(0) if kind != "choice" else len)} == expected
    with pytest.raises(nni.NoMoreTrialError):
        made.generate_parameters(99)


def test_ranges_are_drawn_evenly_in_value_or_logarithm() -> None:
    space = {
        "x": {"_type": "uniform", "_value": [1, 2]},
        "log": {"_type": "loguniform", "_value": [0.001, 1]},
    }
    asked = play(tuner(space, startup_trials=300), 200, lambda parameters: 0.0)
    halves = Counter(one["x"] > 1.5 for one in asked)
    decades = Counter(math.floor(math.log10(one["log"])) for one in asked)
    assert halves.keys() == {True, False} and min(halves.values()) > 70
    assert decades.keys() == {-3, -2, -1} and min(decades.values()) > 40


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"_type": "normal", "_value": [0, 1]}, "lr: normal is not supported here; expected one of choice, "),
        ({"_type": "choice", "_value": []}, "lr: choice of \\[\\]: expected one or more plain values"),
        ({"_type": "choice", "_value": [{"_name": "a"}]}, "plain values"),
        ({"_type": "uniform", "_value": [1]}, "lr: uniform of \\[1\\]"),
        ({"_type": "uniform", "_value": [2, 1]}, "lr: uniform of \\[2, 1\\]"),
        ({"_type": "loguniform", "_value": [0, 1]}, "lr: loguniform of"),
        ({"_type": "qloguniform", "_value": [0.001, 1, 0.1]}, "take 0.1 for it"),
        ({"_type": "quniform", "_value": [0, 1, 0]}, "lr: quniform of"),
        ({"_type": "randint", "_value": [2, 2]}, "lr: randint of"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(spec: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        tuner({"lr": spec})


@pytest.mark.parametrize(
    ("options", "word"),
    [({"optimize_mode": "maximise"}, "maximise"), ({"startup_trials": 0}, "0; expected 1")],
)
def test_impossible_settings_are_named(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        OptunaTuner(**options)


def test_the_dispatcher_tells_its_tuner_of_trials_that_the_assessor_ends() -> None:
    OptunaTuner()
    assert msg_dispatcher.dispatcher_env_vars.NNI_INCLUDE_INTERMEDIATE_RESULTS == "true"


def test_it_loads_without_torch() -> None:
    code = "import sys, strategies.optuna_tuner; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False"]


def test_under_nnictl_it_hears_of_the_trials_that_medianstop_ends(tmp_path: Path) -> None:
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "trials.cli", "launch", str(TOY / "toy_optuna.yml")),
            *("--json", "--out", str(tmp_path / "out")),
        ],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    ends = [(trial["parameters"]["x"], trial["status"]) for trial in json.loads(ran.stdout)["trials"]]
    assert ends == [(2, "succeeded"), (1, "ended early")]
    [log] = {path.resolve() for path in tmp_path.glob("nni-experiments/*/log/dispatcher.log")}
    lines = log.read_text().splitlines()
    for heard in ("{'x': 2}: COMPLETE, 2.0", "{'x': 1}: PRUNED, 1.0"):
        assert sum(heard in line for line in lines) == 1
