"""A tuner for NNI that proposes parameters by Optuna's TPE.

Source: Watanabe, "Tree-Structured Parzen Estimator" (arXiv 2304.11127), as Optuna implements it:
multivariate, and with running trials counted as poor ones (constant liar), so that two at a time do not try
the same. It replaces NNI's own ``TPE``, which is not told of trials that an assessor has ended, and whose
repeated proposals NNI replaces by the first points of a grid.

NNI loads this file on its own (``codeDirectory: ../strategies``, ``className: optuna_tuner.OptunaTuner``). As
in :mod:`strategies.tuner`, nothing here may import torch.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import nni
import numpy as np
import optuna
from nni.runtime import msg_dispatcher
from nni.tuner import Tuner
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

_log = logging.getLogger(__name__)
_ASKS = 50  # proposals of TPE that may repeat before one is drawn at random
_PATIENCE = 5.0  # seconds for NNI's other thread to tell how a trial ended

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Dimension:
    """A parameter: what Optuna draws for it, and the value that this means in a trial's parameters."""

    distribution: BaseDistribution
    to_value: Callable[[Any], Any]
    to_drawn: Callable[[Any], Any]  # the inverse; raises ValueError or TypeError for any other value
    size: float  # number of values


@dataclass
class Record:
    """A proposal and its trial so far: the last result, and how the trial ended."""

    parameters: Parameters
    reported: bool = False
    value: float | None = None  # None for a result that is not a finite number
    success: bool | None = None  # None while the trial runs

    @property
    def state(self) -> TrialState:
        """The trial's state for Optuna; the last result of a trial that was ended is an intermediate one."""
        if self.value is not None:
            return TrialState.PRUNED if self.success is False else TrialState.COMPLETE
        return TrialState.FAIL if self.reported or self.success is not None else TrialState.RUNNING


class OptunaTuner(Tuner):
    """Proposes combinations that no trial has tried, by Optuna's TPE after `startup_trials` results.

    Parameters
    ----------
    optimize_mode
        ``maximize`` or ``minimize`` the final result, or its key ``default``.
    seed
        Determines, with the results so far, the next proposal.
    startup_trials
        Number of trials with a result that are drawn at random first.

    A trial that an assessor has ended counts as pruned, with its last intermediate result: worse than any
    finished one. A trial that failed, or whose result is not a finite number, only counts as tried.

    After ``nnictl resume`` NNI replays the results of finished trials, and the tuner continues from these.
    """

    def __init__(self, optimize_mode: str = "maximize", seed: int = 0, startup_trials: int = 10) -> None:
        if optimize_mode not in ("maximize", "minimize"):
            raise ValueError(f"optimize_mode: {optimize_mode!r}; expected maximize or minimize")
        if startup_trials < 1:
            raise ValueError(f"startup_trials: {startup_trials}; expected 1 or more")
        self._direction, self._seed, self.startup_trials = optimize_mode, seed, startup_trials
        self._space: dict[str, Dimension] = {}
        self.records: dict[object, Record] = {}  # by NNI's parameter id; imported ones by a key of their own
        self._changed = threading.Condition()  # NNI reports results and ends of trials from two threads
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _hear_of_ended_trials()

    def update_search_space(self, search_space: Mapping[str, Mapping[str, Any]]) -> None:
        """Take NNI's search space; raise ValueError that names an unsupported parameter."""
        with self._changed:
            self._space = {name: _dimension(name, spec) for name, spec in search_space.items()}

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> Parameters:
        """Propose a new combination; raise NNI's NoMoreTrialError if none is left."""
        with self._changed:
            self._changed.wait_for(self._settled, timeout=_PATIENCE)
            self._leave_to_nni(kwargs.get("st_callback"))
            parameters = self._propose()
            self.records[parameter_id] = Record(parameters)
            return parameters

    def _leave_to_nni(self, send: object) -> None:
        """Count as running the trials that NNI itself restarts after ``nnictl resume``.

        NNI tells the tuner only their results, by `import_data` (`findings/nni-resumed-trial.sh`); its
        dispatcher, whose method `send` is, has them by parameter id.
        """
        for key, parameters in getattr(getattr(send, "__self__", None), "recovered_trial_params", {}).items():
            self.records.setdefault(key, Record(parameters))

    def receive_trial_result(
        self, parameter_id: int, parameters: Parameters, value: Any, **kwargs: Any
    ) -> None:
        """Take a final result, or the last intermediate one of a trial that an assessor ends."""
        with self._changed:
            if record := self.records.get(parameter_id):
                record.reported, record.value = True, _finite(value, parameters)

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        """Learn how a trial ended."""
        with self._changed:
            if record := self.records.get(parameter_id):
                record.success = success
                _log.info("%s: %s, %s", record.parameters, record.state.name, record.value)
                self._changed.notify_all()

    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Take results of earlier trials, as NNI replays them after ``nnictl resume``."""
        with self._changed:
            for entry in data:
                parameters = dict(entry["parameter"])
                record = Record(parameters, True, _finite(entry["value"], parameters), success=True)
                self.records[self._running_as(parameters)] = record

    def _running_as(self, parameters: Parameters) -> object:
        """Return the key of the running trial that has these parameters, or a new one."""
        key = self._key(parameters)
        for number, record in self.records.items():
            if key and record.state == TrialState.RUNNING and self._key(record.parameters) == key:
                return number
        return "imported", len(self.records)

    def _settled(self) -> bool:
        """Return whether it is known how the trial of each result ended."""
        return all(one.success is not None or not one.reported for one in self.records.values())

    def _propose(self) -> Parameters:
        tried = {key for record in self.records.values() if (key := self._key(record.parameters))}
        if len(tried) >= math.prod(dimension.size for dimension in self._space.values()):
            raise nni.NoMoreTrialError(f"all {len(tried)} combinations of the search space have been tried")
        for proposal in self._proposals():
            if self._key(proposal) not in tried:
                return proposal
        raise AssertionError("random proposals are endless")

    def _proposals(self) -> Iterator[Parameters]:
        """Yield TPE's proposals, of which those not taken count as running trials, then random ones."""
        seed = int(np.random.SeedSequence([self._seed, len(self.records)]).generate_state(1)[0])
        tpe = optuna.samplers.TPESampler(
            n_startup_trials=self.startup_trials, seed=seed, multivariate=True, constant_liar=True
        )
        study = self.study(tpe)
        for _ in range(_ASKS):
            yield self._ask(study)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        while True:
            yield self._ask(study)

    def _ask(self, study: optuna.Study) -> Parameters:
        drawn = study.ask({name: one.distribution for name, one in self._space.items()}).params
        return {name: one.to_value(drawn[name]) for name, one in self._space.items()}

    def study(self, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        """Return what is known, as Optuna has it."""
        study = optuna.create_study(
            direction=optuna.study.StudyDirection[self._direction.upper()], sampler=sampler
        )
        for record in self.records.values():
            if (drawn := self._drawn(record.parameters)) is None:
                continue
            value = record.value
            study.add_trial(
                optuna.trial.create_trial(
                    state=record.state,
                    params=drawn,
                    distributions={name: one.distribution for name, one in self._space.items()},
                    value=value if record.state == TrialState.COMPLETE else None,
                    intermediate_values=None if value is None else {0: value},  # a pruned trial's is read
                )
            )
        return study

    def _drawn(self, parameters: Parameters) -> Parameters | None:
        """Return parameters as Optuna draws them; None for those of another search space."""
        try:
            return {name: one.to_drawn(parameters[name]) for name, one in self._space.items()}
        except (KeyError, TypeError, ValueError):
            return None

    def _key(self, parameters: Parameters) -> str | None:
        """Return a key of a combination, the same before and after its numbers pass through JavaScript."""
        drawn = self._drawn(parameters)
        return None if drawn is None else json.dumps(drawn, sort_keys=True)


def _finite(value: Any, parameters: Parameters) -> float | None:
    """Return a result's number; log and return None if it has none."""
    number = value.get("default") if isinstance(value, Mapping) else value
    if isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number):
        return float(number)
    _log.warning("the trial with %s has no number as result, but %r: counted as failed", parameters, value)
    return None


def _hear_of_ended_trials() -> None:
    """Let NNI's dispatcher tell its tuner the last intermediate result of a trial that the assessor ends.

    NNI reads this option from an environment variable that nothing in NNI 3.0 sets.
    """
    variables = msg_dispatcher.dispatcher_env_vars
    msg_dispatcher.dispatcher_env_vars = variables._replace(NNI_INCLUDE_INTERMEDIATE_RESULTS="true")


def _dimension(name: str, spec: Mapping[str, Any]) -> Dimension:
    """Return Optuna's dimension for a parameter of NNI's search space."""
    kind, values = spec["_type"], spec["_value"]
    if kind not in _KINDS:
        raise ValueError(f"{name}: {kind} is not supported here; expected one of {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](*values) if kind != "choice" else _choice(values)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: {kind} of {values!r}: {error}") from None


def _choice(values: list[Any]) -> Dimension:
    if not values or any(isinstance(value, (dict, list)) for value in values):
        raise ValueError("expected one or more plain values, none of which holds others")
    known = [json.dumps(_as_javascript(value)) for value in values]
    distribution = CategoricalDistribution(range(len(values)))
    return Dimension(
        distribution,
        lambda index: values[index],
        lambda value: known.index(json.dumps(_as_javascript(value))),
        len(set(known)),
    )


def _as_javascript(value: Any) -> Any:
    """Return 1 for 1.0, as NNI's manager does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _uniform(low: float, high: float, log: bool = False) -> Dimension:
    distribution = FloatDistribution(low, high, log=log)
    size = math.inf if low < high else 1
    return Dimension(distribution, float, lambda value: _inside(distribution, float(value)), size)


def _quantised(low: float, high: float, step: float, log: bool = False) -> Dimension:
    """Multiples of `step`, counted from 0 and clipped to the limits, as NNI has them."""
    first, last = round(low / step), round(high / step)
    if log and first < 1:
        raise ValueError(f"the lower limit rounds to 0, which has no logarithm: take {step} for it")
    distribution = IntDistribution(first, last, log=log)
    return Dimension(
        distribution,
        lambda multiple: min(max(multiple * step, low), high),
        lambda value: _inside(distribution, round(value / step)),
        last - first + 1,
    )


def _randint(low: float, high: float) -> Dimension:
    distribution = IntDistribution(math.ceil(low), math.ceil(high) - 1)  # the upper limit is exclusive
    size = distribution.high - distribution.low + 1
    return Dimension(distribution, int, lambda value: _inside(distribution, int(value)), size)


def _inside(distribution: IntDistribution | FloatDistribution, value: Any) -> Any:
    if not distribution.low <= value <= distribution.high:
        raise ValueError(f"{value} lies outside {distribution}")
    return value


_KINDS: dict[str, Callable[..., Dimension]] = {
    "choice": _choice,
    "uniform": _uniform,
    "loguniform": lambda low, high: _uniform(low, high, log=True),
    "quniform": _quantised,
    "qloguniform": lambda low, high, step: _quantised(low, high, step, log=True),
    "randint": _randint,
}
