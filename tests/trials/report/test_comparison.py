"""Which runs a report takes, and what it refuses or says loudly."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.report_runs import GOOD, POOR, table, write_run
from trials.errors import EvaluationError
from trials.report.comparison import read_comparison


def test_runs_are_found_below_a_folder_and_pooled(comparison: Path) -> None:
    found = read_comparison([comparison])
    assert [one.name for one in found.methods] == ["enas7", "hog", "random", "tuned"]
    of_all = found.methods[0].tested
    assert of_all is not None
    tested = of_all.binary
    assert tested.probabilities.tolist() == pytest.approx(GOOD[0] + GOOD[1])
    assert tested.folds.tolist() == [0] * 6 + [1] * 6
    assert tested.called.tolist() == [True] * 4 + [False] * 2 + [True] * 3 + [False] * 3
    assert tested.calibrated is not None and tested.calibrated[0] == pytest.approx(0.75)  # odds 9 to 3
    assert found.methods[3].saw_other_data
    assert found.warnings == ()


def test_search_is_matched_by_the_cells_that_it_found(comparison: Path) -> None:
    found = read_comparison([comparison])
    assert [found.found_by(search) for search in found.searches] == [["ENAS7, fold 0"], ["ENAS7, fold 1"]]


def test_search_beside_a_run_that_is_named_is_found(comparison: Path) -> None:
    searches = read_comparison([comparison / "fold0" / "enas7"]).searches
    assert [search.folder.name for search in searches] == ["search"]


def test_missing_folds_and_unfinished_runs_are_said(comparison: Path) -> None:
    shutil.rmtree(comparison / "fold1" / "hog")
    state = comparison / "fold1" / "random" / "run.json"
    state.write_text(state.read_text().replace("true", "false"))
    warnings = " | ".join(read_comparison([comparison]).warnings)
    assert "HOG: no finished run of fold 1" in warnings and "RANDOM: no finished run of fold 1" in warnings
    assert f"{comparison / 'fold1' / 'random'}: is not finished" in warnings


def test_figures_that_contradict_the_predictions_are_said(comparison: Path) -> None:
    recorded = {"test": {"accuracy": 0.5, "auc": 0.5}}
    shutil.rmtree(comparison / "fold0" / "hog")
    write_run(comparison / "fold0" / "hog", "hog", 0, table(0, GOOD[0]), **recorded)
    (warning,) = read_comparison([comparison]).warnings
    assert "accuracy of 0.8333, its metrics say 0.5000" in warning


def test_changed_files_and_mixed_commits_are_said(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "a", 0, table(0, GOOD[0]), commit="c1-dirty")
    assert "commit c1-dirty does not hold" in " ".join(read_comparison([tmp_path]).warnings)
    write_run(tmp_path / "b", "a", 1, table(1, GOOD[1]), commit="c2")
    assert "different commits: c1-dirty, c2" in " ".join(read_comparison([tmp_path]).warnings)


def test_mixed_profiles_are_said_with_their_methods(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "a", 0, table(0, GOOD[0]), profile="cpu")
    assert "profiles" not in " ".join(read_comparison([tmp_path]).warnings)
    write_run(tmp_path / "b", "b", 0, table(0, GOOD[0]), profile="quick")
    (warning,) = [line for line in read_comparison([tmp_path]).warnings if "profiles" in line]
    assert warning.endswith("cpu (A); quick (B)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_digest": "d2"}, "different data: d1 .* in .*; d2 .* in .*; take them apart"),
        ({"folds": 5}, "different numbers of folds"),
        ({"positive": "benign"}, "different positive classes"),
        ({"refit": True}, "different values of protocol.refit"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    comparison: Path, change: dict[str, object], message: str
) -> None:
    write_run(comparison / "other", "other", 0, table(0, GOOD[0]), **change)
    with pytest.raises(EvaluationError, match=message):
        read_comparison([comparison])


def test_two_runs_of_a_method_fold_and_seed_are_refused(comparison: Path) -> None:
    write_run(comparison / "again", "hog", 0, table(0, GOOD[0]))
    with pytest.raises(EvaluationError, match=r"same method, fold and seed \(hog, 0, 0\)"):
        read_comparison([comparison])


def test_seeds_are_read_each_and_their_mean(comparison: Path) -> None:
    for fold in (0, 1):
        place = comparison / "seed1" / f"fold{fold}" / "hog"
        write_run(place, "hog", fold, table(fold, GOOD[fold]), seed=1, threshold=0.7)
    hog = read_comparison([comparison]).methods[1]
    assert hog.seeds == [0, 1] and hog.missing_folds == [] and hog.tested is not None
    of_hog = hog.tested.binary
    poor, good = (part.probabilities.tolist() for part in of_hog.each)
    assert poor == pytest.approx(POOR[0] + POOR[1]) and good == pytest.approx(GOOD[0] + GOOD[1])
    assert of_hog.probabilities.tolist() == pytest.approx(
        np.mean([POOR[0] + POOR[1], GOOD[0] + GOOD[1]], axis=0).tolist()
    )
    assert of_hog.thresholds.tolist() == pytest.approx([0.6] * 12)
    assert [hog.place(run) for run in hog.runs][::3] == ["HOG, fold 0, seed 0", "HOG, fold 1, seed 1"]
    part = of_hog.at(np.array([11, 0]))
    assert [one.files.tolist() for one in part.each] == [["1-5.png", "0-0.png"]] * 2


def test_seed_without_all_folds_takes_no_part_and_is_said(comparison: Path) -> None:
    write_run(comparison / "seed1", "hog", 1, table(1, GOOD[1]), seed=1)
    found = read_comparison([comparison])
    assert found.methods[1].seeds == [0]
    assert found.warnings == ("HOG: seed 1 has no finished run of fold 0 and takes no part",)


def test_seeds_that_tested_other_images_are_refused(comparison: Path) -> None:
    for fold in (0, 1):
        write_run(comparison / f"other{fold}", "hog", fold, table(1 - fold, GOOD[fold]), seed=1)
    with pytest.raises(EvaluationError, match=r"enas7 and .*other0 tested fold 0 on different images"):
        read_comparison([comparison])


def test_folds_of_other_images_are_refused(comparison: Path) -> None:
    write_run(comparison / "other", "other", 0, table(1, GOOD[1]))
    with pytest.raises(EvaluationError, match="tested fold 0 on different images"):
        read_comparison([comparison])


def test_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no finished run there"):
        read_comparison([tmp_path])
    with pytest.raises(EvaluationError, match="no such folder"):
        read_comparison([tmp_path / "nowhere"])


def outside(*probabilities: float) -> list[tuple[object, ...]]:
    return [
        (f"e{i}.png", "malignant" if i < 2 else "benign", f"p{i // 2}", repr(p))
        for i, p in enumerate(probabilities)
    ]


def test_models_of_the_folds_decide_external_images_together(tmp_path: Path) -> None:
    for fold, probabilities, threshold in ((0, (0.9, 0.5, 0.1, 0.2), 0.4), (1, (0.7, 0.1, 0.3, 0.2), 0.5)):
        write_run(
            tmp_path / str(fold),
            "net",
            fold,
            table(fold, GOOD[fold]),
            external=outside(*probabilities),
            threshold=threshold,
            external_name="elsewhere",
        )
    decided = read_comparison([tmp_path]).methods[0].external
    assert decided is not None
    external = decided.binary
    assert external.data == "elsewhere"
    assert external.probabilities.tolist() == pytest.approx([0.8, 0.3, 0.2, 0.2])
    assert external.thresholds.tolist() == pytest.approx([0.45] * 4)


def test_model_of_all_data_decides_external_images_alone(tmp_path: Path) -> None:
    write_run(tmp_path / "0", "net", 0, table(0, GOOD[0]), external=outside(0.9, 0.9, 0.9, 0.9))
    write_run(tmp_path / "all", "net", None, [], external=outside(0.1, 0.2, 0.3, 0.4), folds=None)
    (net,) = read_comparison([tmp_path]).methods
    assert net.external is not None
    assert net.external.binary.probabilities.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert net.tested is not None and len(net.tested.files) == 6
    assert net.missing_folds == [1]


def test_external_images_must_be_the_same_in_all_folds(tmp_path: Path) -> None:
    write_run(tmp_path / "0", "net", 0, table(0, GOOD[0]), external=outside(0.9, 0.9))
    write_run(tmp_path / "1", "net", 1, table(1, GOOD[1]), external=outside(0.9, 0.9, 0.1))
    with pytest.raises(EvaluationError, match="other images than"):
        read_comparison([tmp_path])


def test_entries_are_picked_together(comparison: Path) -> None:
    tested = read_comparison([comparison]).methods[0].tested
    assert tested is not None
    part = tested.binary.at(np.array([11, 0]))
    assert (part.files.tolist(), part.groups.tolist()) == (["1-5.png", "0-0.png"], ["b6", "m1"])
    assert part.positive.tolist() == [False, True] and part.folds.tolist() == [1, 0]
