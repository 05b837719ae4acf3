"""What the runs' records know of how a comparison was made: the methods section of an article, in sentences.

The page, `methods.txt` and the checklists tell these facts; only `search_facts` words some of them too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from trials.evaluation.bootstrap import DRAWS
from trials.methods.registry import methods
from trials.models.specs import NOT_FOR
from trials.report.comparison import Comparison
from trials.report.methods import MethodRuns
from trials.report.search_facts import drawn, joined, searched
from trials.report.wording import by_method, listed, values
from trials.runs.finished import Run


@dataclass(frozen=True)
class Facts:
    """Sentences in the order of a methods section; None where the runs do not know."""

    data: str
    level: str | None
    excluded: str | None
    partition: str
    models: str
    predictors: str | None
    covariates: str | None
    preprocessing: str | None
    search: str | None
    training: str | None
    balance: str | None
    initial: str
    ensembling: str | None
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
    covariates = values((run.record for run in runs), "data", "covariates")
    return Facts(
        data=_data(first, described),
        level=f"Images of one group ({source}) were never on both sides of a split." if source else None,
        excluded=_excluded(described),
        partition=_partition(first, runs),
        preprocessing=_preprocessing(comparison.methods),
        covariates=f"Beside the images, methods that take them were given {covariates}; blank cells count as "
        "missing."
        if covariates
        else None,
        models=f"{_compared(comparison)} {'; '.join(one.label for one in comparison.methods)}.",
        predictors=_predictors(comparison.methods),
        search=_sentences(searched(comparison.searches), drawn(comparison.methods)),
        training=_training(comparison.methods),
        balance=_balance(runs),
        initial=_initial(comparison, runs),
        ensembling=joined(comparison.methods),
        rule=f"An image was called {rule}; temperature scaling and thresholds were fitted to images outside "
        "the test, and frozen before it.",
        measures=_measures(first),
        uncertainty=f"Intervals are 95 % percentile intervals by bootstrap over groups ({DRAWS:,} draws, "
        f"stratified by class), for the models as they are{_shared(first)}.",
        tests="AUCs were compared by DeLong's test with components summed within groups (Obuchowski 1997), "
        "decisions by McNemar's exact test; Holm's correction covers all p values of a table."
        if len(comparison.methods) > 1
        else None,
        external=_external(comparison),
        software=_software(runs),
        limits=f"The models are not for {NOT_FOR}.",
    )


def _shared(run: Run) -> str:
    """Say what no interval covers (`benchmarks/coverage.py`)."""
    return "" if run.own_split else ", of which those of different folds share training images"


def _compared(comparison: Comparison) -> str:
    return "Compared were" if len(comparison.methods) > 1 else "The method was"


def _data(run: Run, described: dict[str, Any]) -> str:
    counts = described.get("images") or {}
    images = f": {sum(counts.values()):,} images ({listed(f'{n:,} {name}' for name, n in counts.items())})"
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
    return f"Left out were {listed(f'{count} images ({reason})' for reason, count in reasons.items())}."


def _partition(run: Run, runs: Sequence[Run]) -> str:
    if run.own_split:
        return "Methods were trained, chosen and tested on the parts of the data's own split."
    records = [run.record for run in runs]
    parts, share = values(records, "protocol", "cross_fit"), values(records, "data", "validation_fraction")
    folds = next((one.metrics["folds"] for one in runs if one.fold is not None), None)
    others = "the data" if folds is None else "the others"
    inner = f"; of {others} a share of {share} chose, the rest trained" if share else ""
    if parts:
        inner = f"; {others} were cross-fitted in {parts} parts, so that all of them chose"
    if folds is None:
        return f"Models were trained on all of the data and tested on external images alone{inner}."
    return f"Performance was estimated by {folds} outer folds, each tested once{inner}."


def _predictors(compared: Sequence[MethodRuns]) -> str | None:
    """Say what each method sees; runs of older versions do not know."""
    seen = by_method(
        compared, lambda run: listed(_PREDICTORS[name] for name in run.record.get("predictors", ()))
    )
    return f"Predictors were {seen}." if seen else None


_PREDICTORS = {
    "images": "the pixels of the images",
    "box": "width, height and ratio of the lesion's box",
    "covariates": "the covariates",
}


def _is_network(run: Run) -> bool:
    """Return whether it trained a network, perhaps among others; what is classical has no such setting."""
    return bool((run.record.get("settings") or {}).get("retrain"))


def _networks(compared: Sequence[MethodRuns]) -> list[MethodRuns]:
    """Return the methods that train networks by their own settings; what joins methods leaves them theirs."""
    joining = {name for name, entry in methods().items() if entry.joins}
    return [one for one in compared if _is_network(one.runs[0]) and one.name not in joining]


def _preprocessing(compared: Sequence[MethodRuns]) -> str | None:
    networks = _networks(compared)
    if not (made := by_method(networks, _square)):
        return None
    whose = (
        "Images were" if all(_is_network(one.runs[0]) for one in compared) else "For networks, images were"
    )
    augmentation = values((run.record for one in networks for run in one.runs), "data", "augmentation")
    augmented = f" Training images were augmented ({augmentation})." if augmentation else ""
    return f"{whose} standardised by training images and made {made}.{augmented}"


def _square(run: Run) -> str:
    side, fit = (values([run.record], "data", name) for name in ("image_size", "fit"))
    return f"{side} pixels a side ({fit.replace('_', ' ')})" if side else ""


def _training(compared: Sequence[MethodRuns]) -> str | None:
    if not (recipes := by_method(_networks(compared), _recipe)):
        return None
    refit = " Each learned once more from the validation images too." if compared[0].runs[0].refit else ""
    return f"Networks were trained with {recipes}.{refit}"


def _recipe(run: Run) -> str:
    found = {name: values([run.record], "retrain", name) for name in _RECIPE}
    return ", ".join(_RECIPE[name].format(value) for name, value in found.items() if value)


_RECIPE = {  # by setting
    "optimizer": "{}",
    "epochs": "{} epochs",
    "max_steps": "at most {} steps",
    "batch_size": "batch size {}",
    "learning_rate": "learning rate {}",
    "weight_decay": "weight decay {}",
}


def _balance(runs: Sequence[Run]) -> str | None:
    networks = [run for run in runs if _is_network(run)]
    balance = values((run.record for run in networks), "data", "class_balance")
    whose = "" if len(networks) == len(runs) else " in networks"
    return f"Class imbalance{whose}: {balance.replace('_', ' ')}." if balance else None


def _initial(comparison: Comparison, runs: Sequence[Run]) -> str:
    other = [one.label for one in comparison.methods if one.saw_other_data]
    seeds = sorted({seed for one in comparison.methods for seed in one.seeds})
    began = f"; {'; '.join(other)} began from weights trained on other images" if other else ""
    shared = [one.label for one in comparison.methods if any(_starts(run.record) for run in one.runs)]
    began += f"; {'; '.join(shared)} began from the shared weights of a search" if shared else ""
    what = "Networks began at random," if any(map(_is_network, runs)) else "Random numbers began"
    return f"{what} from {'seeds' if len(seeds) > 1 else 'seed'} {listed(map(str, seeds))}{began}."


def _starts(record: Mapping[str, Any]) -> bool:
    """Return whether a network, or one of several, started from a search's shared weights."""
    return "starts_from" in record or any(map(_starts, (record.get("members") or {}).values()))


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
    used = listed(f"{package} {' or '.join(each)}" for package, each in versions.items())
    commits = listed(dict.fromkeys(str(run.metrics.get("commit")) for run in runs))
    return f"Software: lesion-nas (commit {commits}){f' with {used}' if used else ''}."


def _sentences(*known: str | None) -> str | None:
    return " ".join(filter(None, known)) or None
