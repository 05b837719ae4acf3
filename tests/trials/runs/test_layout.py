"""Where runs lie, and that no other module spells the names of their files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strategies import tuner
from trials.runs import layout

HERE = Path()
ROOT = Path(__file__).parents[3]
# The exported program stands alone; NNI's web UI has a name of its own for the network that it shows.
OTHERS = {Path(layout.__file__), ROOT / "trials/export/load_model.py", ROOT / "trials/nni_host/paths.py"}
MODULES = sorted({*ROOT.glob("trials/**/*.py"), *ROOT.glob("search_space/**/*.py")} - OTHERS)


def names() -> Iterator[str]:
    for name, value in vars(layout).items():
        if name.isupper():
            yield from [value] if isinstance(value, str) else value.values()


def spelled(tree: ast.AST) -> Iterator[str]:
    """Yield the names of files, and the names of folders where a path is put together."""
    known = set(names())
    files = {name for name in known if "." in name.lstrip(".")}  # `.lock` ends other names too
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if text in files:
                yield text
            case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str(text))) if text in known:
                yield text
            case ast.JoinedStr(
                values=[ast.Constant(value="fold" | "seed" as text), ast.FormattedValue(), *_]
            ):
                yield f"{text}N"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_of_runs_are_spelled_in_the_layout_alone(module: Path) -> None:
    assert list(spelled(ast.parse(module.read_text(encoding="utf-8")))) == []


def test_spelled_names_are_found() -> None:
    source = "a / 'metrics.json'\nb = ['search.json']\nc / 'tuning'\nd['tuning']\nf'fold{n}/x'\nf'fold {n}'"
    assert sorted(spelled(ast.parse(source))) == [
        "foldN",
        "metrics.json",
        "metrics.json",
        "search.json",
        "tuning",
    ]


def test_runs_lie_by_seed_fold_and_settings() -> None:
    out, varied = Path("out"), layout.variant({"retrain.filters": 20, "retrain.dropout": 0.1 + 0.2})
    assert varied == ["retrain.dropout=0.3", "retrain.filters=20"]
    assert layout.fold_folder(layout.seed_folder(out, 0), 2) == Path("out/fold2")
    assert layout.fold_folder(layout.seed_folder(out, 3), None) == Path("out/seed3")
    assert layout.fold_folder(out, 1, varied) == Path("out/fold1-retrain.dropout=0.3-retrain.filters=20")
    assert layout.fold_folder(out, None, varied[:1]) == Path("out/retrain.dropout=0.3")
    assert layout.tuning_folder(Path("out/fold0"), varied[1:]) == Path("out/fold0/tuning/retrain.filters=20")
    assert layout.with_variant("search", []) == "search"


@pytest.mark.parametrize(
    ("stage", "folder"),
    [
        ({"stage": "search", "fold": 2}, layout.fold_folder(HERE, 2) / layout.SEARCHES["enas"]),
        ({"stage": "retrain", "fold": 2, "layout": "enas7"}, layout.fold_folder(HERE, 2) / "enas7"),
        ({"stage": "train", "method": "hog"}, layout.fold_folder(HERE, None) / "hog"),
        (
            {"stage": "train", "method": "hog", "fold": 0, "part": 1, "parts": 3},
            layout.part_folder(layout.fold_folder(HERE, 0), 1, 3) / "hog",
        ),
        ({"stage": "train", "method": "hog", "final": True}, HERE / layout.FINAL / "hog"),
        ({"stage": "evaluate"}, HERE / layout.EVALUATION),
    ],
)
def test_the_tuner_names_stages_as_their_folders(stage: dict[str, Any], folder: Path) -> None:
    assert Path(tuner.name(stage)) == folder


def test_a_folder_is_named_after_the_end_of_a_path() -> None:
    varied = layout.variant({"backbone.weights": "/home/me/../weights.safetensors"})
    assert layout.with_variant("fold0", varied) == "fold0-backbone.weights=weights.safetensors"
