"""The Lightning module of a search: it trains shared weights and lets a sampler learn from them.

Each training step trains the shared weights through one proposed architecture; after each epoch the sampler
may learn from rewards; at the end many proposals are scored on the whole validation split and ranked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from nni.mutable import Sample
from nni.nas.evaluator.pytorch import LightningModule
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from nni.nas.oneshot.pytorch.profiler import SampleProfilerPenalty
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from search_space.cpu_layers import channels_last, keep_freed_memory
from search_space.progress import progress
from strategies.distributed import agreed, normalise_together, share, weighted
from strategies.divergence import DivergedError
from strategies.limit import Limit
from strategies.loaders import (
    LEARNING,
    RANKING,
    TRAINING,
    derived_seed,
    first_batches,
    generator,
    reward_batches,
    seed_globally,
)
from strategies.nni_trial import heard, report_end, report_epoch
from strategies.ranking import Candidate, propose, rank
from strategies.sampler import Sampler
from strategies.scoring import Score, choose_metric, validate, value_of
from strategies.supernet.flat_parameters import gather, step_without_all_gradients

_AHEAD = 64  # architectures drawn together for training: one LSTM pass serves them all


@dataclass(frozen=True)
class SearchOptions:
    """The options of a :class:`strategies.base.WeightSharingStrategy`, described there."""

    reward_metric_name: str | None
    penalty: SampleProfilerPenalty | None
    limit: Limit | None
    reward_batches: int
    same_batches: int
    reward_dropout: bool
    update_unsampled: bool
    final_samples: int
    on_epoch: Callable[[int, Mapping[str, float]], None] | None


class WeightSharingModule(BaseOneShotLightningModule):
    """The Lightning module of a search: it wraps the evaluator's module, whose training recipe it follows.

    Batch normalisation uses each batch's own statistics throughout, as in ENAS, and keeps none: running
    averages over many architectures describe no architecture, and validation images must not enter them.

    `validation` gives the loader of the validation split. After the search `history` has the metrics of every
    epoch, `candidates` the ranking, and `unscored` the number of architectures left out of it, because they
    have no finite score.
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
        self.unscored = 0
        self._ahead: list[Sample] = []
        self._gradients: list[torch.Tensor] = []  # of all weights, where they are gathered

    @property
    def automatic_optimization(self) -> bool:
        """Lightning steps the evaluator's optimizer and schedulers; samplers step their own."""
        return True

    # Training of the shared weights

    def set_model(self, model: nn.Module) -> None:
        """Take the supernet."""
        channels_last(model)
        super().set_model(model)

    def on_fit_start(self) -> None:
        """Prepare the supernet; gather weights and gradients, before Lightning restores optimizers' state."""
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
        sample = self.sampler.draw(1, self._generator(LEARNING))[0]
        self.score(sample, first_batches(self.validation(), 1))
        normalise_together(self._norms)
        super().on_train_start()

    def on_train_epoch_start(self) -> None:
        """Forget architectures drawn ahead by the sampler as it was."""
        self._ahead = []
        self._training_draws = self._generator(TRAINING)
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
        learned = self._learn()
        self.log_dict(learned)
        trained = {
            name: agreed(float(value), self.device)
            for name, value in self.trainer.callback_metrics.items()
            if name not in learned
        }
        self.history.append({"epoch": self.current_epoch, **trained, **learned})
        if self.trainer.is_global_zero:
            report = report_epoch if self.options.on_epoch is None else self.options.on_epoch
            with heard():
                report(self.current_epoch, {**trained, **learned})

    def _learn(self) -> dict[str, float]:
        """Let the sampler learn; return what it logs, with the mean cost where there is a limit."""
        sizes = self.options.reward_batches, self.options.same_batches
        batches = reward_batches(self.validation(), self.current_epoch, *sizes)
        costs: list[float] = []

        def reward(sample: Sample) -> float:
            score = self.score(sample, next(batches)).value
            if self.options.limit is None:
                return score
            costs.append(self.options.limit.cost(sample))
            return self.options.limit.reward(score, costs[-1])

        with self.evaluating(dropout=self.options.reward_dropout):
            learned = self.sampler.learn(reward, self._generator(LEARNING))
        return {**learned, "cost": sum(costs) / len(costs)} if costs else learned

    def score(self, sample: Sample, batches: Iterable[Any]) -> Score:
        """Score an architecture by the evaluator's metric on these batches, less any penalty.

        Raises `DivergedError` where what the evaluator logs is not finite.
        """
        self.set_architecture(sample)
        logged, outputs = validate(self.training_module, self.trainer, batches)
        metric = choose_metric(list(logged), self.options.reward_metric_name)
        values = {name: agreed(value, self.device) for name, value in logged.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise DivergedError(self.current_epoch + 1, f"{name} of an architecture is {value}")
        penalty = self.options.penalty
        value = value_of(metric, values)
        reward = value if penalty is None else float(penalty(value, sample)[0])
        return Score(reward, metric, values.get("val_loss", 0.0), outputs)

    @contextmanager
    def evaluating(self, dropout: bool) -> Iterator[None]:
        """Evaluate with each batch's own statistics; `dropout` stays on for ENAS's rewards."""
        self.training_module.train(dropout)
        for norm in self._norms:
            norm.train()
        try:
            yield
        finally:
            self.training_module.train()

    def _generator(self, stream: int) -> torch.Generator:
        return generator(self.seed, self.current_epoch, stream)

    # The result

    def on_train_end(self) -> None:
        """Score many proposals on the whole validation split and keep them, best first."""
        super().on_train_end()
        self._rank()

    def _rank(self) -> None:
        epochs, limit = len(self.history), self.options.limit
        draws = generator(self.seed, epochs, RANKING)
        proposals = propose(self.sampler, self.options.final_samples, draws, limit)

        def score(sample: Sample) -> Score:
            seed_globally(derived_seed(self.seed, epochs, RANKING))  # the same batches for all
            return self.score(sample, first_batches(self.validation()))

        with self.evaluating(dropout=False):
            shown = progress(proposals, "architectures ranked") if self.trainer.is_global_zero else proposals
            self.candidates = rank(shown, score, limit)
        self.unscored = len(proposals) - len(self.candidates)

    def on_fit_end(self) -> None:
        """Report the best score."""
        if self.candidates:
            super().on_fit_end()
        else:  # killed after its last epoch, a search trains nothing more, of which an evaluator could report
            self.to(self.trainer.strategy.root_device)
            self._rank()
        if self.trainer.is_global_zero and self.options.on_epoch is None:
            with heard():
                report_end(self.candidates[0].score)

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
        """Resume the search; refuse the checkpoint of a search with another seed."""
        search = checkpoint["search"]
        if search["seed"] != self.seed:
            raise ValueError(
                f"the checkpoint belongs to a search with seed {search['seed']}, not {self.seed}"
            )
        self.history = list(search["history"])
        self.sampler.load_state_dict(search["sampler"])
