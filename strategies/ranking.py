"""The end of a search: many proposals, scored on the whole validation split, best first.

ENAS's authors do the same (Pham et al., ICML 2018, arXiv 1802.03268) and do not say with how many.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

import torch
from nni.mutable import Sample

from strategies.divergence import DivergedError
from strategies.limit import Limit
from strategies.sampler import Sampler
from strategies.scoring import Score

ROUNDS = 10  # of proposals: a controller that has settled repeats itself


@dataclass(frozen=True)
class Candidate:
    """A scored architecture: NNI's sample and what it reached on the whole validation split.

    `cost` is what the search's limit bounds, None without a limit; `feasible` is whether it keeps the limit.
    `outputs` [n, ...] are what the evaluator's ``validation_step`` returned of all images of the split, in
    the order of its loader's epoch 0, on the processor; None where that returns no tensor.
    """

    sample: Sample
    score: float
    metric: str
    cost: float | None = None
    feasible: bool = True
    outputs: torch.Tensor | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Proposal:
    """An architecture to score, and its cost where the search has a limit."""

    sample: Sample
    cost: float | None = None


def propose(sampler: Sampler, count: int, generator: torch.Generator, limit: Limit | None) -> list[Proposal]:
    """Draw at most `count` different architectures; those that keep the limit come first.

    Raises `LimitError` where none keeps it.
    """
    drawn = (sample for _ in range(ROUNDS) for sample in sampler.draw(count, generator))
    distinct = list({json.dumps(sample, sort_keys=True): sample for sample in drawn}.values())
    if limit is None:
        return [Proposal(sample) for sample in islice(distinct, count)]
    priced = [Proposal(sample, limit.cost(sample)) for sample in distinct]
    costs = [proposal.cost for proposal in priced if proposal.cost is not None]
    limit.require_one(costs, f"{len(costs)} that the search proposes at its end")
    return sorted(priced, key=lambda proposal: not _feasible(proposal, limit))[:count]


def rank(
    proposals: Iterable[Proposal], score: Callable[[Sample], Score], limit: Limit | None
) -> list[Candidate]:
    """Score proposals; return them best first, without those that have no finite score.

    Raises `DivergedError` where none has. Few validation images mean many equal accuracies: of equal scores
    the smaller loss comes first.
    """
    scored: list[tuple[float, Candidate]] = []
    for proposal in proposals:
        try:
            one = score(proposal.sample)
        except DivergedError as error:  # of this architecture alone, or all of them end here
            failure = error
            continue
        outputs = None if one.outputs is None else one.outputs.cpu()
        known = proposal.cost, _feasible(proposal, limit), outputs
        scored.append((one.loss, Candidate(proposal.sample, one.value, one.metric, *known)))
    if not scored:
        raise failure
    scored.sort(key=lambda entry: (not entry[1].feasible, -entry[1].score, entry[0]))
    return [candidate for _, candidate in scored]


def _feasible(proposal: Proposal, limit: Limit | None) -> bool:
    return limit is None or proposal.cost is None or limit.keeps(proposal.cost)
