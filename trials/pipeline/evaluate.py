"""Evaluation: finished runs, one an outer fold, brought together by method.

Over folds: mean and standard deviation of each fold's measures. Pooled: every image once, decided by its own
fold's frozen threshold. Both also at 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trials.data.findings import findings_of
from trials.errors import EvaluationError
from trials.evaluation.decisions import Decision, behind_one_another
from trials.evaluation.metrics import mean_and_std
from trials.files import as_paths
from trials.pipeline.scores import NO_SHARES, likeliest, rates_of, score_logits
from trials.runs.finished import Failed, Run, by_method, read_run, warned
from trials.runs.folder import RunFolder
from trials.runs.layout import EVALUATION_FILE, EVALUATION_TABLE, EVALUATION_TEXT
from trials.runs.predictions import Classes
from trials.runs.provenance import provenance
from trials.runs.reporter import Reporter


def run_evaluate(
    runs: str | Path | Sequence[str | Path],
    out: str | Path,
    external_data: str | Path | None = None,
    *,
    failed: Sequence[Failed] = (),
    group_column: str | None = None,
    accept: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluate finished retrainings, and their models on `external_data` where that is given.

    Those that `failed` stand beside them with their reasons, also where a method failed in every fold.
    `group_column` and `accept` are of the external data, as `load` takes them.

    Writes `evaluation.json`, `evaluation.csv`, `evaluation.txt` (a reader's table) and, for external data,
    `external_predictions.csv` to `out`; returns the content of the first. The same `out` may be used again as
    more folds come in. Raises ValueError for runs that are unfinished, given twice or of different data or
    folds, and for external images that were seen in training.
    """
    out = Path(out)
    if not runs:
        raise EvaluationError("no runs to evaluate: name output folders of finished retrainings")
    methods = by_method([read_run(folder) for folder in as_paths(runs)])
    everyone = [run for group in methods.values() for run in group]
    _refuse_untested(everyone, with_external=external_data is not None)
    external = None
    if external_data is not None:
        from trials.pipeline.external import evaluate_external, load_for_models  # late: brings PyTorch

        external = load_for_models(external_data, everyone, group_column, accept)
    identity = {
        "verb": "evaluate",
        "data": everyone[0].metrics["data_digest"],
        "external": external.digest if external else None,
    }
    with RunFolder(out, identity) as folder, Reporter(out) as reporter:
        folder.begin()
        result: dict[str, Any] = {
            "data": everyone[0].metrics["data"],
            "classes": list(everyone[0].classes.names),
            **({"ordered": True} if everyone[0].metrics.get("ordered") else {}),
            "findings": findings_of(everyone[0].record.get("data")),
            "methods": {
                name: summarise(methods.get(name, ()), [one for one in failed if one.method == name])
                for name in dict.fromkeys([*methods, *(one.method for one in failed)])
            },
            "warnings": warned(everyone, lambda run: str(run.folder)),
            "external": None if external is None else evaluate_external(external, methods, folder),
            **provenance(),
        }
        _write(folder, result)
        reporter.final(_headline(result))
    return result


def _refuse_untested(runs: Sequence[Run], *, with_external: bool) -> None:
    """Raise `EvaluationError` for runs of which no test image says how good they are."""
    if not with_external and runs[0].fold is None:
        raise EvaluationError(
            f"{runs[0].folder}: trained on all the data, so that no fold tests it; name external data"
        )
    for run in runs:
        if run.fold is not None and not len(run.tested.files):
            raise EvaluationError(
                f"{run.folder}: was judged by its validation images alone: no test image says how good it "
                "is; leave it out, or run it again without --untested"
            )


def _write(folder: RunFolder, result: Mapping[str, Any]) -> None:
    columns = ("method", "images", "threshold", "n", *rates_in(result), "parameters")
    rows = ([row.get(column) for column in columns] for row in table_rows(result))
    folder.write_csv(EVALUATION_TABLE, columns, rows)
    folder.write_json(EVALUATION_FILE, result)
    folder.write_text(EVALUATION_TEXT, f"{text_table(result)}\n")
    folder.finish()


def summarise(group: Sequence[Run], failed: Sequence[Failed] = ()) -> dict[str, Any]:
    """Return a method's measures by fold, over folds and pooled, and which folds lack or failed."""
    tested = [run for run in group if run.fold is not None]
    folds = (group[0].metrics["folds"] or 0) if group else 0
    return {
        "failed": [{"fold": one.fold, "seed": one.seed, "reason": one.reason} for one in failed],
        "runs": [{"folder": str(run.folder), **run.metrics} for run in group],
        "missing_folds": sorted(set(range(folds)) - {run.fold for run in tested}),
        "parameters": mean_and_std([run.metrics["parameters"] for run in group]),
        "frozen": _over_folds(tested, [run.decision for run in tested]),
        "at_0.5": _over_folds(tested, [likeliest(run.classes) for run in tested]),
    }


def _over_folds(runs: Sequence[Run], decisions: Sequence[Decision]) -> dict[str, Any] | None:
    if not runs:
        return None
    classes, ordered = runs[0].classes, bool(runs[0].metrics.get("ordered"))
    said = [(run.tested.labels, run.tested.logits) for run in runs]
    each = [
        score_logits(classes, *one, decision, ordered=ordered)
        for one, decision in zip(said, decisions, strict=True)
    ]
    labels, logits = map(np.concatenate, zip(*said, strict=True))
    together = behind_one_another(decisions, [len(of_fold) for of_fold, _ in said])
    pooled = score_logits(classes, labels, logits, together, ordered=ordered)
    over_folds = {
        name: mean_and_std([scores[name] for scores in each]) for name in rates_of(classes, ordered=ordered)
    }
    return {
        "mean": {name: values["mean"] for name, values in over_folds.items()},
        "sd": {name: values["sd"] for name, values in over_folds.items()},
        "pooled": pooled,
    }


def rates_in(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the measures that an evaluation averages over folds."""
    return rates_of(Classes(tuple(result["classes"]), None), ordered=bool(result.get("ordered")))


def _external(result: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return how a method did on external images; empty where it was tested on none."""
    found: Mapping[str, Any] = (result["external"] or {"methods": {}})["methods"].get(name, {})
    return found


def table_rows(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `evaluation.csv`: of each method its folds, their mean, SD, pooled, external."""
    rules = {"frozen": "frozen", "at_0.5": "0.5" if len(result["classes"]) == 2 else "likeliest"}
    for name, summary in result["methods"].items():
        external = _external(result, name)
        own_split = any(run["folds"] == 1 for run in summary["runs"])
        for threshold in ("frozen", "at_0.5"):
            row = {"method": name, "threshold": rules[threshold]}
            for run in summary["runs"] if summary[threshold] else ():
                scores = run["test" if threshold == "frozen" else "test_at_0.5"]
                images = "test split" if own_split else f"fold {run['fold']}"
                yield {**scores, **row, "images": images, "parameters": run["parameters"]}
            for what, scores in ({} if own_split else summary[threshold] or {}).items():
                yield {**scores, **row, "images": what, "parameters": summary["parameters"].get(what)}
            for one in summary["failed"]:
                yield {**row, "images": f"fold {one['fold']}: failed"}
            if external:
                yield {**external[threshold], **row, "images": f"external {result['external']['data']}"}


def text_table(result: Mapping[str, Any]) -> str:
    """Return what a reader wants first: measures in percent at the frozen thresholds, and what is missing."""
    rates = rates_in(result)
    width = 2 + max(9, *map(len, rates))
    lines = [f"{'':34}{'n':>6}" + "".join(f"{name:>{width}}" for name in rates)]
    for row in table_rows(result):
        if row["threshold"] == "frozen":
            values = (_said(name, row.get(name)) for name in rates)
            label = f"{row['method']}, {row['images']}"
            lines.append(
                f"{label:34}{row.get('n', ''):>6}" + "".join(f"{value:>{width}}" for value in values)
            )
    lines += _each_class(result)
    for name, summary in result["methods"].items():
        lines += [f"{name}, fold {one['fold']}: failed: {one['reason']}" for one in summary["failed"]]
        if missing := set(summary["missing_folds"]) - {one["fold"] for one in summary["failed"]}:
            lines.append(f"{name}: no run of folds {', '.join(map(str, sorted(missing)))}")
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    lines += [f"data: {line}" for line in result["findings"]]
    if external := result["external"]:
        lines += [f"{external['data']}: {line}" for line in external["findings"]]
    return "\n".join(lines)


def _said(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if name in NO_SHARES else f"{100 * value:.1f} %"


def _each_class(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the measures of each class against all others, where there are more than two."""
    for name, what, scores in _pooled(result):
        if "per_class" in scores:
            yield f"{name}, {what}: each class against the rest"
            width = 2 + max(map(len, scores["per_class"]))
            columns = next(iter(scores["per_class"].values()))
            yield f"  {'':{width}}" + "".join(f"{column:>13}" for column in columns)
            for of, measures in scores["per_class"].items():
                cells = (str(v) if column == "n" else _said(column, v) for column, v in measures.items())
                yield f"  {of:{width}}" + "".join(f"{cell:>13}" for cell in cells)


def _pooled(result: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield method, images and scores at the frozen decision, of all test images and of external ones."""
    for name, summary in result["methods"].items():
        if summary["frozen"]:
            yield name, "pooled", summary["frozen"]["pooled"]
        external = _external(result, name)
        if external:
            yield name, f"external {result['external']['data']}", external["frozen"]


def _headline(result: Mapping[str, Any]) -> dict[str, float]:
    """Pick what NNI's web UI shows of an evaluation: each method's mean AUC and other rates."""
    shown: dict[str, float] = {}
    rates = ("auc", *rates_in(result)) if "auc" in rates_in(result) else rates_in(result)
    for name, summary in result["methods"].items():
        external = _external(result, name)
        if not summary["frozen"] and not external:
            continue  # it failed
        scores = summary["frozen"]["mean"] if summary["frozen"] else external["frozen"]
        shown |= {f"{name} {rate}": scores[rate] for rate in rates if scores[rate] is not None}
    return shown
