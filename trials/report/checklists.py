"""Checklists for an article, TRIPOD+AI and CLAIM, filled where the runs know.

Items by their numbers, abridged in our words, after Collins et al., BMJ 2024;385:e078378 (TRIPOD+AI), and
Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300 (CLAIM, 2024 update). What has no entry is
for the authors to write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trials.report.facts import Facts

TRIPOD_NAME, CLAIM_NAME = "TRIPOD+AI", "CLAIM 2024"
CHECKLIST = ("checklist", "item", "subject", "known")


@dataclass(frozen=True)
class Item:
    """An item of a checklist; `known` is None where the runs do not know."""

    checklist: str
    number: str
    subject: str
    known: str | None


def checklists(facts: Facts, *, tested: bool, smallest: str | None) -> list[Item]:
    """Return all items of both; `tested` is there a test, `smallest` the smallest difference it can show."""
    pages = _pages(facts, tested=tested)
    planned = f"no size was planned; {smallest}" if smallest else "no size was planned"
    tripod, claim = _tripod(facts, pages) | {"10": planned}, _claim(facts, pages) | {"21": planned}
    return [*_items(TRIPOD_NAME, TRIPOD, tripod), *_items(CLAIM_NAME, CLAIM, claim)]


def _items(name: str, subjects: Mapping[str, str], known: Mapping[str, str | None]) -> Iterator[Item]:
    for number, subject in subjects.items():
        yield Item(name, number, subject, known.get(number))


def _pages(facts: Facts, *, tested: bool) -> dict[str, str | None]:
    """Return which table of the report holds a result."""
    return {
        "inside": "results.csv, measures.csv and the figures" if tested else None,
        "outside": "results.csv, rows of the external data" if facts.external else None,
        "mistakes": "the page's worst mistakes" if tested else None,
    }


def _tripod(facts: Facts, pages: Mapping[str, str | None]) -> dict[str, str | None]:
    return {
        "5a": _joined(facts.data, facts.external),
        "6b": facts.excluded,
        "7": facts.preprocessing,
        "9b": _joined(facts.predictors, facts.covariates),
        "11": facts.excluded,
        "12a": _joined(facts.partition, facts.level),
        "12b": facts.preprocessing,
        "12c": _joined(facts.models, facts.search, facts.training, facts.ensembling),
        "12d": facts.external,
        "12e": _joined(facts.measures, facts.uncertainty, facts.tests),
        "13": facts.balance,
        "15": facts.rule,
        "18f": facts.software,
        "20a": _joined(facts.data, facts.excluded),
        "21": facts.partition,
        "23a": pages["inside"],
        "23b": pages["outside"],
    }


def _claim(facts: Facts, pages: Mapping[str, str | None]) -> dict[str, str | None]:
    return {
        "5": "retrospective: images that were there already",
        "6": "model creation and comparison, for research",
        "7": _joined(facts.data, facts.external),
        "8": facts.excluded,
        "9": facts.preprocessing,
        "12": facts.covariates,
        "14": "labels as the data name them",
        "19": facts.partition,
        "20": facts.level,
        "22": _joined(facts.models, facts.predictors, facts.search),
        "23": facts.software,
        "24": facts.initial,
        "25": _joined(facts.training, facts.balance),
        "26": facts.rule,
        "27": facts.ensembling,
        "28": facts.measures,
        "29": _joined(facts.uncertainty, facts.tests),
        "32": pages["inside"],
        "33": pages["outside"],
        "35": _joined(facts.data, facts.excluded),
        "37": pages["inside"],
        "38": pages["inside"],
        "39": pages["mistakes"],
        "41": facts.limits,
    }


def _joined(*sentences: str | None) -> str | None:
    return " ".join(sentence for sentence in sentences if sentence) or None


TRIPOD = {
    "1": "title: development or evaluation, population, outcome",
    "2": "abstract, by its own checklist",
    "3a": "context, rationale, existing models",
    "3b": "target population, purpose, users",
    "3c": "known inequalities between groups of people",
    "4": "objectives",
    "5a": "sources of data, rationale, representativeness",
    "5b": "dates of the data",
    "6a": "setting and centres",
    "6b": "eligibility",
    "6c": "treatments",
    "7": "preprocessing and checks of quality",
    "8a": "outcome and how it was assessed",
    "8b": "who assessed the outcome",
    "8c": "blinding of the outcome's assessment",
    "9a": "choice of predictors",
    "9b": "definition of predictors",
    "9c": "who assessed predictors",
    "10": "sample size",
    "11": "missing data and omissions",
    "12a": "use of the data for development and evaluation",
    "12b": "handling of predictors",
    "12c": "type of model, building, tuning, internal validation",
    "12d": "differences between clusters, such as hospitals",
    "12e": "measures and comparisons of performance",
    "12f": "updating of the model",
    "12g": "how predictions were worked out",
    "13": "class imbalance",
    "14": "fairness",
    "15": "output, classification, thresholds",
    "16": "differences of development and evaluation data",
    "17": "ethical approval and consent",
    "18a": "funding",
    "18b": "conflicts of interest",
    "18c": "protocol",
    "18d": "registration",
    "18e": "availability of the data",
    "18f": "availability of the code",
    "19": "involvement of patients and the public",
    "20a": "flow of participants, with and without the outcome",
    "20b": "characteristics of participants",
    "20c": "development and evaluation data compared",
    "21": "participants and events in each analysis",
    "22": "the full model",
    "23a": "performance with intervals, of subgroups too",
    "23b": "performance across clusters",
    "24": "results of updating",
    "25": "interpretation",
    "26": "limitations",
    "27a": "poor or missing input in use",
    "27b": "what users must do and know",
    "27c": "next steps",
}
CLAIM = {
    "1": "title or abstract: AI, and its technology",
    "2": "summary of design, methods, results, conclusions",
    "3": "background, intended use",
    "4": "aims and hypotheses",
    "5": "prospective or retrospective",
    "6": "goal of the study",
    "7": "data sources",
    "8": "inclusion and exclusion",
    "9": "preprocessing",
    "10": "selection of subsets",
    "11": "de-identification",
    "12": "missing data",
    "13": "image acquisition",
    "14": "reference standard: how it was obtained",
    "15": "reference standard: why this one",
    "16": "reference standard: who annotated",
    "17": "annotation of the test set",
    "18": "variability between and within annotators",
    "19": "assignment to partitions",
    "20": "level at which partitions are disjoint",
    "21": "intended sample size",
    "22": "model: inputs, outputs, layers",
    "23": "software",
    "24": "initialisation of parameters",
    "25": "training",
    "26": "selection of the final model",
    "27": "ensembling",
    "28": "metrics",
    "29": "significance and uncertainty",
    "30": "robustness or sensitivity analysis",
    "31": "explainability",
    "32": "internal testing",
    "33": "external testing",
    "34": "registration of a trial",
    "35": "cases included and excluded",
    "36": "demographic and clinical characteristics",
    "37": "performance and its uncertainty",
    "38": "diagnostic performance and its precision",
    "39": "analysis of failures",
    "40": "limitations",
    "41": "implications for practice, intended use",
    "42": "full protocol or further technical details",
    "43": "availability of software, model and data",
    "44": "funding and the funders' role",
}
