"""A verb loads no more than it needs: each runs in a fresh process, which then says what it has imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trials.data.phantoms import make_phantoms

OF_NETWORKS = {"torch", "nni", "pytorch_lightning", "torchmetrics", "torchvision"}
SECONDS_EACH = OF_NETWORKS | {"sklearn", "matplotlib"}
RUN = """
import sys
from trials.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
print(status, *{name.split(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def imported_by(*words: str | Path) -> tuple[int, set[str]]:
    """Return the exit status of the command `lesion-nas WORDS`, and the packages that it imported."""
    ran = subprocess.run([sys.executable, "-c", RUN, *map(str, words)], capture_output=True, text=True)
    status, *packages = ran.stderr.splitlines()[-1].split()
    return int(status), set(packages)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, finished: tuple[Path, Path]) -> Path:
    """Ten images, and the runs of two folds."""
    folder = tmp_path_factory.mktemp("start")
    make_phantoms(folder / "ten", count=10, side=32)
    (folder / "runs").symlink_to(finished[0].parent)
    return folder


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "--help"),
        (0, "verify ten --folds 2"),
        (0, "evaluate runs/fold0 runs/fold1 --out evaluated"),
        (0, "publish runs --out published"),
        (2, "train --data ten --method hogg --out refused"),
        (2, "train --data ten --method hog --set retrain.epoch=3 --out refused"),
        (2, "publisch runs"),
    ],
)
def test_what_neither_trains_nor_predicts_loads_no_package_that_does(
    place: Path, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    monkeypatch.chdir(place)
    ended, packages = imported_by(*words.split())
    assert ended == status
    assert not packages & SECONDS_EACH


@pytest.mark.parametrize(
    "words",
    ["predict runs/fold0 ten", "explain runs/fold0 IMAGE --out explained", "export runs/fold0 --out out"],
)
def test_what_uses_a_model_of_cells_loads_nothing_that_searches_or_trains(
    place: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.chdir(place)
    image = next((place / "ten").glob("*.png"))
    ended, packages = imported_by(*words.replace("IMAGE", str(image)).split())
    assert ended == 0
    assert packages & OF_NETWORKS == {"torch"}


def test_baselines_and_reports_load_nothing_that_trains_networks(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for words in (
        "train --data ten --folds 2 --fold 0 --method hog --profile quick --out compared/hog",
        "report compared --out reported",
    ):
        ended, packages = imported_by(*words.split())
        assert ended == 0
        assert not packages & OF_NETWORKS, words


def test_a_trial_has_not_loaded_pytorch_before_its_stage_asks_for_it() -> None:
    code = "import sys, trials.stage; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
