"""How architectures were found and models joined, in sentences of a methods section.

A search's facts are those of its `search.json`: its settings, what it has scored, and what chose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from trials.methods.registry import Entry, methods
from trials.report.methods import MethodRuns
from trials.report.wording import alternatives, values
from trials.runs.collection import Search

_BY = {
    "enas": "ENAS (Pham et al., ICML 2018, arXiv 1802.03268)",
    "random": "random search through shared weights (Li and Talwalkar, UAI 2019, arXiv 1902.07638)",
    "evolution": "regularized evolution (Real et al., AAAI 2019, arXiv 1802.01548) through shared weights",
    "local": "local search (den Ottelander et al., EMO 2021, arXiv 2004.08996) through shared weights",
}
_MEASURES = {"accuracy": "accuracy", "log_loss": "log loss", "auc": "AUC"}  # by search.reward

Records = Sequence[Mapping[str, Any]]


def searched(searches: Iterable[Search]) -> str | None:
    """Return how architectures were searched, one account for each space and strategy; None: not at all."""
    records = sorted((search.record for search in searches), key=_kind)
    return " ".join(_account(*kind, list(some)) for kind, some in groupby(records, _kind)) or None


def _kind(record: Mapping[str, Any]) -> tuple[str, str]:
    return values([record], "search", "space") or "cells", values([record], "search", "strategy") or "enas"


def _account(space: str, strategy: str, records: Records) -> str:
    what = "Cells" if space == "cells" else "Changes of EfficientNet"
    times = f"{len(records)} searches" if len(records) > 1 else "one search"
    sentences = [
        f"{what} were searched by {_BY.get(strategy, strategy)} in {times}, on training and validation "
        "images alone",
        _shared_weights(space, strategy, records),
        _rewards(strategy, records),
        _choice(records),
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _shared_weights(space: str, strategy: str, records: Records) -> str:
    """Say of what network the shared weights were, and how they were trained."""
    epochs = values(records, "search", "epochs")
    if not epochs:
        return ""
    of = (
        f"of {values(records, 'search', 'normal_cells')} normal and 2 reduction cells with "
        f"{values(records, 'search', 'nodes')} nodes each and {values(records, 'search', 'filters')} filters "
        "in the first"
        if space == "cells"
        else "from ImageNet's"
    )
    steps = values(records, "search", "max_steps")
    warm_up = _warm_up(records) if strategy != "random" else ""
    recipe = (
        f"{values(records, 'search', 'optimizer')}, batch size {values(records, 'search', 'batch_size')} and "
        f"learning rate {values(records, 'search', 'learning_rate')}"
    )
    began = alternatives(
        str(one["data"]) for record in records if (one := record.get("starts_from")) and one.get("data")
    )
    return (
        f"Shared weights {of}{f', begun from those of a search on {began},' if began else ''} were trained "
        f"for {epochs} epochs{f', at most {steps} steps,' if steps else ''} with {recipe}"
        f"{f'; in the first {warm_up} epochs architectures were drawn uniformly' if warm_up else ''}"
    )


def _warm_up(records: Records) -> str:
    """Return for how many epochs the strategy had no say; empty where it had from the first on."""
    return values(records, "search", "warmup_epochs").removeprefix("0")


def _rewards(strategy: str, records: Records) -> str:
    """Say what a strategy learned from; random search learns from nothing."""
    updates, samples = (values(records, "search", f"controller_{name}") for name in ("updates", "samples"))
    if strategy == "random":
        return "Architectures were drawn uniformly throughout"
    if not updates:
        return ""
    images = _of_ranking(records, "reward_images") or values(records, "search", "reward_batch_size")
    measure = _measure(records)
    later = "later " if _warm_up(records) else ""
    if strategy == "enas":
        return (
            f"After every {later}epoch a controller was updated {updates} times, each time by the {measure} "
            f"of {samples} architectures on {images} validation images"
        )
    sizes = (
        f", in a population of {values(records, 'search', 'population')}, with tournaments of "
        f"{values(records, 'search', 'tournament')}"
        if strategy == "evolution"
        else ""
    )
    return (
        f"After every {later}epoch {updates} times {samples} architectures were scored by their {measure} on "
        f"{images} validation images{sizes}"
    )


def _choice(records: Records) -> str:
    """Say how many candidates there were at the end, what ranked them, and what was taken."""
    scored = alternatives(str(record["scored"]) for record in records if "scored" in record)
    if not scored:
        return ""
    images = _of_ranking(records, "images") or alternatives(
        str(data["validation"]) for record in records if "validation" in (data := record.get("data") or {})
    )
    ranked = (
        f"At the end {scored} architectures were ranked by their {_measure(records)} on "
        f"{f'all {images}' if images else 'all'} validation images, with the shared weights"
    )
    limits = alternatives(map(_limit, records))
    within = f" within {limits}" if limits else ""
    if not (finalists := values(records, "search", "finalists")):
        return f"{ranked}, and the best of them{within} was taken"
    epochs, by = values(records, "search", "finalist_epochs"), values(records, "search", "finalist_criterion")
    return (
        f"{ranked}; the {finalists} best{within} were trained alone for {epochs} epochs, the better half by "
        f"{by.replace('_', ' ')} for twice as many, and so on, and the last one left was taken (successive "
        "halving: Jamieson and Talwalkar, AISTATS 2016, arXiv 1502.07943)"
    )


def _limit(record: Mapping[str, Any]) -> str:
    settings = (record.get("settings") or {}).get("search") or {}
    known = {name: settings.get(f"most_{name}") for name in ("parameters", "macs", "milliseconds")}
    told = [f"{value:,} {name}" for name, value in known.items() if value is not None]
    return f"{told[0]} as {settings.get('limit_layout')}" if told else ""


def _measure(records: Records) -> str:
    """Return what rewards and ranking measure; searches of before there was a choice: the accuracy."""
    chosen = {values([record], "search", "reward") or "accuracy" for record in records}
    return alternatives(_MEASURES.get(one, one) for one in sorted(chosen))


def _of_ranking(records: Records, name: str) -> str:
    found = [(record.get("reliability") or {}).get(name) for record in records]
    return alternatives(str(one) for one in found if one is not None)


def drawn(compared: Sequence[MethodRuns]) -> str | None:
    """Return which methods' cells were drawn without a search; None: no method's."""
    known = methods()
    labels = [one.label for one in compared if one.name in known and known[one.name].cells == "random"]
    if not labels:
        return None
    return (
        f"Drawn at random, others in every fold and from every seed, were the cells of {'; '.join(labels)}."
    )


def joined(compared: Sequence[MethodRuns]) -> str | None:
    """Return how several models decide together; None: none do."""
    return " ".join(_joined(compared)) or None


def _joined(compared: Sequence[MethodRuns]) -> Iterator[str]:
    known, labels = methods(), {one.name: one.label for one in compared}
    for one in compared:
        entry = known.get(one.name)
        if entry and entry.networks > 1:
            yield _set(entry, one)
        if entry and entry.members:
            names = (labels.get(name) or known[name].title.label for name in entry.members)
            yield f"{one.label}: the mean of the probabilities of {'; '.join(names)}."
        if weighted := [run.metrics["weights"] for run in one.runs if run.metrics.get("selection")]:
            yield _weighted(one, [labels.get(name, name) for name in weighted[0]])
    parts = values((run.record for one in compared for run in one.runs), "protocol", "cross_fit")
    if parts:
        yield f"The {parts} trainings of a method decide together, by the mean of their probabilities."


def _set(entry: Entry, method: MethodRuns) -> str:
    together = "They decide by the mean of their probabilities"
    each = f"{entry.networks} networks, each trained from a seed of its own"
    if entry.chooses:
        of = alternatives(str(known["of"]) for run in method.runs if (known := run.metrics.get("set")))
        return (
            f"{method.label}: {each}. Their cells are the {entry.networks}{f' of {of}' if of else ''} "
            "candidates of a search's final ranking that forward selection without replacement chose for the "
            "lowest log loss of their mean probability on the validation images, as the shared weights "
            f"predict these (after Zaidi et al., NeurIPS 2021, arXiv 2006.08573). {together}."
        )
    cells = "each of other cells" if not entry.repeated else "all of the same cells"
    return f"{method.label}: {each}, {cells}. {together}."


def _weighted(method: MethodRuns, members: Sequence[str]) -> str:
    counts = [str(run.metrics["selection"]["counts"]) for run in method.runs if run.metrics.get("selection")]
    return (
        f"{method.label}: the weighted mean of the probabilities of {'; '.join(members)}. Weights were "
        "chosen by forward selection with replacement (Caruana et al., ICML 2004) for the lowest log loss on "
        "images outside the test, and count where they do better than equal ones on images that they were "
        f"not chosen on: in {counts.count('greedy')} of {len(counts)} runs."
    )
