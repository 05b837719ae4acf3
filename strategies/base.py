"""One-shot search with shared weights, on NNI's evaluators and today's Lightning.

A strategy is a supernet (:mod:`strategies.supernet`), a :class:`strategies.sampler.Sampler` that proposes
architectures, and :class:`strategies.module.WeightSharingModule`, which does the same for every sampler. To
add a strategy, subclass :class:`WeightSharingStrategy` and make its sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from nni.mutable import LabeledMutable
from nni.nas.evaluator.pytorch import Lightning, LightningModule
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.oneshot.pytorch.profiler import SampleProfilerPenalty
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy
from nni.nas.oneshot.pytorch.supermodule.sampling import MixedOpPathSamplingPolicy
from nni.nas.space import ExecutableModelSpace, RawFormatModelSpace
from torch import nn

from strategies.evaluators import give_back, refuse_used, silent
from strategies.limit import Limit
from strategies.loaders import SeededEpochs
from strategies.module import SearchOptions, WeightSharingModule
from strategies.ranking import Candidate
from strategies.sampler import Sampler
from strategies.supernet.hooks import MutationHook, sharing_hooks

PROBED = 200  # architectures drawn before a search to see whether its limit can be kept; ours

SpaceT = TypeVar("SpaceT", bound=ModelSpace)


class WeightSharingStrategy(OneShotStrategy):
    """Base of the strategies here: NNI's one-shot strategy over the shared weights of a supernet.

    Args:
        reward_metric_name: the metric that the evaluator's ``validation_step`` logs and that is to be
            maximized, or, with a minus before its name, minimized: ``-val_loss``; may be left out where only
            one is logged, or one is called ``default``. It is reward and score of the final ranking.
        mutation_hooks: NNI's hooks for modules of your own, asked before the built-in ones.
        penalty: a ``SampleProfilerPenalty`` of NNI's, or its arguments; applied to rewards and to the final
            ranking.
        limit: a :class:`strategies.limit.Limit`; steers rewards to it, and the final ranking exports nothing
            beyond it. Not together with a ``penalty``.
        seed: of architectures, shared weights made here, and every epoch's randomness; by default
            ``torch.initial_seed()``.
        final_samples: different architectures to score on the whole validation split at the end. ENAS's
            authors do the same and do not say with how many; 100 is our choice.
        reward_batches: validation batches per reward. ENAS: 1.
        same_batches: rewards in a row that are measured on the same batches. ENAS: 1.
        reward_dropout: keep dropout on while rewards are measured, as ENAS does. The final ranking never
            does.
        update_unsampled: let momentum and weight decay move operations that a step has not sampled, as ENAS
            does.
        start: called with the supernet before it is trained, such as to give it weights from elsewhere.
        on_epoch: called after every epoch with its number, from 0, and its metrics by name. By default NNI's
            trial, where there is one, is told of every epoch and of the final score; with ``on_epoch`` NNI
            hears nothing.

    Raises ValueError for options out of range, and TypeError for a penalty of another kind.
    """

    def __init__(
        self,
        *,
        reward_metric_name: str | None = None,
        mutation_hooks: list[MutationHook] | None = None,
        penalty: SampleProfilerPenalty | Mapping[str, Any] | None = None,
        limit: Limit | None = None,
        seed: int | None = None,
        final_samples: int = 100,
        reward_batches: int = 1,
        same_batches: int = 1,
        reward_dropout: bool = True,
        update_unsampled: bool = True,
        start: Callable[[nn.Module], None] | None = None,
        on_epoch: Callable[[int, Mapping[str, float]], None] | None = None,
    ) -> None:
        super().__init__(mutation_hooks=mutation_hooks)
        if min(final_samples, reward_batches, same_batches) < 1:
            raise ValueError(
                f"final_samples ({final_samples}), reward_batches ({reward_batches}) and same_batches "
                f"({same_batches}) must be at least 1"
            )
        if penalty is not None and limit is not None:
            raise ValueError("penalty and limit both change rewards by a cost: give one of them")
        self.seed = torch.initial_seed() % 2**32 if seed is None else seed
        self._start = start
        self._options = SearchOptions(
            reward_metric_name,
            _checked(penalty),
            limit,
            reward_batches,
            same_batches,
            reward_dropout,
            update_unsampled,
            final_samples,
            on_epoch,
        )

    def make_sampler(self, mutables: Mapping[str, LabeledMutable]) -> Sampler:
        """Make the sampler of a space with these choices, by label. Subclasses implement this."""
        raise NotImplementedError

    @property
    def candidates(self) -> list[Candidate]:
        """The scored architectures of a finished search, best first."""
        return self.oneshot_module.candidates

    def list_models(self, sort: bool = True, limit: int | None = 1) -> Iterator[ExecutableModelSpace]:
        """Yield the best models, best first; ``sort`` is accepted for NNI's sake and always true."""
        for candidate in self.candidates[:limit]:
            yield self.model_space.freeze(candidate.sample)

    # What NNI calls

    def _initialize(
        self, model_space: RawFormatModelSpace, engine: SequentialExecutionEngine
    ) -> RawFormatModelSpace:
        refuse_used(model_space)
        return super()._initialize(model_space, engine)

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            give_back(self._mutated_model_space.evaluator, self)

    def default_mutation_hooks(self) -> list[MutationHook]:
        """Return the hooks that build the supernet."""
        return sharing_hooks()

    def run_hook(self, hook: MutationHook, name: str, module: nn.Module, memo: dict[str, Any]) -> Any:
        """Run one hook; operations with choices among their arguments are sampled too."""
        return hook(module, name, memo, {"mixed_op_sampling": MixedOpPathSamplingPolicy})

    def mutate_model(self, model: SpaceT) -> SpaceT:
        """Turn the space into its supernet, in place, with weights that the seed determines.

        Raises `LimitError` for a limit that none of some two hundred architectures keeps.
        """
        self._sampler = self.make_sampler(model.simplify())
        if limit := self._options.limit:
            drawn = self._sampler.draw(PROBED, torch.Generator().manual_seed(self.seed))
            limit.require_one(map(limit.cost, drawn), f"{PROBED} architectures drawn before the search")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            supernet = super().mutate_model(model)
        if self._start:
            self._start(supernet)
        return supernet

    def mutate_evaluator(self, evaluator: Lightning) -> Lightning:
        """Wrap the evaluator's module; its validation data give rewards, not a validation loop."""
        if evaluator.datamodule is not None:
            self._validation = evaluator.datamodule.val_dataloader
        else:
            self._validation = lambda: evaluator.val_dataloaders
        return silent(super().mutate_evaluator(evaluator))

    def configure_oneshot_module(self, training_module: LightningModule) -> WeightSharingModule:
        """Make the Lightning module of the search."""
        self._module = WeightSharingModule(
            training_module, self._sampler, seed=self.seed, validation=self._validation, options=self._options
        )
        return self._module

    def train_dataloader(
        self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]
    ) -> Any:
        """Return the training data, seeded anew each epoch."""
        return SeededEpochs(train_dataloader_fn(), self.seed, lambda: self._module.current_epoch)

    def val_dataloader(
        self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]
    ) -> Any:
        """Return nothing: Lightning's validation loop would score whichever architecture came last."""
        return None


def _checked(penalty: SampleProfilerPenalty | Mapping[str, Any] | None) -> SampleProfilerPenalty | None:
    penalty = SampleProfilerPenalty(**penalty) if isinstance(penalty, Mapping) else penalty
    if not isinstance(penalty, (SampleProfilerPenalty, type(None))):
        raise TypeError(
            f"penalty is a {type(penalty).__name__}; only SampleProfilerPenalty is possible, because "
            "each choice here depends on those before it: it has no probability of its own to take an "
            "expectation over"
        )
    return penalty
