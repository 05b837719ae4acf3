"""One-shot search with shared weights, on NNI's evaluators and today's Lightning.

A strategy here is a supernet (:mod:`strategies.supernet.enas_cells`), a :class:`Sampler` that proposes
architectures, and this module, which does the same for every sampler: each training step trains the shared
weights through one proposed architecture; after each epoch the sampler may learn from rewards; at the end
many proposals are scored on the whole validation split and the best are kept.

All randomness of an epoch follows from (seed, epoch), so that a search resumed from a checkpoint draws what
an uninterrupted one would have drawn.
"""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

import nni
import numpy as np
import torch
from nni.mutable import LabeledMutable, Sample
from nni.nas.evaluator.pytorch import Lightning, LightningModule
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from nni.nas.oneshot.pytorch.profiler import SampleProfilerPenalty
from nni.nas.oneshot.pytorch.strategy import OneShotStrategy
from nni.nas.oneshot.pytorch.supermodule.sampling import MixedOpPathSamplingPolicy
from nni.nas.space import ExecutableModelSpace, RawFormatModelSpace
from pytorch_lightning.utilities.data import extract_batch_size
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchmetrics import Metric

from strategies.distributed import agreed, normalise_together, share, weighted
from strategies.divergence import DivergedError
from strategies.evaluators import give_back, heard, refuse_used, silent
from strategies.limit import Limit
from strategies.supernet.enas_cells import MutationHook, sharing_hooks
from strategies.supernet.flat_parameters import (
    channels_last,
    gather,
    keep_freed_memory,
    step_without_all_gradients,
)

_log = logging.getLogger(__name__)
_TRAINING, _LEARNING, _RANKING = range(3)  # streams of random numbers of one epoch
_AHEAD = 64  # architectures drawn together for training: one LSTM pass serves them all
_ROUNDS = 10  # of proposals for the final ranking: a controller that has settled repeats itself
_PROBED = 200  # architectures drawn to see whether a limit can be kept; ours

SpaceT = TypeVar("SpaceT", bound=ModelSpace)


@dataclass(frozen=True)
class Candidate:
    """A scored architecture: NNI's sample and what it reached on the whole validation split.

    `cost` is what the search's limit is of, None without a limit; `feasible` tells whether it is kept.
    """

    sample: Sample
    score: float
    metric: str
    cost: float | None = None
    feasible: bool = True


class Sampler(Protocol):
    """What proposes architectures."""

    def draw(self, count: int, generator: torch.Generator) -> list[Sample]:
        """Propose ``count`` architectures."""
        ...

    def learn(self, reward: Callable[[Sample], float], generator: torch.Generator) -> dict[str, float]:
        """Learn from rewards after an epoch; return what to log, the mean ``reward`` at least."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that has changed since the sampler was made, as plain values and tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        ...


class Reporter(Protocol):
    """Where a search tells how it goes."""

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Report an epoch, counted from 0."""
        ...

    def final(self, metrics: Mapping[str, float]) -> None:
        """Report the result, once."""
        ...


class NniReporter:
    """Reports to NNI, where there is an NNI experiment to report to."""

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Report an intermediate result, whose default is the mean reward."""
        if nni.get_current_parameter() is not None:
            nni.report_intermediate_result({"default": metrics["reward"], **metrics})

    def final(self, metrics: Mapping[str, float]) -> None:
        """Report the final result: the score of the best architecture."""
        if nni.get_current_parameter() is not None:
            nni.report_final_result({"default": metrics["score"], **metrics})


@dataclass(frozen=True)
class SearchOptions:
    """What :class:`WeightSharingStrategy` is told, described there."""

    reward_metric_name: str | None
    penalty: SampleProfilerPenalty | None
    limit: Limit | None
    reward_batches: int
    reward_dropout: bool
    update_unsampled: bool
    final_samples: int
    reporter: Reporter


def derived_seed(seed: int, epoch: int, stream: int) -> int:
    """Return the seed of one stream of one epoch."""
    return int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1)[0])


class _SeededEpochs:
    """A loader whose epoch starts with every global generator seeded by (seed, epoch).

    The seeding happens when the first batch is asked for: Lightning creates iterators at other moments when
    it resumes than when it starts.
    """

    def __init__(self, loader: Any, seed: int, epoch: Callable[[], int]) -> None:
        self.loader, self.seed, self.epoch = loader, seed, epoch

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        _seed_globally(derived_seed(self.seed, self.epoch(), _TRAINING))
        _set_epoch(self.loader, self.epoch())
        yield from self.loader


def _seed_globally(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _set_epoch(loader: Any, epoch: int) -> None:
    if hasattr(loader, "set_epoch"):
        loader.set_epoch(epoch)


class _LoggedMetrics:
    """Stands in for ``LightningModule.log`` and averages over batches what validation steps log."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.weights: dict[str, float] = {}
        self.metrics: dict[str, Metric] = {}
        self.batch_size = 1

    def __call__(
        self, name: str, value: Any, *args: Any, batch_size: int | None = None, **kwargs: Any
    ) -> None:
        if isinstance(value, Metric):
            self.metrics[name] = value
            return
        weight = self.batch_size if batch_size is None else batch_size
        self.sums[name] = self.sums.get(name, 0.0) + weight * float(value)
        self.weights[name] = self.weights.get(name, 0.0) + weight

    def names(self) -> list[str]:
        return [*self.sums, *self.metrics]

    def value(self, name: str) -> float:
        if name in self.metrics:
            return float(self.metrics[name].compute())
        return self.sums[name] / self.weights[name]


class WeightSharingModule(BaseOneShotLightningModule):
    """The Lightning module of a search: it wraps the evaluator's module, whose training recipe it follows.

    Batch normalisation uses each batch's own statistics throughout, as in ENAS, and keeps none: running
    averages over many architectures describe no architecture, and validation images must not enter them.
    """

    def __init__(
        self,
        training_module: LightningModule,
        sampler: Sampler,
        *,
        seed: int,
        validation: Callable[[], Any],
        options: SearchOptions,
    ) -> None:
        super().__init__(training_module)
        self.sampler = sampler
        self.seed = seed
        self.validation = validation
        self.options = options
        self.history: list[dict[str, float]] = []
        self.candidates: list[Candidate] = []
        self.unscored = 0  # architectures that the final ranking left out, without a finite score
        self._ahead: list[Sample] = []
        self._gradients: list[torch.Tensor] = []  # of all weights, where they are gathered

    @property
    def automatic_optimization(self) -> bool:
        """Lightning steps the evaluator's optimiser and schedulers; the sampler's are stepped elsewhere."""
        return True

    # Training of the shared weights

    def set_model(self, model: nn.Module) -> None:
        """Take the supernet."""
        channels_last(model)
        super().set_model(model)

    def on_fit_start(self) -> None:
        """Prepare the supernet; gather weights and gradients, before Lightning restores optimisers' state."""
        super().on_fit_start()
        keep_freed_memory()
        self._supernet = list(self.supernet_modules())
        self._norms = [module for module in self.model.modules() if isinstance(module, _BatchNorm)]
        for norm in self._norms:
            norm.track_running_stats = False
        if self.options.update_unsampled:
            self._gradients = [piece for one in self.trainer.optimizers for piece in gather(one)]
        else:
            for optimizer in self.trainer.optimizers:
                step_without_all_gradients(optimizer)

    def on_train_start(self) -> None:
        """Fail now, not after an epoch, if the evaluator gives no reward."""
        self.score(self.sampler.draw(1, self._generator(_LEARNING))[0], self._validation_batches(1))
        normalise_together(self._norms)
        super().on_train_start()

    def on_train_epoch_start(self) -> None:
        """Forget architectures drawn ahead by the sampler as it was."""
        self._ahead = []
        self._training_draws = self._generator(_TRAINING)
        super().on_train_epoch_start()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Train the shared weights through one architecture."""
        if not self._ahead:
            self._ahead = self.sampler.draw(_AHEAD, self._training_draws)[::-1]
        self.set_architecture(self._ahead.pop())
        mine, weight = share(batch)
        return weighted(self.training_module.training_step(mine, batch_idx), weight)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Zero all gradients, in place where weights that were not sampled are to move too."""
        if self.options.update_unsampled:
            self.zero_grad()
        else:
            optimizer.zero_grad()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Zero gathered gradients in place; Lightning asks for it before the first step as well."""
        if not self._gradients:
            super().zero_grad(set_to_none)
        for piece in self._gradients:
            piece.zero_()

    def set_architecture(self, sample: Sample) -> None:
        """Let the supernet run this architecture from now on."""
        for module in self._supernet:
            module.resample(memo=dict(sample))

    # Rewards

    def on_train_epoch_end(self) -> None:
        """Let the sampler learn, then log and report the epoch."""
        super().on_train_epoch_end()
        batches, limit = self._endless_validation(), self.options.limit
        costs: list[float] = []

        def reward(sample: Sample) -> float:
            score = self.score(sample, (next(batches) for _ in range(self.options.reward_batches)))
            if limit is None:
                return score
            costs.append(limit.cost(sample))
            return limit.reward(score, costs[-1])

        with self._scoring(dropout=self.options.reward_dropout):
            logged = self.sampler.learn(reward, self._generator(_LEARNING))
        if costs:
            logged["cost"] = sum(costs) / len(costs)
        self.log_dict(logged)
        trained = {
            name: agreed(float(value), self.device)
            for name, value in self.trainer.callback_metrics.items()
            if name not in logged
        }
        self.history.append({"epoch": self.current_epoch, **trained, **logged})
        if self.trainer.is_global_zero:
            with heard():
                self.options.reporter.epoch(self.current_epoch, {**trained, **logged})

    def score(self, sample: Sample, batches: Iterable[Any]) -> float:
        """Return the score of an architecture: the evaluator's metric, less any penalty.

        Raises `DivergedError` where what the evaluator logs is not finite.
        """
        return self._score_and_loss(sample, batches)[0]

    @torch.no_grad()
    def _score_and_loss(self, sample: Sample, batches: Iterable[Any]) -> tuple[float, float]:
        """Return the score, and ``val_loss`` where the evaluator logs one."""
        self.set_architecture(sample)
        logged = _LoggedMetrics()
        inner_log, self.training_module.log = self.training_module.log, logged
        try:
            for index, batch in enumerate(batches):
                logged.batch_size = extract_batch_size(batch)
                batch = self.trainer.strategy.batch_to_device(batch)
                with self.trainer.precision_plugin.val_step_context():
                    self.training_module.validation_step(batch, index)
        finally:
            self.training_module.log = inner_log
        self.metric = self._metric_name(logged.names())
        values = {name: agreed(logged.value(name), self.device) for name in logged.names()}
        for metric in logged.metrics.values():
            metric.reset()
        for name, value in values.items():
            if not math.isfinite(value):
                raise DivergedError(self.current_epoch + 1, f"{name} of an architecture is {value}")
        reward, loss, penalty = values[self.metric], values.get("val_loss", 0.0), self.options.penalty
        return reward if penalty is None else float(penalty(reward, sample)[0]), loss

    def _metric_name(self, names: list[str]) -> str:
        name = self.options.reward_metric_name or (names[0] if len(names) == 1 else "default")
        if name not in names:
            raise ValueError(
                f"the evaluator's validation_step logs {sorted(names) or 'nothing'}, not {name!r}: "
                "set reward_metric_name to one of the logged names (higher must be better)"
            )
        return name

    @contextmanager
    def _scoring(self, dropout: bool) -> Iterator[None]:
        """Evaluate with each batch's own statistics; ``dropout`` stays on for ENAS's rewards."""
        self.training_module.train(dropout)
        for norm in self._norms:
            norm.train()
        try:
            yield
        finally:
            self.training_module.train()

    def _validation_batches(self, limit: int | None = None) -> Iterator[Any]:
        loader = self.validation()
        _set_epoch(loader, 0)
        for index, batch in enumerate(loader):
            if index == limit:
                return
            yield batch

    def _endless_validation(self) -> Iterator[Any]:
        """Yield validation batches for ever; a loader that shuffles does so anew each time round."""
        loader = self.validation()
        turn = 0
        while True:
            _set_epoch(loader, (self.current_epoch << 16) + turn)
            yield from loader
            turn += 1

    def _generator(self, stream: int, epoch: int | None = None) -> torch.Generator:
        epoch = self.current_epoch if epoch is None else epoch
        return torch.Generator().manual_seed(derived_seed(self.seed, epoch, stream))

    # The result

    def on_train_end(self) -> None:
        """Score many proposals on the whole validation split and keep them, best first."""
        super().on_train_end()
        self._rank()

    def _rank(self) -> None:
        epochs = len(self.history)
        proposals, limit = self._proposals(epochs), self.options.limit
        _log.info("scoring %d architectures with the shared weights", len(proposals))
        scored, self.unscored = [], 0
        with self._scoring(dropout=False):
            for sample, cost in proposals:
                _seed_globally(derived_seed(self.seed, epochs, _RANKING))  # the same batches for all
                try:
                    score, loss = self._score_and_loss(sample, self._validation_batches())
                except DivergedError as error:  # of this architecture alone, or all of them end here
                    self.unscored += 1
                    failure = error
                    continue
                feasible = limit is None or cost is None or limit.keeps(cost)
                scored.append((loss, Candidate(sample, score, self.metric, cost, feasible)))
        if not scored:
            raise failure
        # Few validation images mean many equal accuracies; the loss, where it is logged, tells those apart.
        scored.sort(key=lambda entry: (not entry[1].feasible, -entry[1].score, entry[0]))
        self.candidates = [candidate for _, candidate in scored]

    def _proposals(self, epochs: int) -> list[tuple[Sample, float | None]]:
        """Draw the different architectures to rank, with their costs: those within the limit go before."""
        generator, limit = self._generator(_RANKING, epochs), self.options.limit
        distinct: dict[str, Sample] = {}
        for _ in range(_ROUNDS):
            for sample in self.sampler.draw(self.options.final_samples, generator):
                distinct.setdefault(json.dumps(sample, sort_keys=True), sample)
        count = self.options.final_samples
        if limit is None:
            return [(sample, None) for sample in islice(distinct.values(), count)]
        costs = {key: limit.cost(sample) for key, sample in distinct.items()}
        limit.require_one(costs.values(), f"{len(costs)} that the search proposes at its end")
        within_first = sorted(distinct, key=lambda key: not limit.keeps(costs[key]))
        return [(distinct[key], costs[key]) for key in within_first[:count]]

    def on_fit_end(self) -> None:
        """Report the best score."""
        if self.candidates:
            super().on_fit_end()
        else:  # killed after its last epoch, a search trains nothing more, of which an evaluator could report
            self.to(self.trainer.strategy.root_device)
            self._rank()
        if self.trainer.is_global_zero:
            with heard():
                self.options.reporter.final({"score": self.candidates[0].score})

    def export(self) -> Sample:
        """Return the best architecture of the final ranking."""
        if not self.candidates:
            raise RuntimeError("the search has not finished: there is no ranking to export from")
        return self.candidates[0].sample

    # Resuming

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the sampler's state and the history; the weights and their optimizer are Lightning's."""
        checkpoint["search"] = {
            "seed": self.seed,
            "history": self.history,
            "sampler": self.sampler.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the search up again; refuse the checkpoint of a search with another seed."""
        search = checkpoint["search"]
        if search["seed"] != self.seed:
            raise ValueError(
                f"the checkpoint belongs to a search with seed {search['seed']}, not {self.seed}"
            )
        self.history = list(search["history"])
        self.sampler.load_state_dict(search["sampler"])


class InProcessEngine(SequentialExecutionEngine):
    """NNI's sequential engine without its takeover of the trial channel.

    NNI's own engine redirects ``nni.report_*`` and overwrites the trial's parameters, so that inside a trial
    started by nnictl nothing reaches the web UI.
    """

    def _run_single_model(self, model: ExecutableModelSpace) -> None:
        model.execute()


class WeightSharingStrategy(OneShotStrategy):
    """Base of the strategies here: NNI's one-shot strategy over the shared weights of a supernet.

    Args:
        reward_metric_name: the metric that the evaluator's ``validation_step`` logs and that is to be made
            large; may be left out where only one is logged, or one is called ``default``.
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
        reward_dropout: keep dropout on while rewards are measured, as ENAS does. The final ranking never
            does.
        update_unsampled: let momentum and weight decay move operations that a step has not sampled, as ENAS
            does.
        reporter: told of every epoch and of the end; by default NNI is, in an NNI experiment.
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
        reward_dropout: bool = True,
        update_unsampled: bool = True,
        reporter: Reporter | None = None,
    ) -> None:
        super().__init__(mutation_hooks=mutation_hooks)
        if final_samples < 1 or reward_batches < 1:
            raise ValueError(
                f"final_samples ({final_samples}) and reward_batches ({reward_batches}) must be at least 1"
            )
        penalty = SampleProfilerPenalty(**penalty) if isinstance(penalty, Mapping) else penalty
        if not isinstance(penalty, (SampleProfilerPenalty, type(None))):
            raise TypeError(
                f"penalty is a {type(penalty).__name__}; only SampleProfilerPenalty is possible, because "
                "each choice here depends on those before it: it has no probability of its own to take an "
                "expectation over"
            )
        if penalty is not None and limit is not None:
            raise ValueError("penalty and limit both change rewards by a cost: give one of them")
        self.seed = torch.initial_seed() % 2**32 if seed is None else seed
        self._options = SearchOptions(
            reward_metric_name,
            penalty,
            limit,
            reward_batches,
            reward_dropout,
            update_unsampled,
            final_samples,
            reporter or NniReporter(),
        )

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

    def make_sampler(self, mutables: Mapping[str, LabeledMutable]) -> Sampler:
        """Make what proposes architectures of a space with these choices."""
        raise NotImplementedError

    @property
    def candidates(self) -> list[Candidate]:
        """The scored architectures of a finished search, best first."""
        return self.oneshot_module.candidates

    def list_models(self, sort: bool = True, limit: int | None = 1) -> Iterator[ExecutableModelSpace]:
        """Yield the best models, best first; ``sort`` is accepted for NNI's sake and always true."""
        for candidate in self.candidates[:limit]:
            yield self.model_space.freeze(candidate.sample)

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
            drawn = self._sampler.draw(_PROBED, torch.Generator().manual_seed(self.seed))
            limit.require_one(map(limit.cost, drawn), f"{_PROBED} architectures drawn before the search")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return super().mutate_model(model)

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
        return _SeededEpochs(train_dataloader_fn(), self.seed, lambda: self._module.current_epoch)

    def val_dataloader(
        self, train_dataloader_fn: Callable[[], Any], val_dataloader_fn: Callable[[], Any]
    ) -> Any:
        """Return nothing: Lightning's validation loop would score whichever architecture came last."""
        return None
