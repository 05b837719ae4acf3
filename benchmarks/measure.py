"""Timing: what is compared takes turns in one run, and only ratios are claimed.

A round runs every candidate once. A ratio is taken within each round, so that a machine that is slow for a
while slows both sides; its median over the rounds is the result, with the smallest and the largest.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from search_space.strict_json import dump_json
from trials.runs.provenance import provenance

ROOT = Path(__file__).parent.parent
Timings = Mapping[str, Sequence[float]]


def seconds(run: Callable[[], object]) -> float:
    """Time one run; a GPU's queue is emptied before and after."""
    _wait()
    start = time.perf_counter()
    run()
    _wait()
    return time.perf_counter() - start


def cpu_seconds(run: Callable[[], object]) -> float:
    """Time one run by this process's own work, so that other work on the machine counts less."""
    start = time.process_time()
    run()
    return time.process_time() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def take_turns(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[Callable[[], object]], float] | None = None,
) -> dict[str, list[float]]:
    """Return the seconds of each candidate in each round, after two rounds that do not count.

    They are those of `seconds`, or of another `clock`.
    """
    timings: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(-2, rounds):
        for name, run in candidates.items():
            taken = (clock or seconds)(run)
            if turn >= 0:
                timings[name].append(taken)
    return timings


def in_a_process(module: str, name: str, variables: Mapping[str, str]) -> Any:
    """Return what `python -m MODULE --one NAME` prints as JSON, with these variables beside ours."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, "--one", name],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def median_and_range(values: Iterable[float]) -> dict[str, float]:
    """Return the median of some values, the smallest, the largest, and their number."""
    ordered = sorted(values)
    return {"n": len(ordered), "median": median(ordered), "min": ordered[0], "max": ordered[-1]}


def ratio(timings: Timings, slow: str, fast: str) -> dict[str, float]:
    """Return median and range of `slow` over `fast`, round by round."""
    return median_and_range(a / b for a, b in zip(timings[slow], timings[fast], strict=True))


def row(
    question: str,
    result: Mapping[str, float],
    unit: str,
    target: str = "",
    met: bool | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a row of a benchmark's table: the question, the result, the target and whether it is met."""
    return {"question": question, "unit": unit, **result, "target": target, "met": met, **more}


def save(name: str, rows: Sequence[Mapping[str, Any]], command: str, **details: Any) -> None:
    """Print the table and write `results/bench-NAME.json`: rows, raw timings, machine, versions."""
    for line in rows:
        print(printed(line))
    result = {"command": command, "rows": list(rows), "machine": machine(), **details}
    path = ROOT / "results" / f"bench-{name}.json"
    path.write_text(written(result), encoding="utf-8")


def written(result: Mapping[str, Any]) -> str:
    """Return a result as JSON, a list of numbers a line."""
    text = dump_json(_rounded(result), 1)
    return re.sub(r"\[[-\s\d.e+,]*\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n"


def _rounded(value: Any) -> Any:
    """Return JSON with floats of four significant digits: no two rounds agree in more."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def printed(line: Mapping[str, Any]) -> str:
    """Return a row as it is printed."""
    figures = f"{line['median']:.3g} {line['unit']} ({line['min']:.3g} to {line['max']:.3g}, n = {line['n']})"
    verdict = {True: "met", False: "MISSED", None: ""}[line["met"]]
    return f"{line['question']:64} {figures:44} {line['target']:12} {verdict}"


def machine() -> dict[str, Any]:
    """Describe where and with what a figure was measured."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        **provenance(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def two_threads() -> None:
    """Use two threads, as for all figures on a processor."""
    torch.set_num_threads(2)
