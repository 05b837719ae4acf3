"""Search: shared weights are trained and architectures scored, on training folds only.

The images of an outer fold, where one is named, take no part. Of the others most train the shared weights;
the rest, whole groups, give the controller its rewards and rank the architectures at the end.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from nni.nas.evaluator.pytorch import Lightning
from nni.nas.nn.pytorch import ModelSpace
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.space import RawFormatModelSpace
from pytorch_lightning.callbacks import Timer

from search_space import Architecture, BoostedArchitecture, EnasSpace
from search_space.enas.latency import LatencyTable
from strategies import ENAS, LocalSearch, RandomSampling, RegularizedEvolution
from strategies.base import WeightSharingStrategy
from strategies.nni_trial import InProcessEngine
from trials.data.batches import Batches
from trials.data.inputs import Inputs, device
from trials.data.split import Split
from trials.errors import SettingsError
from trials.files import below, write_atomically
from trials.methods.cells import SPACES, random_architecture
from trials.models.shared_weights import SharedWeights
from trials.models.specs import Shape
from trials.models.zoo import boosted_space
from trials.nni_host.paths import on_another_host
from trials.pipeline.finalists import Choice, Finalists
from trials.pipeline.found import write_results
from trials.pipeline.search_limit import SearchLimit
from trials.runs.folder import RunFolder, read_json
from trials.runs.layout import (
    CHECKPOINT,
    LATENCIES,
    SEARCH_FILE,
    search_folder,
)
from trials.runs.reporter import Reporter
from trials.settings.schema import Settings
from trials.settings.search import SearchSettings
from trials.training.checkpoint import resume_from
from trials.training.divergence import train_with_second_attempt
from trials.training.estimate import estimate, seconds_of, training_seconds
from trials.training.module import LesionModule
from trials.training.seeding import seed_everything
from trials.training.trainer import make_trainer

REWARDS = {"accuracy": "val_acc", "log_loss": "-val_loss", "auc": "val_auc"}  # as the module logs them


def run_search(
    split: Split,
    settings: Settings,
    out: str | Path,
    *,
    devices: int = 1,
    dry_run: bool = False,
    nested: bool = False,
) -> dict[str, Any]:
    """Search on the training and validation images of a split.

    Writes to `out` the best architecture, the best candidates, the ranking of all that were scored (cells in
    ENAS's notation) and `search.json`, whose content it returns. Where the settings set a limit, candidates
    and ranking give each architecture's cost and whether it is feasible; the best one is. Where they ask for
    finalists, short trainings choose among the ranking's best, in folders below `out`. The shared weights
    stay there, as a start of others (`search.start`, `retrain.start`). The same arguments again resume an
    interrupted search, or report a finished one. With `dry_run` nothing is written, and the settings in
    force, the data found and an estimate of the cost are returned. `nested` in another run the search waits
    for whoever is writing to `out`, and reports nothing to NNI. `devices` are so many GPUs, or processes
    where there is no GPU, that divide each batch (`strategies.distributed`): Lightning starts this process's
    command again for the others, which write nothing: there `SystemExit` is raised at the end. Raises
    ValueError before any work starts where data, settings, folder or devices do not
    fit.
    """
    out = Path(out)
    search = Search(split, settings, out, devices)
    if dry_run:
        return search.dry_run()
    if devices > 1 and int(os.environ.get("LOCAL_RANK", 0)):
        search.train(settings.search)
        raise SystemExit(0)  # the caller must not go on: the other process has the result
    with (
        RunFolder(
            out,
            search.identity,
            needed_bytes=search.disk_bytes,
            wait=nested or on_another_host(),
        ) as folder,
        Reporter(out, default="reward", to_nni=not nested) as reporter,
    ):
        if folder.done:
            reporter.say(f"{out}: this search is done already")
        else:
            search.go(folder, reporter)
            folder.finish(CHECKPOINT)
        record: dict[str, Any] = read_json(out / SEARCH_FILE)
        reporter.final({"score": record["score"]})
    return record


def search_in(home: Path, split: Split, settings: Settings) -> tuple[Path, dict[str, Any]]:
    """Make the search of a split in `home`, or resume or wait for it; return its folder and record.

    All methods of the split share it, one for each space and strategy.
    """
    folder = below(home, home / search_folder(settings.search.space, settings.search.strategy))
    return folder, run_search(split, settings, folder, nested=True)


def check_devices(devices: int, batch_size: int) -> None:
    """Raise ValueError for a number of devices that there is not, or that a batch does not reach for."""
    gpus = torch.cuda.device_count()
    if not 1 <= devices <= min(gpus or batch_size, batch_size):
        raise ValueError(
            f"--devices {devices}: expected 1 or more, not more than a batch has images (search.batch_size, "
            f"{batch_size}), nor, where there are GPUs, than these ({gpus})"
        )


class Search:
    """One search: data and arguments are checked on construction, nothing is written before `go`."""

    def __init__(self, split: Split, settings: Settings, out: Path, devices: int = 1) -> None:
        check_devices(devices, settings.search.batch_size)
        split.check(settings.data)
        self.split, self.settings, self.out, self.devices = split, settings, out, devices
        self.data, self.seed = split.data, split.seed
        self.side = settings.search.image_size or settings.data.image_size
        self.inputs = Inputs(self.data, settings.data, split.training, side=self.side)
        start = settings.search.start
        self.start = SharedWeights.read(start, "search.start") if start else None
        if self.start:
            self.start.check_space(settings)
            self.start.refuse_seen(split)
        limited = settings.search.limit is not None
        self.limited = SearchLimit(settings, len(self.data.classes)) if limited else None
        if settings.search.finalists and devices > 1:
            raise SettingsError("search.finalists: one device trains them; set --devices 1, or unset it")
        self.finalists = Finalists(split, settings) if settings.search.finalists else None
        self.choice: Choice | None = None  # of the finalists, once it is made

    @property
    def _sections(self) -> set[str]:
        return {"data", "search", *(["boosted"] if self.settings.search.space == "boosted" else [])}

    @property
    def identity(self) -> dict[str, Any]:
        """What makes this search itself and no other."""
        return {
            "verb": "search",
            **self.split.identity,
            "settings": self.settings.model_dump(mode="json", include=self._sections),
            **({"limit": self.limited.identity} if self.limited else {}),
            **({"finalists_by": self.finalists.identity} if self.finalists else {}),
            **({"starts_from": self.start.known} if self.start else {}),
            **({"devices": self.devices} if self.devices > 1 else {}),  # others' rounding
        }

    @cached_property
    def latencies(self) -> LatencyTable | None:
        """The table that a limit of milliseconds is of: what is in the folder, or measured now."""
        return self.limited.table(self.out / LATENCIES) if self.limited else None

    def architecture(self, sample: Mapping[str, Any]) -> Architecture | BoostedArchitecture:
        """Return the architecture of a sample, of the space that is searched."""
        return SPACES[self.settings.search.space].from_sample(sample)

    def space(self) -> ModelSpace:
        """Build the space to be searched, the first weights of its stem and head drawn from the seed."""
        seed_everything(self.seed)
        options = self.settings.search
        if options.space == "boosted":
            shape = Shape(self.settings.data.channels, len(self.data.classes), self.side)
            return boosted_space(self.settings.boosted, shape)
        return EnasSpace(
            options.layout,
            filters=options.filters,
            channels=self.settings.data.channels,
            classes=len(self.data.classes),
            nodes=options.nodes,
            image_size=self.side,
            stem_stride=options.stem_stride,
            dropout=options.dropout,
            auxiliary=options.auxiliary,
        )

    @cached_property
    def example(self) -> ModelSpace:
        """A supernet like the one that is searched, set to a random architecture, to measure costs by.

        Raises ValueError for a limit that can hardly be kept.
        """
        supernet = self.strategy().mutate_model(self.space())
        sample = random_architecture(self.settings.search, self.seed).to_sample()
        for module in supernet.modules():
            if isinstance(module, BaseSuperNetModule):
                module.resample(memo=sample)
        return supernet

    def strategy(self, reporter: Reporter | None = None) -> WeightSharingStrategy:
        """Return the strategy that the settings name."""
        options = self.settings.search
        shared: dict[str, Any] = {
            "reward_metric_name": REWARDS[options.reward],
            "reward_batches": self.reward_batches,
            "reward_dropout": options.reward_dropout,
            "seed": self.seed,
            "final_samples": options.final_samples,
            "limit": self.limited.limit(self.latencies) if self.limited else None,
            "start": self.start.into_supernet if self.start else None,
            "on_epoch": reporter.epoch if reporter else None,
            "update_unsampled": options.space == "cells",  # ENAS's; a step is to spare pretrained weights
        }
        if options.strategy == "random":
            return RandomSampling(**shared)
        shared["warmup_epochs"] = options.warmup_epochs
        if options.strategy == "enas":
            return ENAS(
                controller_updates=options.controller_updates,
                controller_samples=options.controller_samples,
                baseline=options.baseline,
                reward_shared=options.reward_shared,
                **shared,
            )
        shared["observations"] = options.rewards
        shared["same_batches"] = options.rewards if options.reward_shared else 1
        if options.strategy == "local":
            return LocalSearch(**shared)
        return RegularizedEvolution(population=options.population, tournament=options.tournament, **shared)

    @property
    def disk_bytes(self) -> int:
        """About what is written: two checkpoints with momentum, weights, answers, and the rest."""
        said = self.settings.search.final_samples * len(self.split.validation) * len(self.data.classes)
        return 20 * sum(weight.numel() for weight in self.example.parameters()) + 4 * said + 20_000_000

    @property
    def validation(self) -> Batches:
        """The images that give rewards and rank, in batches."""
        size = self._reward_batch
        return self.inputs.plain(self.split.validation, size, shuffle=True, seed=self.seed)

    @property
    def _reward_batch(self) -> int:
        size, images = self.settings.search.reward_batch_size, len(self.split.validation)
        while size < images and images % size == 1:  # a last batch of one image would be left out
            size += 1
        return size

    @property
    def reward_batches(self) -> int:
        """Batches that a reward is measured on."""
        wanted = self.settings.search.reward_images or self._reward_batch
        return math.ceil(min(wanted, len(self.split.validation)) / self._reward_batch)

    @property
    def reward_images(self) -> int:
        """Images that a reward is measured on."""
        return min(self.reward_batches * self._reward_batch, len(self.split.validation))

    @property
    def training(self) -> Batches:
        """The images that train the shared weights, in epochs of which the settings' steps hold all."""
        options = self.settings.search
        whole = self.inputs.training(options.batch_size, self.seed)
        parts = round(options.epochs * len(whole) / options.max_steps) if options.max_steps else 1
        return self.inputs.training(options.batch_size, self.seed, parts) if parts > 1 else whole

    def go(self, folder: RunFolder, reporter: Reporter) -> None:
        """Search from the last epoch saved, and write everything."""
        if self.latencies:
            self._keep(self.latencies)
        reporter.samples("training images", next(iter(self.training))[0])
        if self.devices > 1:  # the other processes would not hear of a second attempt
            seconds = self.train(self.settings.search, reporter=reporter)
        else:
            seconds = train_with_second_attempt(
                folder,
                CHECKPOINT,
                self.settings.search,
                reporter,
                lambda options, clip: self.train(options, clip, reporter),
            )
        self.choice = self._choose()
        write_results(self, folder, reporter, seconds + (self.choice.seconds if self.choice else 0))

    def _choose(self) -> Choice | None:
        """Train the finalists, if there are any: the best that keep the limit."""
        if self.finalists is None:
            return None
        feasible = [one for one in self.found.candidates if one.feasible][: self.settings.search.finalists]
        if len(feasible) < 2:
            return None
        return self.finalists.choose([Architecture.from_sample(one.sample) for one in feasible], self.out)

    def train(
        self, options: SearchSettings, clip: float | None = None, reporter: Reporter | None = None
    ) -> float:
        """Search from the last epoch saved; leave the strategy, with what it found; return the seconds.

        Raises `DivergedError`.
        """
        timer, classes = Timer(), len(self.data.classes)  # the timer goes on counting after a resume
        trainer = make_trainer(
            options,
            self.out / CHECKPOINT,
            self.seed,
            timer,
            classes=classes,
            clip=clip,
            devices=self.devices,
        )
        module = LesionModule(
            options,
            classes=classes,
            positive=self.data.positive_index,
            class_weights=self.inputs.class_weights,
        )
        fit = {"ckpt_path": resume_from(self.out / CHECKPOINT), "weights_only": True}
        evaluator = Lightning(module, trainer, self.training, self.validation, fit_kwargs=fit)
        strategy = self.found = self.strategy(reporter)
        # Rewards come from the strategy: that Lightning has nothing to validate on is meant.
        logging.getLogger("nni.nas.evaluator.pytorch.lightning").setLevel(logging.ERROR)
        strategy(RawFormatModelSpace(self.space(), evaluator), InProcessEngine())
        return timer.time_elapsed("train")

    def _keep(self, measured: LatencyTable) -> None:
        """Save the table, or take the one that another process has left since this one looked."""
        file = self.out / LATENCIES
        if not file.exists():
            write_atomically(file, measured.to_json().encode())
        self.latencies = self.limited.table(file) if self.limited else None

    def dry_run(self) -> dict[str, Any]:
        """Time a few steps, and return the settings, the data and the estimate."""
        options = self.settings.search
        network = self.example.to(device()).to(memory_format=torch.channels_last).train()
        training, validation = self.training, self.validation

        @torch.no_grad()
        def reward() -> None:
            network(next(iter(validation))[0].contiguous(memory_format=torch.channels_last))

        steps = options.epochs * len(training)
        rewards = options.epochs * options.rewards * self.reward_batches
        scored = options.final_samples * len(validation)
        seconds = min(steps, options.max_steps or steps) * training_seconds(network, training)
        seconds += (rewards + scored) * seconds_of(reward)
        seconds += self.finalists.estimate() if self.finalists else 0
        return {
            "settings": self.settings.model_dump(mode="json", include={"profile", *self._sections}),
            "data": self.split.describe(),
            "estimate": estimate(seconds, self.disk_bytes).to_dict(),
        }
