"""The tables of README.md and docs/results.md are those of the CSV, and drift is seen."""

from pathlib import Path

import pytest

from tests.helpers.report_runs import write_comparison_of_three
from trials.report.report import run_report
from trials.report.results_page import SUMMARY, main, renewed
from trials.report.tables import RESULTS

ROOT = Path(__file__).parents[3]

ROW = {
    **dict.fromkeys(RESULTS, ""),
    **{"method": "net", "label": "A | B", "saw_other_data": "no", "trained_on": "busi", "data": "busi"},
    **{
        "n": "630",
        "groups": "467",
        "folds": "5",
        "seeds": "0 1 2",
        "auc_sd_seeds": "0.0049",
        "auc": "0.95",
        "auc_sd": "0.0123",
        "pooled_auc": "0.949",
    },
    **{
        "low": "0.93",
        "high": "0.9651",
        "accuracy": "0.9",
        "accuracy_low": "0.87",
        "accuracy_high": "0.92",
        "accuracy_at_half": "0.91",
    },
    **{"tpr": "0.85", "tnr": "0.93", "parameters": "195348", "seconds": "101.6", "device": "x86_64"},
}


def write(path: Path, *rows: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(RESULTS), *(",".join(row[name] for name in RESULTS) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def page(folder: Path, *rows: dict[str, str], kind: str = "table") -> list[str]:
    """Return the lines of a page with the tables of these rows."""
    write(folder / "results.csv", *rows)
    text = f"<!-- {kind}: results.csv -->\n<!-- end of {kind} -->\n"
    return renewed(text, folder).splitlines()[1:-1]


def test_pages_are_up_to_date() -> None:
    for name in ("README.md", "docs/results.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert renewed(text, (ROOT / name).parent) == text, f"python -m trials.report.results_page {name}"
        assert "<!-- " in text


def test_a_row_reads_as_its_figures(tmp_path: Path) -> None:
    lines = page(tmp_path, ROW)
    assert lines[0].startswith("busi: 630 images in 467 groups, 5 outer folds. Of several seeds all figures")
    assert (
        lines[4]
        == "| A \\| B | 0.950 ± 0.012 | 3 (0.005) | 0.949 (0.930 to 0.965) | 0.900 (0.870 to 0.920) |"
    )
    assert "| A \\| B | 0.850 | 0.930 | – | 0.910 |" in lines
    assert lines[-1] == "| A \\| B | 195,348 |  | 102 | x86_64 |"


def test_tables_are_as_wide_as_their_heads(tmp_path: Path) -> None:
    tables = "\n".join(page(tmp_path, {**ROW, "label": "net"})).split("\n\n")
    assert len(tables) == 6  # three tables, each below what it is of
    for table in tables[1::2]:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_row_of_a_split_of_the_datas_own_is_mean_and_std_over_seeds(tmp_path: Path) -> None:
    row = ROW | {"n": "800", "folds": "", "auc_sd": "", "accuracy_sd_seeds": "0.0071"}
    lines = page(tmp_path, row)
    assert lines[0].startswith("busi: 800 test images of its own split. Of several seeds")
    assert "AUC, mean ± SD of seeds" in lines[2] and "folds" not in lines[2]
    assert lines[4] == "| A \\| B | 0.950 ± 0.005 (0.930 to 0.965) | 3 | 0.900 ± 0.007 (0.870 to 0.920) |"


def test_best_first_others_data_last_external_apart(tmp_path: Path) -> None:
    worse = ROW | {"label": "worse", "auc": "0.8"}
    seen = ROW | {"label": "seen", "auc": "0.99", "saw_other_data": "yes"}
    away = ROW | {"label": "away", "data": "busbra", "folds": "", "auc_sd": ""}
    text = "\n".join(page(tmp_path, away, seen, worse, ROW))
    places = [text.index(label) for label in ("A \\|", "| worse", "| seen \\*", "Trained on busi", "| away")]
    assert places == sorted(places)
    assert "| away | 0.949 (0.930 to 0.965) | 3 (0.005) |" in text
    assert "\\* has seen other data." in text


def test_a_summary_has_the_main_methods_on_both_data(tmp_path: Path) -> None:
    rows = [ROW | {"method": name, "label": name, "auc": f"0.{90 - i}"} for i, name in enumerate(SUMMARY)]
    away = [row | {"data": "busbra", "auc": "0.7", "folds": "", "auc_sd": ""} for row in rows]
    lines = page(tmp_path, *rows, ROW, *away, kind="summary")
    assert len(lines) == 2 + len(SUMMARY) <= 8
    assert lines[0] == "| method | AUC on held-out folds | AUC on another hospital | parameters | seconds |"
    assert lines[2] == f"| {SUMMARY[0]} | 0.900 ± 0.012 | 0.700 | 195,348 | 102 |"


def test_a_summary_of_two_files_has_the_firsts_row_of_a_method(tmp_path: Path) -> None:
    first, second = SUMMARY[1], SUMMARY[0]
    for place, names, auc in (("a", [first], "0.9"), ("b", [first, second], "0.8")):
        rows = [ROW | {"method": name, "label": name, "auc": auc} for name in names]
        away = [row | {"data": "busbra", "auc": "0.7", "folds": "", "auc_sd": ""} for row in rows]
        write(tmp_path / f"{place}.csv", *rows, *away)
    text = renewed("<!-- summary: a.csv b.csv -->\n<!-- end of summary -->\n", tmp_path)
    assert [line.split(" | ")[:2] for line in text.splitlines()[3:5]] == [
        [f"| {first}", "0.900 ± 0.012"],
        [f"| {second}", "0.800 ± 0.012"],
    ]


def test_drift_is_seen_and_mended(tmp_path: Path) -> None:
    write(tmp_path / "results" / "busi.csv", ROW)
    stale = "# Head\n<!-- table: results/busi.csv -->\nold\n<!-- end of table -->\ntail\n"
    readme = tmp_path / "README.md"
    readme.write_text(stale)
    fresh = renewed(stale, tmp_path)
    assert fresh != stale and "195,348" in fresh and fresh.endswith("<!-- end of table -->\ntail\n")
    assert main([str(readme)]) == 0
    assert readme.read_text() == fresh == renewed(fresh, tmp_path)
    write(tmp_path / "results" / "busi.csv", ROW | {"auc": "0.7"})
    assert renewed(fresh, tmp_path) != fresh


def test_marker_without_end_or_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no line"):
        renewed("<!-- table: results/busi.csv -->\nold\n", tmp_path)
    with pytest.raises(ValueError, match="no such table"):
        renewed("<!-- table: results/busi.csv -->\nold\n<!-- end of table -->\n", tmp_path)
    (tmp_path / "empty.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"rows of a report's results\.csv"):
        renewed("<!-- table: empty.csv -->\n<!-- end of table -->\n", tmp_path)


def test_table_of_a_report_has_every_method(comparison: Path, tmp_path: Path) -> None:
    run_report([comparison], tmp_path / "out")
    text = renewed("<!-- table: out/results.csv -->\n<!-- end of table -->\n", tmp_path)
    assert [label in text for label in ("ENAS7", "RANDOM", "HOG", "TUNED \\*")] == [True] * 4


def test_a_comparison_of_three_classes_has_each_class_and_a_confusion_matrix(tmp_path: Path) -> None:
    run_report([write_comparison_of_three(tmp_path / "runs")], tmp_path / "out")
    text = renewed("<!-- table: out/results.csv -->\n<!-- end of table -->\n", tmp_path)
    lines = text.splitlines()
    assert lines[1].startswith("lesions: 12 images in 11 groups, 2 outer folds.")
    assert lines[3].startswith("| method | macro AUC, mean ± SD of folds | seeds (SD of macro AUC) |")
    assert lines[5].startswith("| ENAS7 | 0.958 ± 0.059 | 1 | 0.948 (")
    assert any(line.startswith("| ENAS7 | 0.833 | 0.750 | 0.833 | 0.317 |") for line in lines)
    assert any(line.startswith("| ENAS7 | 0.875 (") for line in lines)  # AUC of benign
    assert "| truth | called benign | called malignant | called normal |" in lines
    assert "| benign | 3 | 1 | 0 |" in lines and "TPR" not in text and "quadratic" not in text
    for table in text.split("\n\n"):
        assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) <= 1


def test_ordered_classes_have_their_measures_and_a_summary_needs_none(tmp_path: Path) -> None:
    run_report([write_comparison_of_three(tmp_path / "runs", ordered=True)], tmp_path / "out")
    text = renewed("<!-- table: out/results.csv -->\n<!-- end of table -->\n", tmp_path)
    assert "| quadratic weighted kappa | mean absolute error |" in text and "| 0.875 | 0.167 |" in text
    (tmp_path / "out" / "class_measures.csv").unlink()
    text = renewed("<!-- table: out/results.csv -->\n<!-- end of table -->\n", tmp_path)
    assert "each class" not in text and "0.958 ± 0.059" in text
