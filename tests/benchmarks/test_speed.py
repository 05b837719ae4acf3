"""What the benchmarks of speed print follows from their timings; nothing is timed here."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import measure
from benchmarks.speed import (
    cuda,
    growth,
    layers,
    machine_limit,
    profile,
    retraining,
    search,
    svm,
    table,
    verify,
    weight_sharing,
    whole_job,
)
from benchmarks.speed.roofline import Operation, least_seconds, operations_of
from benchmarks.speed.start import used
from trials.methods.learners import SVMLearner


def figures(rows: list[dict[str, Any]]) -> list[tuple[float, float, float, int, bool | None]]:
    """Median, smallest, largest, number and verdict of each row."""
    return [(row["median"], row["min"], row["max"], row["n"], row["met"]) for row in rows]


def test_median_and_range() -> None:
    assert measure.median_and_range([3, 1, 2, 10]) == {"n": 4, "median": 2.5, "min": 1, "max": 10}


def test_a_ratio_is_taken_within_each_round() -> None:
    timings = {"slow": [4.0, 40.0, 3.0], "fast": [2.0, 10.0, 3.0]}  # the second round was a busy one
    assert measure.ratio(timings, "slow", "fast") == {"n": 3, "median": 2, "min": 1, "max": 4}


def test_candidates_take_turns_and_two_rounds_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def seconds(run: Callable[[], object]) -> float:
        run()
        return float(len(ran))

    monkeypatch.setattr(measure, "seconds", seconds)
    timings = measure.take_turns({name: lambda name=name: ran.append(name) for name in "ab"}, rounds=2)
    assert "".join(ran) == "abababab" and timings == {"a": [5, 7], "b": [6, 8]}


def test_results_are_printed_and_saved_with_their_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    result = measure.median_and_range([1.5, 2.0, 4.0])
    rows = [measure.row("a / b", result, "times", ">= 3", met) for met in (True, False, None)]
    measure.save("test", rows, "make bench", timings={"a": [0.123456789]})
    printed = capsys.readouterr().out.splitlines()
    assert [line.split() for line in printed] == [
        ["a", "/", "b", "2", "times", "(1.5", "to", "4,", "n", "=", "3)", ">=", "3", *verdict]
        for verdict in (["met"], ["MISSED"], [])
    ]
    saved = json.loads((tmp_path / "results" / "bench-test.json").read_text())
    assert saved["rows"] == rows and saved["timings"] == {"a": [0.1235]} and saved["machine"]["cores"]


def test_the_table_has_a_line_for_each_row() -> None:
    row = measure.row("a / b", measure.median_and_range([1.5, 2.0, 4.0]), "times", ">= 3", False)
    assert table.line(row) == "| a / b | 2 times (1.5 to 4, 3) | >= 3 | missed |"
    assert table.line({**row, "unit": "", "met": None}) == "| a / b | 2 (1.5 to 4, 3) | >= 3 |  |"


def test_the_table_has_what_is_measured_and_names_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    row = measure.row("a / b", measure.median_and_range([2.0]), "times")
    (tmp_path / "bench-verify.json").write_text(json.dumps({"rows": [row]}))
    assert list(table.table())[2:] == [table.line(row)]
    unmeasured = capsys.readouterr().err.splitlines()
    assert len(unmeasured) == len(table.ORDER) - 1 and unmeasured[0].endswith("bench-start.json")


def test_the_table_is_of_all_that_make_bench_measures() -> None:
    (names,) = re.findall(r"^BENCHMARKS = (.+)$", (measure.ROOT / "Makefile").read_text(), re.MULTILINE)
    scripts = [f"{name}.py" for name in (*names.split(), "search", "whole_job")]
    sources = [(measure.ROOT / "benchmarks" / "speed" / script).read_text() for script in scripts]
    saved = [re.search(r'\bsave\("([a-z-]+)", ', source) for source in sources]
    assert sorted(match[1] for match in saved if match) == sorted(table.ORDER)


def test_search_compares_epochs_after_the_first_memory_and_drawing() -> None:
    nni = {"epochs": [99.0, 8.0, 10.0], "peak_mb": 2000, "draw_alone": [0.06, 0.03]}
    ours = {"epochs": [1.0, 2.0, 2.0], "peak_mb": 1000, "draw_alone": [0.002, 0.001]}
    ours |= {"draw_in_update": [0.0005, 0.001], "draw_in_training": [0.0001, 0.0002]}
    runs = {mode: {"nni": [nni], "ours": [ours]} for mode in ("fixed", "own")}
    rows = list(search.rows(runs))
    epochs, memory = (4.5, 4.0, 5.0, 2, True), (0.5, 0.5, 0.5, 1, True)
    drawn = [(times, times, times, 2, True) for times in (30.0, 60.0, 300.0)]
    assert [tuple(map(pytest.approx, line[:4])) + line[4:] for line in figures(rows)] == [
        *(epochs, memory) * 2,
        *drawn,
    ]


def test_weight_sharing_is_priced_against_the_plain_network() -> None:
    rows = weight_sharing.rows({"plain": [2.0, 4.0], "supernet": [2.2, 4.4], "plain again": [2.0, 2.0]})
    assert figures(rows) == [
        pytest.approx((1.1, 1.1, 1.1, 2, False)),
        (1.5, 1.0, 2.0, 2, None),
    ]


def test_a_step_is_a_share_of_the_matrix_products_rate() -> None:
    work = machine_limit.MATRIX**3 // 4
    timings = {machine_limit.PRODUCT: [1.0, 2.0], "NCHW": [1.0, 1.0], "channels last": [0.5, 0.5]}
    rows = machine_limit.rows(timings, work, {"NCHW": 7})
    assert figures(rows) == [
        (37.5, 25.0, 50.0, 2, None),
        (75.0, 50.0, 100.0, 2, None),
        (2.0, 2.0, 2.0, 2, True),
    ]
    assert rows[0]["kernels"] == 7 and "kernels" not in rows[1]


def test_a_step_is_a_multiple_of_what_its_operations_take_at_least() -> None:
    flops = 2 * machine_limit.MATRIX**3
    timings = {machine_limit.PRODUCT: [1.0, 2.0]}
    operations = {}
    for copies, (name, size, count) in machine_limit.COPIES.items():
        moved = 50 * 8 * math.prod(size.maps)
        operations[name] = [Operation("product", flops // 8, 0), Operation("copy", 0, moved // 8)]
        timings |= {copies: [count / 50] * 2, name: [0.5, 0.5]}
    expected = (pytest.approx(5 / 3), pytest.approx(4 / 3), 2.0, 2, None)
    assert figures(machine_limit.bounds(timings, operations)) == [expected] * 3


def test_an_operation_takes_what_its_arithmetic_or_its_memory_does() -> None:
    weight, inputs = torch.ones(4, 6, requires_grad=True), torch.ones(5, 6)

    def step() -> None:
        (inputs @ weight.T).relu().sum().backward()

    found = operations_of(step)
    product, relu, *_ = found
    assert product == Operation("aten.mm", 2 * 5 * 6 * 4, 4 * (5 * 6 + 6 * 4 + 5 * 4))
    assert relu == Operation("aten.relu", 0, 4 * 2 * 5 * 4)
    backward = [one for one in found[2:] if one.name == "aten.mm"]
    assert [one.flops for one in backward] == [2 * 4 * 5 * 6]
    assert not any("view" in one.name or one.name in ("aten.t", "aten.expand") for one in found)
    assert least_seconds([product, relu], 240, 1000) == 1 + 0.16


@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolutions_gradients_take_twice_its_own_operations(groups: int) -> None:
    layer = torch.nn.Conv2d(4, 8, 3, padding=1, groups=groups)
    images = torch.ones(2, 4, 5, 5, requires_grad=True)
    found = operations_of(lambda: layer(images).sum().backward())
    flops = {one.name: one.flops for one in found if one.flops}
    forward = 2 * (2 * 8 * 5 * 5) * (4 // groups * 3 * 3)
    assert flops == {"aten.convolution": forward, "aten.convolution_backward": 2 * forward}


def test_a_layer_that_gains_a_twentieth_is_worth_its_code() -> None:
    timings = {"a net": {layers.THEIRS: [2.2, 4.6], layers.OURS: [2.0, 4.0]}}
    rows = layers.rows({**timings, "another": {layers.THEIRS: [1.0], layers.OURS: [1.0]}})
    assert figures(rows) == [pytest.approx((1.125, 1.1, 1.15, 2, True)), (1, 1, 1, 1, False)]
    assert rows[0]["question"] == "a net: PyTorch's depthwise 5x5 / ours"


def test_an_svms_fit_is_priced_against_scikit_learns() -> None:
    made = svm.samples(60)
    svm.fit_theirs(made)
    rows = svm.rows({60: {svm.THEIRS: [2.0, 6.0], svm.OURS: [1.0, 2.0]}})
    assert figures(rows) == [(2.5, 2.0, 3.0, 2, None)]
    assert made.features.shape == (60, 5184) and SVMLearner()(made, 0).calibrated


def test_growth_is_the_slope_of_the_logarithms() -> None:
    sizes, macs = (8, 16, 32), (64, 256, 1024)
    timings = {str(size): [size**1.5, size**2.05] for size in sizes}
    row = growth.exponents("filters", sizes, timings, macs, kept=sizes)
    assert figures([row]) == [pytest.approx((1.775, 1.5, 2.05, 2, True))]
    assert (row["macs"], row["memory"], row["target"]) == (pytest.approx(2), pytest.approx(1), "<= 2.10")


def test_verify_grows_by_the_slope_of_its_seconds_and_the_memory_beyond_its_pixels() -> None:
    seconds = {"1000": [1.0, 2.0], "10000": [10.0, 20.0], "100000": [100.0, 200.0], "before": [250.0, 300.0]}
    memory = {"1000": [100.0, 100.0], "10000": [150.0, 150.0], "100000": [604.5, 604.5]}
    rows = verify.rows(seconds, memory)
    assert [line[:1] + line[3:] for line in figures(rows)] == [
        (pytest.approx(1), 2, True),
        (pytest.approx(504.5 / 99 - 4.096), 2, True),
        (20, 2, True),
        (150, 2, None),
    ]


def test_what_a_step_keeps_is_counted_once() -> None:
    weight = torch.ones(10, requires_grad=True)
    assert growth.kept_bytes(lambda: (weight * weight).sum()) == 40  # one storage of ten float32


def test_retraining_counts_the_faster_plain_loop_in_each_round() -> None:
    timings = {"ours": [1.0, 2.0], "plain, 0 workers": [3.0, 9.0], "plain, 2 workers": [4.0, 2.0]}
    images = retraining.EPOCHS * retraining.IMAGES
    assert figures(retraining.rows(timings)) == [
        (2.0, 1.0, 3.0, 2, True),
        (0.75 * images, 0.5 * images, images, 2, None),
    ]


def test_cuda_compares_precisions_layouts_and_graphs() -> None:
    timings = {"float32": [6.0], "NCHW": [4.0], "mixed": [2.0], cuda.GRAPH: [1.0]}
    assert [row["median"] for row in cuda.ratios("a step", timings)] == [3, 2, 2]
    assert len(cuda.ratios("a step", {name: timings[name] for name in cuda.VARIANTS})) == 2


def test_a_profile_has_the_dearest_operations_and_the_rest() -> None:
    taken = {"convolution": 5.0, "norm": 2.0, "relu": 1.0}
    assert profile.shares(taken, 10.0, shown=2) == {
        "convolution": 50.0,
        "norm": 20.0,
        "outside of operations": 20.0,
    }


@pytest.mark.parametrize(("hours", "met"), [(2.9, True), (3.1, False)])
def test_the_whole_job_is_held_to_its_hours(hours: float, met: bool) -> None:
    row = whole_job.hours_row("BUSI", hours)
    assert figures([row]) == [(hours, hours, hours, 1, met)] and row["target"] == "< 3 h"


def test_a_commands_memory_is_its_own_not_that_of_the_process_that_starts_it(tmp_path: Path) -> None:
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    _, memory = used([sys.executable, "-I", "-S", "-c", "pass"], tmp_path, measure.ROOT)
    assert 1 < memory < 100
