"""The plan of a study: which methods are trained how often, by what their trainings are estimated to cost.

A method is trained in every outer fold and for the final model, each time in `parts` parts of a cross-fit.
What does not fit the hours is cut down: first the parts, to two, then the steps of networks, the longest
training first, and only then the dearest methods, one by one. The profiles' epochs were settled on data sets
of a few hundred images: with thousands, fewer epochs see as many. The rates that no timing gives are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from trials.errors import in_words

FEWEST_PARTS = 2
JOIN_SECONDS = 5.0  # of a trial that joins others, once it has started
REPORT_SECONDS = 60.0


@dataclass(frozen=True)
class Cost:
    """What one training of a method takes beside others: seconds on one core, and bytes of memory.

    A network's `steps`, which make its `epochs`, take `step_seconds` each, and may be cut to `fewest_steps`.
    A method that is trained `once` is so however many parts there are: they would all be the same.
    """

    method: str
    seconds: float
    memory_bytes: int = 0
    epochs: int = 0
    steps: int = 0
    fewest_steps: int = 0
    step_seconds: float = 0.0
    once: bool = False

    def within(self, most: int | None) -> float:
        """Return the seconds of a training that stops after `most` steps; None: after its own."""
        return self.seconds - self._left_out(most) * self.step_seconds

    def epochs_within(self, most: int | None) -> str:
        """Return in words how many of its epochs these steps are: `12 of 40`."""
        if not self._left_out(most):
            return str(self.epochs or "")
        trained = self.epochs * (1 - self._left_out(most) / self.steps)
        return f"{trained:.3g} of {self.epochs}"

    def of_images(self, share: float) -> Cost:
        """Return the cost with so many times the training images; what has no steps is taken as it is."""
        steps = round(self.steps * share)
        seconds = self.seconds + (steps - self.steps) * self.step_seconds
        return replace(self, seconds=seconds, steps=steps, fewest_steps=min(self.fewest_steps, steps))

    def _left_out(self, most: int | None) -> int:
        return self.steps - min(self.steps, most or self.steps)


@dataclass(frozen=True)
class LeftOut:
    """A method that is not trained, and why."""

    method: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Methods, the dearest first, each trained in `parts` parts in `places` (outer folds and final model).

    `at_once` trials run at a time, each `start_seconds` after the one before: Python, NNI and the data are
    loaded. `folds` is 1 for data with a split of their own. Networks stop after `max_steps`, where the
    hours ask for that.
    """

    costs: tuple[Cost, ...]
    folds: int
    parts: int
    at_once: int
    hours: float
    start_seconds: float
    left_out: tuple[LeftOut, ...] = ()
    max_steps: int | None = None

    @property
    def settings(self) -> dict[str, object]:
        """What it sets for all trainings, by dotted name; the schedule ends with the last step."""
        return {"retrain.max_steps": self.max_steps} if self.max_steps else {}

    @property
    def methods(self) -> list[str]:
        """The names of the methods, the dearest first."""
        return [cost.method for cost in self.costs]

    @property
    def places(self) -> int:
        """How many folds and final models there are."""
        return 1 if self.folds == 1 else self.folds + 1

    @property
    def once(self) -> list[str]:
        """The names of the methods that are trained once in each place."""
        return [cost.method for cost in self.costs if cost.once]

    def trainings(self, cost: Cost) -> int:
        """Return how often a method is trained."""
        return self.places * (1 if cost.once else self.parts)

    @property
    def all_trainings(self) -> int:
        """How many trainings there are."""
        return sum(map(self.trainings, self.costs))

    @property
    def trials(self) -> int:
        """How many trials NNI runs: trainings, those that join them, the ensembles, the finish."""
        ensembles = self.places if len(self.costs) > 1 else 0
        joined = self.places * (len(self.costs) - len(self.once))
        return self.all_trainings + joined + ensembles + 1

    def trained(self, cost: Cost) -> float:
        """Return the seconds of a trial that trains a method once, in the mean of all places."""
        seconds = [cost.within(self.max_steps)] * self.folds
        if self.folds > 1:  # the final model learns from the test images of a fold, too
            final = cost.of_images(self.folds / (self.folds - 1))
            seconds.append(final.within(self.max_steps))
        return sum(seconds) / len(seconds) + self.start_seconds

    @property
    def joined(self) -> float:
        """How long all takes that follows the trainings."""
        trials = self.trials - 1 - self.all_trainings
        each = JOIN_SECONDS + self.start_seconds
        return trials * each / self.at_once + self.start_seconds + REPORT_SECONDS

    @property
    def seconds(self) -> float:
        """How long it will take, in all."""
        trained = sum(self.trainings(cost) * self.trained(cost) for cost in self.costs)
        return trained / self.at_once + self.joined

    @property
    def fits(self) -> bool:
        """Whether it ends within its hours."""
        return self.seconds <= 3600 * self.hours

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; `read_plan` reads them."""
        return asdict(self) | {"trials": self.trials, "seconds": round(self.seconds)}

    def text(self) -> str:
        """Return it as a table to read."""
        rows = [("method", "epochs", "one training", "trainings", "all of them")]
        rows += [
            (
                cost.method,
                cost.epochs_within(self.max_steps),
                duration(cost.within(self.max_steps)),
                str(self.trainings(cost)),
                duration(self.trainings(cost) * self.trained(cost)),
            )
            for cost in self.costs
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]) for row in rows]
        if self.once:
            lines.append(f"trained once, as seeds would change nothing: {', '.join(self.once)}")
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
    start_seconds: float,
    left_out: Sequence[LeftOut] = (),
) -> Plan:
    """Return the plan with the most methods, then parts, then steps, that fits the hours; of one at least.

    `costs` are of trainings of a cross-fit in `most_parts`. Methods are left out from the dearest on.
    """
    whole = Plan(tuple(costs), folds, most_parts, at_once, hours, start_seconds, tuple(left_out))
    while True:
        for plan in map(_dearest_first, _shorter(whole)):
            if plan.fits:
                return plan
        if len(plan.costs) == 1:
            return plan
        dearest = plan.methods[0]
        reason = f"{duration(plan.seconds)} with it, more than {hours:g} h; more --hours would keep it"
        kept = tuple(cost for cost in whole.costs if cost.method != dearest)
        whole = replace(whole, costs=kept, left_out=(*whole.left_out, LeftOut(dearest, reason)))


def _shorter(whole: Plan) -> Iterator[Plan]:
    """Yield plans of the same methods, from the longest to the shortest."""
    for parts in range(whole.parts, FEWEST_PARTS - 1, -1):
        costs = whole.costs
        if whole.folds > 1:  # data with a split of their own learn from all of it in every part
            share = (1 - 1 / parts) / (1 - 1 / whole.parts)
            costs = tuple(cost.of_images(share) for cost in costs)
        plan = replace(whole, costs=costs, parts=parts)
        yield plan
    longest = max(plan.costs, key=lambda cost: cost.steps)
    fewest = max(cost.fewest_steps for cost in plan.costs)
    for epochs in range(longest.epochs - 1, 0, -1):
        if (steps := longest.steps * epochs // longest.epochs) >= fewest:
            yield replace(plan, max_steps=steps)


def _dearest_first(plan: Plan) -> Plan:
    return replace(plan, costs=tuple(sorted(plan.costs, key=lambda cost: -cost.within(plan.max_steps))))


def read_plan(values: dict[str, Any]) -> Plan:
    """Return the plan of `Plan.to_dict`."""
    return Plan(
        costs=tuple(Cost(**one) for one in values["costs"]),
        left_out=tuple(LeftOut(**one) for one in values["left_out"]),
        **{
            name: values[name]
            for name in ("folds", "parts", "at_once", "hours", "start_seconds", "max_steps")
        },
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
