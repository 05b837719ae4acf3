"""What methods cost where a study trains them: in as many processes at once as this machine bears.

Trials share memory, caches and cores, which makes each slower than one alone. So each of these processes
starts as a trial does, on one thread, loads the data, and times all methods in the same order as the others:
python -m trials.studies.timing, with a request as JSON on its standard input.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import Any

from search_space.strict_json import dump_json, parse_json
from trials.data.load import load_data, load_external
from trials.data.split import Split
from trials.errors import ExperimentError
from trials.nni_host.allocator import with_mimalloc
from trials.nni_host.experiment import tail
from trials.settings.load import load_settings
from trials.studies.costs import cost_of, trials_at_once
from trials.studies.plan import Cost, LeftOut, cannot

LIKELY_BYTES = 2_000_000_000  # of a trial, before one is measured; ours
EVERY_TRIAL, NETWORKS = "trials.nni_host.parameters", "trials.training.module"  # load NNI; PyTorch as well


@dataclass(frozen=True)
class Timed:
    """What was timed: seconds until a trial has its data, and each method's cost, or why it has none."""

    start_seconds: float
    costs: tuple[Cost, ...]
    left_out: tuple[LeftOut, ...] = ()


def time_methods(
    data: Path,
    external: Path | None,
    profile: str,
    settings: Mapping[str, object],
    methods: Sequence[str],
    *,
    folds: int,
    parts: int,
) -> Timed:
    """Time the methods in the first fold of these data, or in the split of their own, in a cross-fit.

    Raises `ExperimentError` where a process comes to no end, such as for want of memory.
    """
    request = {
        "data": str(data.absolute()),
        "external": str(external.absolute()) if external else None,
        "profile": profile,
        "settings": dict(settings),
        "methods": list(methods),
        "folds": folds,
        "parts": parts,
    }
    count = trials_at_once(LIKELY_BYTES)
    with ThreadPoolExecutor(count) as pool:
        return together(list(pool.map(_timed_apart, [request] * count)))


def together(found: Sequence[Timed]) -> Timed:
    """Return the mean seconds of what processes have timed at once, and the most memory of any."""
    costs = [
        replace(
            same[0],
            seconds=round(fmean(cost.seconds for cost in same), 1),
            step_seconds=fmean(cost.step_seconds for cost in same),
            memory_bytes=max(cost.memory_bytes for cost in same),
        )
        for same in zip(*(one.costs for one in found), strict=True)
    ]
    return Timed(round(fmean(one.start_seconds for one in found), 1), tuple(costs), found[0].left_out)


def _timed_apart(request: Mapping[str, object]) -> Timed:
    """Time in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "trials.studies.timing"],
        input=dump_json({**request, "began": time.time()}),
        env={"OMP_NUM_THREADS": "1", **with_mimalloc(), **os.environ},  # a trial's
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ExperimentError(
            f"timing {', '.join(map(str, request['methods']))} ended with status "  # type: ignore[call-overload]
            f"{done.returncode}:\n{tail(done.stderr)}"
        )
    answer = parse_json(done.stdout)
    return Timed(
        answer["start_seconds"],
        tuple(Cost(**one) for one in answer["costs"]),
        tuple(LeftOut(**one) for one in answer["left_out"]),
    )


def _time(
    began: float,
    data: str,
    external: str | None,
    profile: str,
    settings: Mapping[str, object],
    methods: Sequence[str],
    folds: int,
    parts: int,
) -> Timed:
    """Do what a request asks for, in this process, which was started when it `began`, in epoch seconds."""
    chosen = load_settings(profile, settings)
    loaded = load_data(data, chosen)
    own = loaded.splits is not None
    split = Split.of(loaded, chosen, folds=folds, fold=None if own else 0, seed=0)
    other = load_external(external, chosen, loaded) if external else None
    import_module(EVERY_TRIAL)
    start_seconds = time.time() - began
    import_module(NETWORKS)
    more_seconds = time.time() - began - start_seconds
    costs: list[Cost] = []
    left_out: list[LeftOut] = []
    for method in methods:
        try:
            cost = cost_of(method, split, chosen, other, parts)
        except (ValueError, ImportError) as error:
            left_out.append(cannot(method, error))
        else:
            costs.append(replace(cost, seconds=cost.seconds + more_seconds) if cost.steps else cost)
    return Timed(start_seconds, tuple(costs), tuple(left_out))


def main() -> None:
    """Answer the request."""
    request: dict[str, Any] = parse_json(sys.stdin.read())
    with redirect_stdout(sys.stderr):  # of what loading says
        answer = _time(**request)
    print(dump_json(asdict(answer)))


if __name__ == "__main__":
    main()
