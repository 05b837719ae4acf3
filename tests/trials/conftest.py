"""Tiny synthetic lesions, and retrainings on them that last a second."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search_space import Architecture
from tests.helpers.figures import leave_blank
from tests.helpers.runs import retrain_on
from trials.data.phantoms import make_phantoms
from trials.settings.load import load_settings
from trials.settings.schema import Settings

TINY = {"data.image_size": 24, "retrain.epochs": 2, "retrain.filters": 2}


@pytest.fixture(autouse=True)
def _outside_nni(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NNI_PLATFORM", "NNI_OUTPUT_DIR", "NNI_TRIAL_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def drawn() -> None:
    """Named by a test whose figures are drawn as SVG."""


@pytest.fixture(autouse=True)
def _blank_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave figures blank; those of module fixtures are drawn."""
    leave_blank(monkeypatch, "pdf", *([] if "drawn" in request.fixturenames else ["svg"]))


@pytest.fixture(scope="session")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 synthetic lesions."""
    folder = tmp_path_factory.mktemp("lesions") / "synthetic"
    make_phantoms(folder, count=40, side=40)
    return folder


@pytest.fixture(scope="session")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 36 noisy patches of 40x40 in colour with a split of their own; label 1 is redder."""
    folder = tmp_path_factory.mktemp("patches") / "stained"
    folder.mkdir()
    random = np.random.default_rng(0)
    with (folder / "manifest.csv").open("w", newline="") as lines:
        manifest = csv.writer(lines)
        manifest.writerow(("file", "label", "split"))
        for split, count in (("train", 20), ("valid", 8), ("test", 8)):
            for index in range(count):
                pixels = random.integers(60, 200, (40, 40, 3), dtype=np.uint8)
                pixels[..., 0] += 50 * (index % 2)
                Image.fromarray(pixels).save(folder / f"{split}_{index}.png")
                manifest.writerow((f"{split}_{index}.png", index % 2, split))
    return folder


@pytest.fixture(scope="session")
def architecture_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An architecture of unknown origin."""
    path = tmp_path_factory.mktemp("architecture") / "architecture.json"
    path.write_text(Architecture.random(1, nodes=2).to_json())
    return path


@pytest.fixture(scope="session")
def tiny() -> Settings:
    """The quick profile, made quicker."""
    return load_settings("quick", TINY)


@pytest.fixture(scope="session")
def retrain(lesions: Path, architecture_file: Path, tiny: Settings) -> Callable[..., Mapping[str, Any]]:
    """Retrain into a folder, with tiny settings unless told otherwise."""

    def run(out: Path, **changes: Any) -> Mapping[str, Any]:
        arguments: dict[str, Any] = {"layout": "enas3", "settings": tiny, "folds": 2, "fold": 0} | changes
        data, architecture = arguments.pop("data", lesions), arguments.pop("architecture", architecture_file)
        return retrain_on(data, architecture, out=out, **arguments)

    return run


@pytest.fixture(scope="session")
def finished(
    retrain: Callable[..., Mapping[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The output folders of both folds' finished retrainings; never written to."""
    folder = tmp_path_factory.mktemp("finished")
    for fold in (0, 1):
        retrain(folder / f"fold{fold}", fold=fold)
    return folder / "fold0", folder / "fold1"
