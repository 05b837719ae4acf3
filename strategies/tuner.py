"""The tuner that runs the stages of a whole pipeline as trials of one NNI experiment.

For every outer fold it hands out a search; after that a retraining for each layout; at the end one
evaluation. A stage is NNI's trial parameter, a dict whose key ``stage`` says what to run.

NNI loads this file on its own (``codeDirectory: ../strategies``, ``className: tuner.PipelineTuner``) or, once
``tuner.yml`` is registered, by the name ``LesionPipeline``. Its manager waits ten seconds for a tuner to
connect, less than importing torch can take: neither this file nor the package's ``__init__`` imports it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from nni.tuner import Tuner

Stage = dict[str, Any]


class PipelineTuner(Tuner):
    """Hands out the stages of the pipeline, each as soon as the stages that it needs have ended.

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
        self._common = {"folds": folds, "seed": seed}
        self._ready = deque(self._stage("search", fold=fold) for fold in range(run_folds))
        self._running: dict[int, Stage] = {}  # by NNI's parameter id
        self._free: deque[int] = deque()  # parameter ids that NNI asked for when no stage was ready
        self._failed: list[str] = []
        self._evaluated = False
        self._send: Callable[[int, Stage], None] | None = None
        self._lock = threading.Lock()  # NNI reports results and ends of trials from two threads

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

    def _assign(self) -> list[tuple[int, Stage]]:
        assigned = []
        while self._free and self._ready:
            parameter_id, stage = self._free.popleft(), self._ready.popleft()
            self._running[parameter_id] = stage
            assigned.append((parameter_id, stage))
        return assigned


def name(stage: Stage) -> str:
    """Return a stage's name and output folder: ``fold0/search``, ``fold0/enas7``, ``evaluation``."""
    if stage["stage"] == "evaluate":
        return "evaluation"
    return f"fold{stage['fold']}/{stage.get('layout', 'search')}"
