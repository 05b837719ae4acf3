"""The order in which the stages of a pipeline or study are handed out, without NNI running."""

from itertools import count
from typing import Any

import pytest

from strategies.tuner import PipelineTuner, StagesTuner, StudyTuner, name


class Manager:
    """NNI's side: asks for a stage for every free slot, and plays trials to their end one after the other."""

    def __init__(self, tuner: StagesTuner, slots: int, failing: frozenset[str] = frozenset()) -> None:
        self.tuner, self.failing = tuner, failing
        self.ids = count()
        self.waiting: list[tuple[int, dict[str, Any]]] = []
        self.started: list[str] = []
        self.stages: list[dict[str, Any]] = []
        self.ask(slots)

    def ask(self, slots: int) -> None:
        ids = [next(self.ids) for _ in range(slots)]
        stages = self.tuner.generate_multiple_parameters(ids, st_callback=self.callback)
        self.waiting += list(zip(ids, stages, strict=False))

    def callback(self, parameter_id: int, stage: dict[str, Any]) -> None:
        self.waiting.append((parameter_id, stage))

    def run(self, newest_first: bool = False) -> list[str]:
        while self.waiting:
            parameter_id, stage = self.waiting.pop(-1 if newest_first else 0)
            self.stages.append(stage)
            self.started.append(name(stage))
            failed = name(stage) in self.failing
            if not failed:
                self.tuner.receive_trial_result(parameter_id, stage, {"default": 0.5})
            self.tuner.trial_end(parameter_id, success=not failed)
            self.ask(1)
        return self.started


def test_each_fold_is_searched_retrained_in_every_layout_and_evaluated_once() -> None:
    started = Manager(PipelineTuner(folds=2), slots=1).run()
    assert started == [
        *("fold0/search", "fold1/search"),
        *("fold0/enas7", "fold0/enas17", "fold1/enas7", "fold1/enas17"),
        "evaluation",
    ]


@pytest.mark.parametrize("slots", [1, 2, 3, 9])
@pytest.mark.parametrize("newest_first", [False, True])
def test_every_stage_runs_once_after_what_it_needs_whatever_the_concurrency(
    slots: int, newest_first: bool
) -> None:
    started = Manager(PipelineTuner(folds=3), slots).run(newest_first)
    assert len(started) == len(set(started)) == 3 * 3 + 1
    for fold in range(3):
        for layout in ("enas7", "enas17"):
            assert started.index(f"fold{fold}/search") < started.index(f"fold{fold}/{layout}")
    assert started[-1] == "evaluation"


def test_fewer_folds_are_run_by_one_setting_and_the_split_stays() -> None:
    manager = Manager(PipelineTuner(folds=5, run_folds=1, layouts=["enas7"], seed=3), slots=1)
    assert manager.run() == ["fold0/search", "fold0/enas7", "evaluation"]
    assert all(stage["folds"] == 5 and stage["seed"] == 3 for stage in manager.stages)


@pytest.mark.parametrize("slots", [1, 2])
def test_a_failed_search_takes_its_retrainings_with_it_and_is_named_to_the_evaluation(slots: int) -> None:
    manager = Manager(PipelineTuner(folds=2, layouts=["enas7"]), slots, frozenset({"fold0/search"}))
    assert manager.run() == ["fold0/search", "fold1/search", "fold1/enas7", "evaluation"]
    assert manager.stages[-1]["failed"] == ["fold0/search"]


def test_a_failed_evaluation_is_not_repeated() -> None:
    manager = Manager(PipelineTuner(folds=2, run_folds=1, layouts=["enas7"]), 2, frozenset({"evaluation"}))
    assert manager.run().count("evaluation") == 1


def test_a_stage_that_fails_after_its_final_result_counts_as_done() -> None:
    tuner = PipelineTuner(folds=2, run_folds=1, layouts=["enas7"])
    (search,) = tuner.generate_multiple_parameters([0], st_callback=lambda *_: None)
    tuner.receive_trial_result(0, search, {"default": 0.5})
    tuner.trial_end(0, success=False)
    (retrain,) = tuner.generate_multiple_parameters([1], st_callback=lambda *_: None)
    assert name(retrain) == "fold0/enas7"


@pytest.mark.parametrize("done", range(8))
@pytest.mark.parametrize("slots", [1, 2])
def test_a_resumed_experiment_runs_what_no_finished_trial_has_done(done: int, slots: int) -> None:
    whole = Manager(PipelineTuner(folds=2), slots)
    whole.run()
    tuner = PipelineTuner(folds=2)
    tuner.import_data([{"parameter": stage, "value": {"default": 0.5}} for stage in whole.stages[:done]])
    assert sorted(Manager(tuner, slots).run()) == sorted(whole.started[done:])


class ResumedManager(Manager):
    """NNI's side after a resume: it has started again by itself what was running."""

    def __init__(self, tuner: StagesTuner, slots: int, recovered: dict[int, dict[str, Any]]) -> None:
        self.recovered_trial_params = recovered  # as NNI's dispatcher names it
        super().__init__(tuner, slots)


def test_a_stage_that_nni_itself_starts_again_is_not_handed_out_and_counts_by_its_result() -> None:
    whole = Manager(PipelineTuner(folds=2, layouts=["enas7"]), slots=1)
    whole.run()
    done, running = whole.stages[:1], whole.stages[1]
    tuner = PipelineTuner(folds=2, layouts=["enas7"])
    tuner.import_data([{"parameter": dict(stage), "value": 0.5} for stage in done])
    manager = ResumedManager(tuner, 2, {3: dict(running)})
    assert manager.run() == ["fold0/enas7"]
    tuner.import_data([{"parameter": dict(running), "value": 0.5}])
    assert manager.run() == ["fold0/enas7", "fold1/enas7", "evaluation"]
    assert manager.stages[-1]["failed"] == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"folds": 1}, "folds"), ({"folds": 3, "run_folds": 4}, "run_folds"), ({"layouts": []}, "layouts")],
)
def test_impossible_settings_are_named(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        PipelineTuner(**arguments)


METHODS = ["hog", "cells7"]


def test_a_study_trains_the_parts_of_each_method_and_joins_them_in_every_fold_and_for_the_final_model() -> (
    None
):
    manager = Manager(StudyTuner(METHODS, folds=2, parts=2), slots=1)
    started = manager.run()
    places = ("fold0", "fold1", "final")
    assert started[:3] == ["fold0/part0of2/hog", "fold0/part1of2/hog", "fold0/hog"]  # joined at once
    assert started[-2:] == ["final/ensemble", "report"]
    whole = (
        "part0of2/hog",
        "part1of2/hog",
        "hog",
        "part0of2/cells7",
        "part1of2/cells7",
        "cells7",
        "ensemble",
    )
    assert sorted(started) == sorted([*(f"{place}/{one}" for place in places for one in whole), "report"])
    by_name = dict(zip(started, manager.stages, strict=True))
    common = {"stage": "train", "folds": 2, "parts": 2, "seed": 0}
    assert by_name["fold1/part1of2/hog"] == {**common, "method": "hog", "fold": 1, "part": 1}
    assert by_name["final/cells7"] == {**common, "method": "cells7", "final": True}
    assert by_name["fold0/ensemble"] == {**common, "method": "ensemble", "fold": 0, "members": METHODS}
    assert by_name["report"]["failed"] == []


def test_data_with_a_split_of_their_own_have_no_folds_and_no_model_beside() -> None:
    started = Manager(StudyTuner(METHODS, folds=1, parts=2), slots=1).run()
    parts = [f"part{part}of2/{method}" for method in METHODS for part in range(2)]
    assert sorted(started) == sorted([*parts, *METHODS, "ensemble", "report"])


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_a_method_that_is_trained_once_has_no_parts_and_is_no_less_a_member(slots: int) -> None:
    manager = Manager(StudyTuner(METHODS, folds=1, parts=2, once=["hog"]), slots)
    assert sorted(manager.run()) == sorted(
        ["hog", "part0of2/cells7", "part1of2/cells7", "cells7", "ensemble", "report"]
    )
    assert next(stage for stage in manager.stages if "members" in stage)["members"] == METHODS
    again = Manager(StudyTuner(METHODS, folds=1, parts=2, once=["hog"], done=["hog"]), slots).run()
    assert "hog" not in again and "ensemble" in again
    failed = Manager(StudyTuner(METHODS, folds=1, parts=2, once=["hog"]), slots, frozenset({"hog"}))
    assert "ensemble" not in failed.run() and failed.stages[-1]["failed"] == ["hog"]


@pytest.mark.parametrize("slots", [1, 2, 5, 99])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_study_joins_after_what_it_joins_whatever_the_concurrency(slots: int, newest_first: bool) -> None:
    started = Manager(StudyTuner(METHODS, folds=3, parts=3), slots).run(newest_first)
    assert len(started) == len(set(started)) == 4 * (2 * 4 + 1) + 1 and started[-1] == "report"
    for place in ("fold0", "fold1", "fold2", "final"):
        for method in METHODS:
            joined = started.index(f"{place}/{method}")
            assert all(started.index(f"{place}/part{part}of3/{method}") < joined for part in range(3))
            assert joined < started.index(f"{place}/ensemble")


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_a_method_that_fails_in_a_fold_is_left_out_there_and_the_study_goes_on(slots: int) -> None:
    failing = frozenset({"fold0/part0of2/hog", "fold1/cells7"})
    manager = Manager(StudyTuner([*METHODS, "statistics"], folds=2, parts=2), slots, failing)
    started = manager.run()
    by_name = dict(zip(started, manager.stages, strict=True))
    assert "fold0/hog" not in started and (slots > 1 or "fold0/part1of2/hog" not in started)
    members = {name: stage["members"] for name, stage in by_name.items() if "members" in stage}
    assert members == {
        "fold0/ensemble": ["cells7", "statistics"],
        "fold1/ensemble": ["hog", "statistics"],
        "final/ensemble": [*METHODS, "statistics"],
    }
    assert started[-1] == "report" and sorted(by_name["report"]["failed"]) == sorted(failing)


def test_one_method_makes_no_ensemble_and_none_at_all_ends_in_the_report() -> None:
    assert "final/ensemble" not in Manager(StudyTuner(["hog"], folds=2, parts=2), 1).run()
    manager = Manager(StudyTuner(["hog"], folds=1, parts=2), 1, frozenset({"part0of2/hog"}))
    assert manager.run() == ["part0of2/hog", "report"] and manager.stages[-1]["failed"] == ["part0of2/hog"]


@pytest.mark.parametrize("done", [0, 1, 7, 14, 21])
@pytest.mark.parametrize("slots", [1, 2])
def test_a_study_that_goes_on_repeats_no_finished_training_and_joins_all_again(done: int, slots: int) -> None:
    whole = Manager(StudyTuner(METHODS, folds=2, parts=2), slots).run()
    again = Manager(StudyTuner(METHODS, folds=2, parts=2, done=whole[:done]), slots).run()
    assert sorted(again) == sorted(one for one in whole if one not in whole[:done] or "part" not in one)
    assert again[-1] == "report"


@pytest.mark.parametrize("done", [0, 1, 5, 13, 21, 22])
def test_a_study_resumed_by_nni_runs_what_no_finished_trial_has_done(done: int) -> None:
    whole = Manager(StudyTuner(METHODS, folds=2, parts=2), 2)
    whole.run()
    tuner = StudyTuner(METHODS, folds=2, parts=2)
    tuner.import_data([{"parameter": stage, "value": 0.5} for stage in whole.stages[:done]])
    assert sorted(Manager(tuner, 2).run()) == sorted(whole.started[done:])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        *(({"methods": names}, "methods") for names in ([], ["hog", "hog"])),
        *(({"folds": 0}, "folds"), ({"parts": 1}, "parts")),
    ],
)
def test_impossible_studies_are_named(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        StudyTuner(**{"methods": METHODS, **arguments})
