"""The last trial of a study: the report of its outer folds, and the final model, exported."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search_space.strict_json import dump_json
from strategies.tuner import ENDINGS, ENSEMBLE, name, study_places
from trials.errors import EvaluationError, ExportError, in_words
from trials.export.export import run_export
from trials.files import write_atomically
from trials.report.report import headline, run_report
from trials.runs.finished import UNKNOWN_REASON
from trials.runs.folder import failure, is_done
from trials.runs.layout import METADATA, MODEL, STUDY_FILE, fold_name
from trials.runs.reporter import Reporter
from trials.studies.plan import LeftOut


def run_finish(
    out: Path, data: Path, methods: Sequence[str], folds: int, failed: Sequence[str], group_column: str | None
) -> dict[str, Any]:
    """Report the folds of the study in `out` and export its final model; return and write what came out.

    `failed` are names of trials. Raises `EvaluationError`, with the reasons, where nothing was trained.
    """
    left_out = [LeftOut(one, failure(out / one) or UNKNOWN_REASON) for one in failed]
    report, model = out / ENDINGS["finish"], best(out, methods, final_place(folds))
    tested = [fold for fold in _folders(out, folds) if any(is_done(fold / one) for one in methods)]
    if model is None or not tested:
        reasons = "".join(f"; {one.method}: {one.reason}" for one in left_out)
        raise EvaluationError(f"{out}: no method has come to its end{reasons}")
    result = run_report(tested, report, data=data, group_column=group_column)
    rows = [row for row in result["results"] if row["method"] == model.name]
    figures = [headline(row) for row in rows]
    exported, said = _export(model, out / MODEL, figures if folds > 1 else [])  # own splits test the model
    told = {
        "figures": figures,
        "results": rows,
        "model": str(model.relative_to(out)),
        "exported": exported,
        "export_failed": said,
        "report": result["page"],
        "left_out": [asdict(one) for one in left_out],
    }
    write_atomically(out / STUDY_FILE, (dump_json(told) + "\n").encode())
    with Reporter(report) as reporter:
        reporter.final(_metrics(rows))
    return told


def final_place(folds: int) -> dict[str, Any]:
    """Return the parameters of the final model's trainings."""
    return study_places(folds)[-1]


def best(out: Path, methods: Sequence[str], place: dict[str, Any]) -> Path | None:
    """Return the folder of a fold's ensemble; of the only method that has come to its end; None without."""
    done = [
        folder
        for one in (ENSEMBLE, *methods)
        if is_done(folder := out / name({"stage": "train", "method": one, **place}))
    ]
    return done[0] if done else None


def _folders(out: Path, folds: int) -> list[Path]:
    """Return the folders of what is tested."""
    return [out] if folds == 1 else [out / fold_name(fold) for fold in range(folds)]


def _export(model: Path, out: Path, expected: Sequence[str]) -> tuple[str | None, str | None]:
    """Export a model in place of an earlier export; return where to, or why not."""
    if (out / METADATA).exists():
        shutil.rmtree(out)
    try:
        run_export(model, out, expected)
    except ExportError as error:
        return None, in_words(error)
    return str(out), None


def _metrics(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the first data set's figures for NNI."""
    areas = {key: rows[0][key] for key in ("auc", "auc_macro", "accuracy") if rows and rows[0].get(key)}
    return areas or {"folds": 0.0}
