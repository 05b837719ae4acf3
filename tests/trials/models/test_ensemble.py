"""An ensemble on disk: its members lie inside it, and it says the logits of their mean probability."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.models import save_untrained
from trials.errors import ModelError
from trials.evaluation.decisions import Decision, mean_logits, probabilities
from trials.models.ensemble import EnsembleModel
from trials.models.model_file import load_description, load_model, save_ensemble
from trials.runs.predictions import Frozen

TWO = {"classes": ("benign", "malignant"), "positive": "malignant", "threshold": 0.5}
AGE = {"kind": "number", "name": "age", "mean": 50.0, "std": 10.0, "low": 20.0, "high": 80.0}
RANDOM = np.random.default_rng(0)
IMAGES = [RANDOM.integers(0, 256, (20, 24), dtype=np.uint8) for _ in range(4)]


@pytest.fixture
def members(tmp_path: Path) -> list[Path]:
    return [save_untrained(tmp_path / str(seed), seed, **TWO) for seed in (1, 2)]


@pytest.fixture
def ensemble(tmp_path: Path, members: list[Path]) -> Path:
    return save(tmp_path / "joined", list(zip(members, (1.0, 3.0), strict=True)))


def save(folder: Path, members: list[tuple[Path, float]], first: int | None = 1) -> Path:
    decision = Decision() if first is None else Decision(first, 0.25)
    save_ensemble(folder, members, Frozen(decision, 1.5, "", ("few images",)))
    return folder


@pytest.mark.parametrize("classes", [2, 3])
def test_it_says_the_weighted_mean_of_probabilities(classes: int, tmp_path: Path) -> None:
    kind = TWO if classes == 2 else {}
    places = [save_untrained(tmp_path / str(seed), seed, **kind) for seed in (1, 2)]
    model = load_model(save(tmp_path / "joined", [(places[0], 1.0), (places[1], 3.0)], 1 if kind else None))
    first, second = (load_model(place).probabilities(IMAGES) for place in places)
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_allclose(model.probabilities(IMAGES), 0.25 * first + 0.75 * second, atol=1e-9)
    card = model.description
    assert card.temperature == 1.5 and card.warnings == ("few images",)
    assert card.cutoff == (0.25 if kind else None)


def test_it_needs_nothing_outside_its_folder_and_shares_content_with_its_members(
    ensemble: Path, members: list[Path], tmp_path: Path
) -> None:
    expected = load_model(ensemble).logits(IMAGES)
    weights = ensemble / "members" / "0" / "model.safetensors"
    assert weights.samefile(members[0] / "model.safetensors")
    for place in members:
        place.rename(tmp_path / f"gone-{place.name}")
    moved = ensemble.rename(tmp_path / "elsewhere")
    np.testing.assert_array_equal(load_model(moved).logits(IMAGES), expected)


def test_members_may_be_ensembles_and_those_without_weight_are_left_out(
    ensemble: Path, members: list[Path], tmp_path: Path
) -> None:
    outer = load_model(save(tmp_path / "outer", [(members[1], 0.0), (ensemble, 1.0), (members[0], 1.0)]))
    assert isinstance(outer, EnsembleModel) and len(outer.members) == 2
    expected = (load_model(ensemble).probabilities(IMAGES) + load_model(members[0]).probabilities(IMAGES)) / 2
    np.testing.assert_allclose(outer.probabilities(IMAGES), expected, atol=1e-9)


def test_each_member_codes_the_covariates_by_its_own_columns(tmp_path: Path) -> None:
    older = {**AGE, "mean": 60.0}
    places = [
        save_untrained(tmp_path / str(seed), seed, covariates={"columns": [column]}, **TWO)
        for seed, column in enumerate((AGE, older, AGE))
    ]
    joined = save(tmp_path / "joined", [(place, 1.0) for place in places])
    coding = load_description(joined).covariates
    assert coding and coding.names == ("age",) and len(coding.columns) == 2
    cells = {"age": ["40", "50", "60", "70"]}
    each = [load_model(place).logits(IMAGES, covariates=cells) for place in places]
    np.testing.assert_array_equal(load_model(joined).logits(IMAGES, covariates=cells), mean_logits(each, 1))
    with pytest.raises(ModelError, match="takes covariates beside the images; give age"):
        load_model(joined).logits(IMAGES)


def test_models_that_do_not_belong_together_are_refused(members: list[Path], tmp_path: Path) -> None:
    others = {
        "classes": {"classes": ("benign", "cyst"), "positive": "cyst", "threshold": 0.5},
        "positive": {**TWO, "positive": "benign"},
        "grey_range": {**TWO, "grey_range": (0, 4095)},
    }
    for name, kind in others.items():
        other = save_untrained(tmp_path / name, **kind)
        with pytest.raises(ModelError, match=f"{name} = .*join models that agree"):
            save(tmp_path / "joined", [(members[0], 1.0), (other, 1.0)])
    for weights in ([0.0, 0.0], [1.0, -1.0], [1.0, float("nan")]):
        with pytest.raises(ModelError, match="expected numbers from 0 up, one above"):
            save(tmp_path / "joined", list(zip(members, weights, strict=True)))
    assert not (tmp_path / "joined").exists()


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        values = json.loads((folder / "model.json").read_text())
        change(values)
        (folder / "model.json").write_text(json.dumps(values))

    return write


def out_of_it(folder: Path) -> None:
    (folder / "members" / "1").rename(folder.parent / "moved")
    (folder / "members" / "1").symlink_to(folder.parent / "moved")


def in_itself(folder: Path) -> None:
    (folder / "members" / "1").rename(folder.parent / "moved")
    (folder / "members" / "1").symlink_to(folder)


def of_others(folder: Path) -> None:
    rewritten(lambda values: values.update(positive="benign"))(folder / "members" / "1")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (rewritten(lambda values: values["members"][0].update(folder="../1")), "members.0.folder"),
        (rewritten(lambda values: values["members"][0].update(folder="members/1")), "one folder"),
        (rewritten(lambda values: values["members"][0].update(weight=0.5)), "sum to 1.25, expected 1"),
        (rewritten(lambda values: values.update(kind="forest")), "expected one of network"),
        (rewritten(lambda values: values.update(kind=["ensemble"])), "expected one of network"),
        (out_of_it, "a link leads out of"),
        (in_itself, "deep; join their members"),
        (of_others, "positive = 'benign', but 'malignant'"),
    ],
)
def test_a_folder_that_cannot_be_is_refused(
    damage: Callable[[Path], None], said: str, ensemble: Path
) -> None:
    damage(ensemble)
    with pytest.raises(ModelError, match=said):
        load_model(ensemble)


def test_equal_weights_are_no_weights_to_the_last_digit() -> None:
    for k, positive in ((2, 1), (3, None)):
        given = [RANDOM.normal(size=(9, k)) * 5 for _ in range(3)]
        plain = mean_logits(given, positive)
        np.testing.assert_array_equal(mean_logits(given, positive, [1 / 3] * 3), plain)
        unequal = probabilities(mean_logits(given, positive, [1.0, 2.0, 1.0]))
        expected = np.average([probabilities(one) for one in given], axis=0, weights=[1, 2, 1])
        np.testing.assert_allclose(unequal, expected, atol=1e-9)
