"""ENAS: a controller trained by REINFORCE on rewards that shared weights give.

Source: Pham et al., ICML 2018 (arXiv 1802.03268), and the authors' released code, whose micro-search defaults
are the defaults here. In place of ``nni.nas.strategy.ENAS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import stdev
from typing import Any, Literal, get_args

import torch
from nni.mutable import LabeledMutable, Sample

from strategies.base import WeightSharingStrategy
from strategies.controller import Controller
from strategies.random_sampling import Uniform

_REFUSED = {
    "batches_per_update": "each update averages the gradients of controller_samples architectures",
    "replay_buffer_size": "REINFORCE learns from the architectures just drawn; there is no buffer",
    "policy_fn": "the controller is ENAS's LSTM; its sizes and constants go into controller={...}",
    "update_kwargs": "use controller_updates, controller_samples and controller_learning_rate",
    "log_prob_every_n_step": "reward, entropy and baseline are logged and reported after every epoch",
    "filter": "use limit or penalty to steer the controller; strategies.RandomSampling draws uniformly",
}


Baseline = Literal["moving_average", "leave_one_out"]


class Reinforce:
    """ENAS's sampler: the controller, its optimizer, and the baseline of its rewards."""

    def __init__(
        self,
        controller: Controller,
        uniform: Uniform,
        *,
        updates: int,
        samples: int,
        learning_rate: float,
        entropy_weight: float,
        baseline_decay: float,
        warmup_epochs: int,
        baseline: Baseline = "moving_average",
        baseline_start: float | None = 0.0,
    ) -> None:
        self.controller, self.uniform = controller, uniform
        self.updates, self.samples = updates, samples
        self.entropy_weight = entropy_weight
        self.leave_one_out, self.baseline_decay = baseline == "leave_one_out", baseline_decay
        self.warmup_epochs = warmup_epochs
        # beta1 = 0 and epsilon = 1e-3 are ENAS's: no momentum for a policy that keeps moving, bounded steps.
        self.optimizer = torch.optim.Adam(
            controller.parameters(), lr=learning_rate, betas=(0.0, 0.999), eps=1e-3
        )
        self.baseline = baseline_start  # None: the first reward
        self.epochs = 0

    def draw(self, count: int, generator: torch.Generator) -> list[Sample]:
        """Draw architectures from the current policy; in the warm-up uniformly."""
        if self.epochs < self.warmup_epochs:
            return self.uniform.draw(count, generator)
        return self.controller.sample(count, generator)

    def learn(self, reward: Callable[[Sample], float], generator: torch.Generator) -> dict[str, float]:
        """Make ENAS's updates of an epoch; in the warm-up only measure the rewards of one update."""
        learning = self.epochs >= self.warmup_epochs
        self.epochs += 1
        rewards: list[float] = []
        entropies: list[float] = []
        for _ in range(self.updates if learning else 1):
            draw = self.controller.draw(self.samples, generator)
            new = [reward(sample) for sample in draw.samples]
            if learning:
                self.update(
                    draw.log_prob,
                    [r + self.entropy_weight * e for r, e in zip(new, draw.entropy.tolist(), strict=True)],
                )
            rewards += new
            entropies += draw.entropy.tolist()
        return {
            "reward": sum(rewards) / len(rewards),
            "reward_best": max(rewards),
            "entropy": sum(entropies) / len(entropies),
            "baseline": self.baseline or 0.0,
        }

    def update(self, log_prob: torch.Tensor, rewards: list[float]) -> None:
        """Ascend mean(log p · advantage)."""
        advantages = self._of_others(rewards) if self.leave_one_out else self._of_the_past(rewards)
        loss = -(log_prob * torch.tensor(advantages)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def _of_the_past(self, rewards: list[float]) -> list[float]:
        """Return rewards less the moving average, which moves with each before it is subtracted."""
        advantages = []
        average = rewards[0] if self.baseline is None else self.baseline
        for reward in rewards:
            average += (1 - self.baseline_decay) * (reward - average)
            advantages.append(reward - average)
        self.baseline = average
        return advantages

    def _of_others(self, rewards: list[float]) -> list[float]:
        """Return rewards less the mean of the others, in SDs of the update; keep the mean for the record.

        In their own unit, log losses that differ by hundredths give gradients far below Adam's epsilon, and
        the controller stands still.
        """
        total, others, spread = sum(rewards), len(rewards) - 1, stdev(rewards)
        self.baseline = total / len(rewards)
        return [(reward - (total - reward) / others) / spread if spread else 0.0 for reward in rewards]

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimizer, baseline and the number of epochs."""
        return {
            "controller": self.controller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline,
            "epochs": self.epochs,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline, self.epochs = state["baseline"], state["epochs"]


class ENAS(WeightSharingStrategy):
    """Efficient neural architecture search, as ``NasExperiment(space, evaluator, ENAS(...))`` takes it.

    It searches any space of NNI's categorical choices; on :class:`search_space.EnasSpace` it is ENAS's micro
    search exactly. All defaults are ENAS's. The training recipe (optimizer, schedule, batch, epochs) is the
    evaluator's.

    Args:
        warmup_epochs: epochs before the controller starts to learn, in which architectures are drawn
            uniformly (ours): a new controller prefers convolutions, and operations that it rarely draws
            hardly train. ENAS: 0.
        controller_updates: updates of the controller after every epoch of the shared weights.
        controller_samples: architectures whose gradients one update averages, each with its own reward.
        controller_learning_rate: of Adam.
        entropy_weight: weight with which an architecture's entropy, in nats, is added to its reward.
        baseline: what is subtracted from a reward: ``"moving_average"`` over all before it, ENAS's, or
            ``"leave_one_out"``, the mean of the update's other samples (Kool, van Hoof and Welling, "Buy 4
            REINFORCE samples, get a baseline for free!", 2019), which needs no start from 0 and, with
            ``reward_shared``, takes off what the images of an update have in common. Of the latter the
            differences count in standard deviations of the update's rewards (ours), so that the
            controller learns alike from rewards of any unit.
        baseline_decay: of the moving average, which starts from 0, as ENAS's does; where the metric has a
            minus before it from the first reward, since from 0 it takes all rewards below 0 for bad.
        reward_shared: measure all samples of an update on the same validation batches, so that images cannot
            make the difference between them. ENAS: False, each sample has the next batch.
        controller: other arguments of :class:`strategies.controller.Controller`, by name.
        **shared: arguments of :class:`strategies.base.WeightSharingStrategy`: ``reward_metric_name``,
            ``mutation_hooks``, ``penalty``, ``limit``, ``seed``, ``final_samples``, ``reward_batches``,
            ``same_batches``, ``reward_dropout``, ``update_unsampled``, ``start``, ``on_epoch``.

    Raises:
        TypeError: for arguments that only make sense for NNI's own ENAS, which learns by PPO; the message
            says what replaces them.
    """

    def __init__(
        self,
        *,
        warmup_epochs: int = 0,
        controller_updates: int = 30,
        controller_samples: int = 10,
        controller_learning_rate: float = 0.0035,
        entropy_weight: float = 1e-4,
        baseline: Baseline = "moving_average",
        baseline_decay: float = 0.99,
        reward_shared: bool = False,
        controller: Mapping[str, float] | None = None,
        **shared: Any,
    ) -> None:
        for name in shared:
            if name in _REFUSED:
                raise TypeError(f"{name} belongs to NNI's PPO version of ENAS; here {_REFUSED[name]}")
        if reward_shared:
            shared["same_batches"] = controller_samples
        super().__init__(**shared)
        if controller_updates < 1 or controller_samples < 1:
            raise ValueError(
                f"controller_updates ({controller_updates}) and controller_samples ({controller_samples}) "
                "must be at least 1"
            )
        if baseline not in get_args(Baseline):
            raise ValueError(f"baseline {baseline!r}: expected one of {', '.join(get_args(Baseline))}")
        if baseline == "leave_one_out" and controller_samples < 2:
            raise ValueError("baseline leave_one_out needs controller_samples of at least 2: set them")
        self._controller = dict(controller or {})
        self._reinforce = {
            "updates": controller_updates,
            "samples": controller_samples,
            "learning_rate": controller_learning_rate,
            "entropy_weight": entropy_weight,
            "baseline": baseline,
            "baseline_decay": baseline_decay,
            "baseline_start": None if (self._options.reward_metric_name or "").startswith("-") else 0.0,
            "warmup_epochs": warmup_epochs,
        }

    def make_sampler(self, mutables: Mapping[str, LabeledMutable]) -> Reinforce:
        """Make a new controller, whose weights the seed determines."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            controller = Controller(mutables, **self._controller)  # type: ignore[arg-type]
        uniform = Uniform(mutables, observations=1)
        return Reinforce(controller, uniform, **self._reinforce)  # type: ignore[arg-type]
