"""The tuners that run the stages of a whole pipeline, or of a study, as trials of one NNI experiment.

A stage is NNI's trial parameter, a dict whose key ``stage`` says what to run. Each is handed out as soon as
those that it needs have ended.

NNI loads this file on its own (``codeDirectory: ../strategies``, ``className: tuner.PipelineTuner``) or, once
``tuner.yml`` is registered, the pipeline's by the name ``LesionPipeline``. Its manager waits ten seconds for
a tuner to connect, less than importing torch can take: neither this file nor the package's ``__init__``
imports it.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from nni.tuner import Tuner

Stage = dict[str, Any]
ENSEMBLE = "ensemble"  # the method that joins others
ENDINGS = {"evaluate": "evaluation", "finish": "report"}  # names of the last stages


class StagesTuner(Tuner):
    """Hands out stages as trials: those that are `ready`, then what `follow` makes ready after each end.

    `common` are parameters of every stage.
    """

    def __init__(self, common: Stage) -> None:
        self._common = common
        self._ready: deque[Stage] = deque()
        self._running: dict[int, Stage] = {}  # by NNI's parameter id
        self._free: deque[int] = deque()  # parameter ids that NNI asked for when no stage was ready
        self._send: Callable[[int, Stage], None] | None = None
        self._lock = threading.Lock()  # NNI reports results and ends of trials from two threads

    @abstractmethod
    def _follow(self, stage: Stage, success: bool) -> None:
        """Make the stages ready that follow one that has ended."""

    def _stage(self, stage: str, **values: Any) -> Stage:
        return {"stage": stage, **values, **self._common}

    def generate_multiple_parameters(self, parameter_id_list: list[int], **kwargs: Any) -> list[Stage]:
        """Return stages for the first ids while any are ready; the others get theirs later, by callback."""
        with self._lock:
            self._send = kwargs["st_callback"]
            self._leave_to_nni(kwargs["st_callback"])
            self._free.extend(parameter_id_list)
            return [stage for _, stage in self._assign()]

    def _leave_to_nni(self, send: object) -> None:
        """Count as running the stages that NNI itself restarts after ``nnictl resume``.

        NNI tells the tuner only their results, by `import_data`; its dispatcher, whose method `send` is, has
        them by parameter id.
        """
        for key, stage in getattr(getattr(send, "__self__", None), "recovered_trial_params", {}).items():
            if stage in self._ready:
                self._ready.remove(stage)
                self._running[key] = stage

    def receive_trial_result(self, parameter_id: int, parameters: Stage, value: Any, **kwargs: Any) -> None:
        """Count a stage as done: it reports its final result last, after it has written its files."""
        self._end(parameter_id, success=True)

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        """Count a stage as failed, unless it had reported its final result before."""
        self._end(parameter_id, success)

    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Count stages as done whose results NNI replays after a resume, in the order of the trials."""
        with self._lock:
            for entry in data:
                stage = entry["parameter"]
                if stage in self._ready:
                    self._ready.remove(stage)
                elif stage in self._running.values():
                    self._running = {key: one for key, one in self._running.items() if one != stage}
                else:
                    continue
                self._follow(stage, success=True)
            self._hand_out()

    def update_search_space(self, search_space: Any) -> None:
        """Accept any search space: architectures are searched inside the search stage."""

    def _end(self, parameter_id: int, success: bool) -> None:
        with self._lock:
            stage = self._running.pop(parameter_id, None)
            if stage is None:  # already counted, or a trial that a person added in the web UI
                return
            self._follow(stage, success)
            self._hand_out()

    def _hand_out(self) -> None:
        for free_id, stage in self._assign():
            assert self._send is not None  # an id is free only after NNI has asked for a stage
            self._send(free_id, stage)

    def _assign(self) -> list[tuple[int, Stage]]:
        assigned = []
        while self._free and self._ready:
            parameter_id, stage = self._free.popleft(), self._ready.popleft()
            self._running[parameter_id] = stage
            assigned.append((parameter_id, stage))
        return assigned


class PipelineTuner(StagesTuner):
    """For every outer fold a search, after that a retraining for each layout, at the end one evaluation.

    Parameters
    ----------
    folds
        How many outer folds the data is split into.
    layouts
        What is retrained from every search's best architecture.
    run_folds
        How many of the folds are run, from fold 0 on; all of them by default.
    seed
        Handed to every stage.

    After a failed search its retrainings are left out. The evaluation at the end covers the folds that
    succeeded; its ``failed`` names the stages that did not.
    """

    def __init__(
        self,
        folds: int = 5,
        layouts: Sequence[str] = ("enas7", "enas17"),
        run_folds: int | None = None,
        seed: int = 0,
    ) -> None:
        run_folds = folds if run_folds is None else run_folds
        if folds < 2:
            raise ValueError(f"folds: {folds}; one is tested, the others are trained on: expected 2 or more")
        if not 1 <= run_folds <= folds:
            raise ValueError(f"run_folds: {run_folds}; expected 1 to {folds} (folds)")
        if not layouts:
            raise ValueError("layouts: none; name at least one, such as enas7")
        self._layouts = list(layouts)
        super().__init__({"folds": folds, "seed": seed})
        self._ready.extend(self._stage("search", fold=fold) for fold in range(run_folds))
        self._failed: list[str] = []
        self._evaluated = False

    def _follow(self, stage: Stage, success: bool) -> None:
        """Make the stages ready that follow one that has ended."""
        if not success:
            self._failed.append(name(stage))
        elif stage["stage"] == "search":
            retrain = (self._stage("retrain", fold=stage["fold"], layout=layout) for layout in self._layouts)
            self._ready.extend(retrain)
        if not self._ready and not self._running and not self._evaluated:
            self._evaluated = True
            self._ready.append(self._stage("evaluate", layouts=self._layouts, failed=self._failed))


class StudyTuner(StagesTuner):
    """For every outer fold and for the final model each method's trainings, then their joining; a finish.

    A method is cross-fitted: `parts` trainings, each without another part of the images outside the test, and
    one trial that joins them; or it is trained `once`. One more trial joins the methods of a fold to an
    ensemble. At the end one ``finish`` writes the report and exports the final model.

    Parameters
    ----------
    methods
        Names of methods, in the order in which they are trained: the dearest first, so that none of them is
        waited for alone at the end.
    folds
        How many outer folds the data is split into; 1: the data have a split of their own, whose training
        images make the final model.
    parts
        How many trainings a method is cross-fitted with.
    seed
        Handed to every stage.
    done
        Names of trainings that are finished already; they are not handed out.
    once
        Names of methods that are trained once in each place, without parts.

    A method with a failed training is left out of that fold and its ensemble; the other folds keep it. An
    ensemble of one method is that method. The ``finish`` has the names of failed trials in
    ``failed``.
    """

    def __init__(
        self,
        methods: Sequence[str],
        folds: int = 5,
        parts: int = 3,
        seed: int = 0,
        done: Sequence[str] = (),
        once: Sequence[str] = (),
    ) -> None:
        if folds < 1:
            raise ValueError(f"folds: {folds}; expected 2 or more, or 1 for data with a split of their own")
        if parts < 2:
            raise ValueError(f"parts: {parts}; each training leaves one out: expected 2 or more")
        if not methods or len(set(methods)) < len(methods):
            raise ValueError(f"methods: {list(methods)}; expected one or more, each once, such as hog")
        super().__init__({"parts": parts, "seed": seed} | ({"folds": folds} if folds > 1 else {}))
        self._methods, self._parts, self._once = list(methods), parts, set(once)
        self._places = study_places(folds)
        self._ended: dict[str, bool] = {}  # whether a stage of this name has succeeded
        trainings = [self._stage(**one) for one in study_trainings(methods, folds, parts, once)]
        self._asked = set(map(name, trainings))
        self._ended |= {name(one): True for one in trainings if name(one) in done}
        self._ready.extend(one for one in trainings if name(one) not in self._ended)
        self._join()

    def _follow(self, stage: Stage, success: bool) -> None:
        """Make the stages ready that follow one that has ended."""
        self._ended[name(stage)] = success
        if not success and "part" in stage:
            self._drop(stage)
        self._join()

    def _drop(self, failed: Stage) -> None:
        """Take out the other trainings of a method that is left out of a fold."""
        others = [name({**failed, "part": part}) for part in range(self._parts)]
        self._ready = deque(one for one in self._ready if name(one) not in others)

    def _join(self) -> None:
        """Make ready, before further trainings, what has all its members."""
        over = [self._joined(place) for place in self._places]
        if all(over) and not self._running:
            failed = [one for one, success in self._ended.items() if not success]
            self._ask(self._stage("finish", methods=self._methods, failed=failed))

    def _joined(self, place: Stage) -> bool:
        """Join what can be joined of a fold; return whether nothing is left to do there."""
        outcomes = {method: self._of_method(method, place) for method in self._methods}
        if None in outcomes.values():
            return False
        members = [method for method, success in outcomes.items() if success]
        if len(members) < 2:
            return True
        return self._outcome(self._stage("train", method=ENSEMBLE, **place, members=members)) is not None

    def _of_method(self, method: str, place: Stage) -> bool | None:
        """Return whether a method has succeeded in a fold; None: it is not known yet."""
        parts = [
            self._ended.get(name(self._stage("train", method=method, **place, part=part)))
            for part in ([] if method in self._once else range(self._parts))
        ]
        if False in parts or None in parts:
            return False if False in parts else None
        return self._outcome(self._stage("train", method=method, **place))

    def _outcome(self, stage: Stage) -> bool | None:
        """Return how a stage has ended; None: not yet, and it is asked for."""
        if name(stage) not in self._ended:
            self._ask(stage)
        return self._ended.get(name(stage))

    def _ask(self, stage: Stage) -> None:
        if name(stage) not in self._asked:
            self._asked.add(name(stage))
            self._ready.appendleft(stage)


def study_places(folds: int) -> list[Stage]:
    """Return the parameters of each outer fold, then of the final model; of data with a split of their own
    there is one place, the data's.
    """
    if folds == 1:
        return [{}]
    return [*({"fold": fold} for fold in range(folds)), {"final": True}]


def study_trainings(methods: Sequence[str], folds: int, parts: int, once: Sequence[str]) -> list[Stage]:
    """Return the parameters of a study's trainings, in the order in which they begin."""
    return [
        {"stage": "train", "method": method, **place, **part}
        for method in methods
        for place in study_places(folds)
        for part in (
            [{}] if method in once else ({"part": number, "parts": parts} for number in range(parts))
        )
    ]


def name(stage: Stage) -> str:
    """Return a stage's name and output folder: ``fold0/search``, ``fold0/enas7``, ``evaluation``.

    Of a study ``fold0/part0of3/hog``, ``fold0/hog``, ``final/ensemble``, ``report``.
    """
    if stage["stage"] in ENDINGS:
        return ENDINGS[stage["stage"]]
    fold = "final" if stage.get("final") else f"fold{stage['fold']}" if "fold" in stage else ""
    part = f"part{stage['part']}of{stage['parts']}" if "part" in stage else ""
    return "/".join(filter(None, [fold, part, stage.get("method") or stage.get("layout", "search")]))
