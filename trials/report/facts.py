"""What the runs' records know of how a comparison was made: the methods section of an article, in sentences.

The page, `methods.txt` and the checklists tell these facts, and no other module words them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from trials.evaluation.bootstrap import DRAWS
from trials.models.specs import NOT_FOR
from trials.report.comparison import Comparison
from trials.runs.finished import Run


@dataclass(frozen=True)
class Facts:
    """Sentences in the order of a methods section; None where the runs do not know."""

    data: str
    level: str | None
    excluded: str | None
    partition: str
    preprocessing: str | None
    covariates: str | None
    models: str
    training: str | None
    balance: str | None
    initial: str
    rule: str
    measures: str
    uncertainty: str
    tests: str | None
    external: str | None
    software: str
    limits: str

    @property
    def text(self) -> str:
        """The methods section as one paragraph."""
        known = [getattr(self, field.name) for field in fields(self)]
        return " ".join(sentence for sentence in known if sentence)


def facts_of(comparison: Comparison, rule: str) -> Facts:
    """Collect the facts; `rule` says which class an image is called."""
    first, runs = comparison.first, [run for one in comparison.methods for run in one.runs]
    described = first.record.get("data") or {}
    source = described.get("group_source")
    covariates = _values(runs, "data", "covariates")
    return Facts(
        data=_data(first, described),
        level=f"Images of one group ({source}) were never on both sides of a split." if source else None,
        excluded=_excluded(described),
        partition=_partition(first, runs),
        preprocessing=_preprocessing(runs),
        covariates=f"Beside the images, methods that take them were given {covariates}; blank cells count as "
        "missing."
        if covariates
        else None,
        models=f"{_compared(comparison)} {'; '.join(one.label for one in comparison.methods)}.",
        training=_training(runs),
        balance=_balance(runs),
        initial=_initial(comparison, runs),
        rule=f"An image was called {rule}; temperature scaling and thresholds were fitted to images outside "
        "the test, and frozen before it.",
        measures=_measures(first),
        uncertainty=f"Intervals are 95 % percentile intervals by bootstrap over groups ({DRAWS:,} draws, "
        "stratified by class), for the models as they are.",
        tests="AUCs were compared by DeLong's test with components summed within groups (Obuchowski 1997), "
        "decisions by McNemar's exact test; Holm's correction covers all p values of a table."
        if len(comparison.methods) > 1
        else None,
        external=_external(comparison),
        software=_software(runs),
        limits=f"The models are not for {NOT_FOR}.",
    )


def _compared(comparison: Comparison) -> str:
    return "Compared were" if len(comparison.methods) > 1 else "The method was"


def _data(run: Run, described: dict[str, Any]) -> str:
    counts = described.get("images") or {}
    images = f": {sum(counts.values()):,} images ({_listed(f'{n:,} {name}' for name, n in counts.items())})"
    groups = f" in {described['groups']:,} groups" if "groups" in described else ""
    name, digest = run.metrics["data"], run.metrics["data_digest"]
    return f"Retrospective data, {name}{images if counts else ''}{groups}, digest {digest}."


def _excluded(described: dict[str, Any]) -> str | None:
    if "left_out" not in described:
        return None
    reasons: dict[str, int] = {}
    for item in described["left_out"] or []:
        reasons[item["reason"]] = reasons.get(item["reason"], 0) + 1
    if not reasons:
        return "No image was left out."
    return f"Left out were {_listed(f'{count} images ({reason})' for reason, count in reasons.items())}."


def _partition(run: Run, runs: Sequence[Run]) -> str:
    if run.own_split:
        return "Methods were trained, chosen and tested on the parts of the data's own split."
    parts, share = _values(runs, "protocol", "cross_fit"), _values(runs, "data", "validation_fraction")
    folds = next((one.metrics["folds"] for one in runs if one.fold is not None), None)
    others = "the data" if folds is None else "the others"
    inner = f"; of {others} a share of {share} chose, the rest trained" if share else ""
    if parts:
        inner = f"; {others} were cross-fitted in {parts} parts, so that all of them chose"
    if folds is None:
        return f"Models were trained on all of the data and tested on external images alone{inner}."
    return f"Performance was estimated by {folds} outer folds, each tested once{inner}."


def _networks(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that trained a network, perhaps among others; what is classical has no such setting."""
    return [run for run in runs if (run.record.get("settings") or {}).get("retrain")]


def _preprocessing(runs: Sequence[Run]) -> str | None:
    networks = _networks(runs)
    side, fit = _values(networks, "data", "image_size"), _values(networks, "data", "fit")
    if not side:
        return None
    whose = "Images were" if len(networks) == len(runs) else "For networks, images were"
    augmentation = _values(networks, "data", "augmentation")
    augmented = f"; training images were augmented ({augmentation})" if augmentation else ""
    return f"{whose} made {side} pixels a side ({fit}) and standardised by training images{augmented}."


def _training(runs: Sequence[Run]) -> str | None:
    names = ("optimizer", "epochs", "batch_size", "learning_rate", "weight_decay")
    found = {name: _values(runs, "retrain", name) for name in names}
    if not found["optimizer"]:
        return None
    said = "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.items() if value)
    refit = " Each learned once more from the validation images too." if runs[0].refit else ""
    return f"Networks were trained with {said}.{refit}"


def _balance(runs: Sequence[Run]) -> str | None:
    networks = _networks(runs)
    balance = _values(networks, "data", "class_balance")
    whose = "" if len(networks) == len(runs) else " in networks"
    return f"Class imbalance{whose}: {balance.replace('_', ' ')}." if balance else None


def _initial(comparison: Comparison, runs: Sequence[Run]) -> str:
    other = [one.label for one in comparison.methods if one.saw_other_data]
    seeds = sorted({seed for one in comparison.methods for seed in one.seeds})
    began = f"; {'; '.join(other)} began from weights trained on other images" if other else ""
    what = "Networks began at random," if _networks(runs) else "Random numbers began"
    return f"{what} from {'seeds' if len(seeds) > 1 else 'seed'} {_listed(map(str, seeds))}{began}."


def _measures(run: Run) -> str:
    if run.classes.are_two:
        return (
            "Measures are AUC, accuracy, sensitivity, specificity, precision, Brier score and calibration "
            "error."
        )
    ordered = ", quadratic weighted kappa" if run.metrics.get("ordered") else ""
    return (
        "Measures are the macro AUC of each class against the rest, accuracy, balanced accuracy, kappa, "
        f"macro F1{ordered}, Brier score and calibration error."
    )


def _external(comparison: Comparison) -> str | None:
    found = next((one.external for one in comparison.methods if one.external is not None), None)
    if found is None:
        return None
    return f"The frozen models were tested on {len(found.files):,} external images, {found.data}."


def _software(runs: Sequence[Run]) -> str:
    versions: dict[str, dict[str, None]] = {}
    for run in runs:
        for package, version in (run.metrics.get("versions") or {}).items():
            if version is not None:
                versions.setdefault(package, {})[str(version)] = None
    used = _listed(f"{package} {' or '.join(each)}" for package, each in versions.items())
    commits = _listed(dict.fromkeys(str(run.metrics.get("commit")) for run in runs))
    return f"Software: lesion-nas (commit {commits}){f' with {used}' if used else ''}."


def _values(runs: Iterable[Run], section: str, name: str) -> str:
    """Return the values of a setting over the runs, each once; empty where it has none."""
    found = [((run.record.get("settings") or {}).get(section) or {}).get(name) for run in runs]
    words = [
        ", ".join(map(str, one)) if isinstance(one, list) else str(one) for one in found if one is not None
    ]
    return " or ".join(dict.fromkeys(word for word in words if word))


def _listed(names: Iterable[str]) -> str:
    words = list(names)
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""
