"""The plan of a study: which methods are trained how often, by what their trainings are estimated to cost.

A method is trained in every outer fold and for the final model, each time in `parts` parts of a cross-fit.
What does not fit the hours is cut down: first the parts, to two, then the dearest methods, one by one. The
rates that no timing gives are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trials.errors import in_words

FEWEST_PARTS = 2
START_SECONDS = 10.0  # of a trial: Python, PyTorch and the data are loaded
JOIN_SECONDS = 15.0  # of a trial that joins others
REPORT_SECONDS = 60.0


@dataclass(frozen=True)
class Cost:
    """What one training of a method takes: seconds on one core, and bytes of memory."""

    method: str
    seconds: float
    memory_bytes: int = 0


@dataclass(frozen=True)
class LeftOut:
    """A method that is not trained, and why."""

    method: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Methods, the dearest first, each trained in `parts` parts in `places` (outer folds and final model).

    `at_once` trials run at a time. `folds` is 1 for data with a split of their own.
    """

    costs: tuple[Cost, ...]
    folds: int
    parts: int
    at_once: int
    hours: float
    left_out: tuple[LeftOut, ...] = ()

    @property
    def methods(self) -> list[str]:
        """The names of the methods, the dearest first."""
        return [cost.method for cost in self.costs]

    @property
    def places(self) -> int:
        """How many folds and final models there are."""
        return 1 if self.folds == 1 else self.folds + 1

    @property
    def trainings(self) -> int:
        """How often each method is trained."""
        return self.places * self.parts

    @property
    def trials(self) -> int:
        """How many trials NNI runs: trainings, those that join them, the ensembles, the finish."""
        ensembles = self.places if len(self.costs) > 1 else 0
        return len(self.costs) * (self.trainings + self.places) + ensembles + 1

    @property
    def seconds(self) -> float:
        """How long it will take, in all."""
        trained = sum(self.trainings * (cost.seconds + START_SECONDS) for cost in self.costs)
        joined = (self.trials - 1 - len(self.costs) * self.trainings) * (JOIN_SECONDS + START_SECONDS)
        return (trained + joined) / self.at_once + START_SECONDS + REPORT_SECONDS

    @property
    def fits(self) -> bool:
        """Whether it ends within its hours."""
        return self.seconds <= 3600 * self.hours

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; `read_plan` reads them."""
        return asdict(self) | {"trials": self.trials, "seconds": round(self.seconds)}

    def text(self) -> str:
        """Return it as a table to read."""
        rows = [("method", "one training", "trainings", "all of them")]
        rows += [
            (
                cost.method,
                duration(cost.seconds),
                str(self.trainings),
                duration(self.trainings * (cost.seconds + START_SECONDS)),
            )
            for cost in self.costs
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]) for row in rows]
        lines += [f"left out: {one.method}: {one.reason}" for one in self.left_out]
        where = "the data's own split" if self.folds == 1 else f"{self.folds} outer folds and the final model"
        lines.append(
            f"{where}, {self.parts} parts each; {self.trials} trials, {self.at_once} at a time: about "
            f"{duration(self.seconds)} of {self.hours:g} h"
        )
        return "\n".join(lines if self.fits else [*lines, "longer than asked: nothing is left to leave out"])


def make_plan(
    costs: Sequence[Cost],
    *,
    folds: int,
    most_parts: int,
    at_once: int,
    hours: float,
    left_out: Sequence[LeftOut] = (),
) -> Plan:
    """Return the plan with the most methods, then the most parts, that fits the hours; one method at least.

    Methods are left out from the dearest on.
    """
    ordered = sorted(costs, key=lambda cost: -cost.seconds)
    cut = list(left_out)
    while True:
        for parts in range(most_parts, FEWEST_PARTS - 1, -1):
            plan = Plan(tuple(ordered), folds, parts, at_once, hours, tuple(cut))
            if plan.fits:
                return plan
        if len(ordered) == 1:
            return plan
        dearest = ordered.pop(0)
        whole = f"{duration(plan.seconds)} with it, more than {hours:g} h; more --hours would keep it"
        cut.append(LeftOut(dearest.method, whole))


def read_plan(values: dict[str, Any]) -> Plan:
    """Return the plan of `Plan.to_dict`."""
    return Plan(
        costs=tuple(Cost(**one) for one in values["costs"]),
        left_out=tuple(LeftOut(**one) for one in values["left_out"]),
        **{name: values[name] for name in ("folds", "parts", "at_once", "hours")},
    )


def cannot(method: str, error: Exception) -> LeftOut:
    """Return a method that cannot be trained on these data as left out."""
    return LeftOut(method, in_words(error).splitlines()[0])


def duration(seconds: float) -> str:
    """Return seconds in words to read: `12 s`, `34 min`, `1 h 5 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
