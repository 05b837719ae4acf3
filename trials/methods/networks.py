"""Networks as methods, searched or known, all trained by the recipe of the settings.

The weights of the last epoch count, as in the paper: no choice looks at the test images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_lightning.callbacks import Callback, Timer
from torch import nn

from search_space import Architecture, draw
from trials.data.batches import Batches
from trials.data.dataset import LesionData
from trials.data.inputs import Inputs, device
from trials.data.task import Task
from trials.errors import SettingsError
from trials.methods.base import Method
from trials.models.backbones import check, find_weights, load_backbone
from trials.models.covariate_head import CovariateHead
from trials.models.description import of_data
from trials.models.network import NetworkDescription, TrainedModel, save_network
from trials.models.onnx import export_onnx, image_inputs
from trials.models.specs import Backbone, BoostedNetwork, CellNetwork, Network, Shape
from trials.models.zoo import build, count_macs, count_parameters, start_classifier
from trials.nni_host.paths import network_view_file
from trials.runs.folder import RunFolder
from trials.runs.layout import CELLS_PNG, CELLS_SVG, CHECKPOINT, ONNX, REFIT_CHECKPOINT
from trials.runs.predictions import Frozen
from trials.runs.reporter import Reporter
from trials.settings.training import RetrainSettings
from trials.training.callbacks import ReportEachEpoch
from trials.training.checkpoint import resume_from
from trials.training.divergence import divergences, train_with_second_attempt
from trials.training.estimate import estimate, seconds_of, training_seconds
from trials.training.fine_tuning import FreezeBody, MovingAverage, classifier_of
from trials.training.module import LesionModule
from trials.training.seeding import seed_everything
from trials.training.trainer import make_trainer


class NetworkMethod(Method):
    """A network; `start` may load pretrained weights, `facts` are known before training."""

    sections: ClassVar[frozenset[str]] = frozenset({"data", "retrain"})

    def __init__(
        self,
        task: Task,
        network: Network,
        *,
        start: Callable[[nn.Module], None] | None = None,
        search_seen: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if task.settings.retrain.start and not isinstance(network, CellNetwork):
            raise SettingsError(
                f"retrain.start: shared weights are those of cells, which {type(network).__name__} has not; "
                "set it for networks of cells alone"
            )
        self.task, self._network, self._start = task, network, start
        self.predictors = ["images", *(["covariates"] if task.split.coding else [])]
        self.search_seen, self._facts = search_seen, dict(facts or {})
        self.identity: Mapping[str, Any] = {"network": network.model_dump(mode="json")}
        self.inputs = Inputs(task.data, task.settings.data, task.split.training)
        self._head: CovariateHead | None = None  # once it is fitted
        # Two checkpoints with momentum, a third for a refit, weights in two formats, and the rest.
        self.disk_bytes = (36 if task.refit else 24) * count_parameters(self.network) + 20_000_000

    @cached_property
    def network(self) -> nn.Module:
        """The network, its first weights drawn from the seed."""
        seed_everything(self.task.seed)
        network = build(self._network, self.shape, self.task.settings.retrain)
        if self._start:
            self._start(network)
        return network

    @property
    def shape(self) -> Shape:
        """The shape of its input and output."""
        options = self.task.settings.data
        return Shape(options.channels, len(self.task.data.classes), options.image_size)

    @property
    def model(self) -> TrainedModel:
        """The network in its present state, with all that its use needs."""
        data, options = self.task.data, self.task.settings.data
        description = NetworkDescription(
            **of_data(data),
            network=self._network,
            channels=options.channels,
            image_size=options.image_size,
            fit=options.fit,
            mean=self.inputs.mean,
            std=self.inputs.std,
            per_image=options.per_image,
            mirror=self.task.settings.retrain.mirror,
            covariates=self.task.split.coding if self._head else None,
        )
        return TrainedModel(self.network, description, head=self._head)

    @property
    def facts(self) -> Mapping[str, Any]:  # type: ignore[override]
        """Its parameters and multiply-adds, and what was known before training."""
        return {
            "parameters": count_parameters(self.network)
            + (count_parameters(self._head) if self._head else 0),
            "macs": count_macs(self.network, self.shape),
            **self._facts,
        }

    def fit(self, folder: RunFolder, reporter: Reporter, *, refit: bool = False) -> float:
        """Train, or resume from the last epoch saved."""
        task = self.task
        if refit:
            self.inputs = Inputs(task.data, task.settings.data, task.split.development)
            reporter.say(f"once more, from all {len(task.split.development)} images outside the test")
        else:
            self._show(folder, reporter)
        checkpoint = REFIT_CHECKPOINT if refit else CHECKPOINT
        validation = None if refit else self.inputs.plain(task.split.validation)

        def train(settings: RetrainSettings, clip: float | None) -> float:
            return self._train(settings, clip, folder.path / checkpoint, validation, reporter)

        seconds = train_with_second_attempt(folder, checkpoint, task.settings.retrain, reporter, train)
        self._take_covariates(refit=refit)
        return seconds

    def _take_covariates(self, *, refit: bool) -> None:
        """Fit what takes the covariates; after a refit with the shares that the validation images chose."""
        task, before, coding = self.task, self._head, self.task.split.coding
        if coding is None:
            return
        self._head = None  # what follows asks for the network's own logits
        data, chosen = task.data, task.split.validation
        training = task.split.development if refit else task.split.training
        head = CovariateHead(len(coding.inputs), len(data.classes))
        balanced = task.settings.data.class_balance != "none"
        head.fit_layer(coding.code(data.cells(training)), data.labels[training], balanced=balanced)
        if before is None:
            given = coding.code(data.cells(chosen))
            head.fit_shares(self.logits(data, chosen), given, data.labels[chosen])
        else:
            head.take_shares(before)
        self._head = head

    def _train(
        self,
        settings: RetrainSettings,
        clip: float | None,
        checkpoint: Path,
        validation: Batches | None,
        reporter: Reporter,
    ) -> float:
        self.__dict__.pop("network", None)  # build it anew: an earlier training must not count
        classes, seed = len(self.task.data.classes), self.task.seed
        timer = Timer()  # goes on counting after a resume
        callbacks = [ReportEachEpoch(reporter, again=validation is None), timer, *self._fine_tuning(settings)]
        trainer = make_trainer(settings, checkpoint, seed, *callbacks, classes=classes, clip=clip)
        module = LesionModule(
            settings,
            classes=classes,
            positive=self.task.data.positive_index,
            class_weights=self.inputs.class_weights,
            loss=settings.loss,
            label_smoothing=settings.label_smoothing,
            layer_decay=settings.layer_decay,
        )
        module.set_model(self.network)
        trainer.fit(
            module,
            self.inputs.training(settings.batch_size, seed),
            validation,
            ckpt_path=resume_from(checkpoint),
            weights_only=True,
        )
        return timer.time_elapsed("train")

    def _fine_tuning(self, settings: RetrainSettings) -> Iterator[Callback]:
        if settings.freeze_epochs:
            yield FreezeBody(settings.freeze_epochs, classifier_of(self.network))
        if settings.average == "ema":
            yield MovingAverage(settings.average_decay)

    def warnings(self, folder: Path) -> list[str]:
        """Return a sentence for each training that diverged and was repeated."""
        return divergences(folder, CHECKPOINT, REFIT_CHECKPOINT)

    def _show(self, folder: RunFolder, reporter: Reporter) -> None:
        if isinstance(self._network, CellNetwork):
            architecture = Architecture.from_sample(self._network.architecture)
            folder.write_bytes(CELLS_SVG, draw(architecture, "svg"))
            folder.write_bytes(CELLS_PNG, draw(architecture, "png"))
            reporter.picture("cells", folder.path / CELLS_PNG)
        images, _ = next(iter(self.inputs.training(16, self.task.seed)))
        reporter.samples("training images", images)

    def logits(self, data: LesionData, indices: np.ndarray) -> np.ndarray:
        """Return the logits of all classes."""
        return self.model.logits_of(data, indices)

    def save(self, folder: RunFolder, frozen: Frozen) -> None:
        """Write weights, description and ONNX, which the web UI shows too."""
        described = self.model.description.with_frozen(frozen)
        save_network(folder.path, self.network, described, self._head)
        covariates = len(described.covariates.inputs) if described.covariates else 0
        inputs = image_inputs(described.square.shape, covariates)
        for path in filter(None, (folder.path / ONNX, network_view_file())):
            export_onnx(self.model.inference_network, inputs, path)

    @property
    def steps(self) -> int:  # type: ignore[override]
        """How many steps its training has."""
        settings = self.task.settings.retrain
        steps = settings.epochs * len(self.inputs.training(settings.batch_size, self.task.seed))
        return min(steps, settings.max_steps or steps)

    def estimate(self) -> dict[str, float]:
        """Return the expected cost of training."""
        settings, split = self.task.settings.retrain, self.task.split
        network = self.network.to(device()).to(memory_format=torch.channels_last)
        training = self.inputs.training(settings.batch_size, self.task.seed)
        validation = self.inputs.plain(split.validation)
        first = split.validation[: validation.batch_size]
        validating = seconds_of(lambda: self.logits(self.task.data, first))
        trainings = 1 + len(self.task.split.development) / len(split.training) if self.task.refit else 1
        seconds = trainings * self.steps * training_seconds(network, training)
        seconds += math.ceil(self.steps / len(training)) * len(validation) * validating
        return estimate(seconds, self.disk_bytes).to_dict()


class BoostedMethod(NetworkMethod):
    """Boosted EfficientNet, with the changes that the settings choose, or those that were `found`."""

    sections: ClassVar[frozenset[str]] = NetworkMethod.sections | {"boosted"}

    def __init__(
        self,
        task: Task,
        found: Mapping[str, Any] | None = None,
        *,
        search_seen: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        cropping = "none" if task.settings.data.smallest_crop is None else "random_center"
        chosen = {**task.settings.boosted.model_dump(), **(found or {}), "cropping": cropping}
        super().__init__(
            task,
            BoostedNetwork.model_validate(chosen),
            start=start_classifier,
            search_seen=search_seen,
            facts={"saw_other_data": task.settings.boosted.pretrained, **(facts or {})},
        )


class BackboneMethod(NetworkMethod):
    """A network of timm or torchvision, from the weights that the settings name."""

    sections: ClassVar[frozenset[str]] = NetworkMethod.sections | {"backbone"}

    def __init__(self, task: Task, network: Backbone) -> None:
        options = task.settings.data
        shape = Shape(options.channels, len(task.data.classes), options.image_size)
        check(network, shape)
        self.weights = weights = find_weights(network, task.settings.backbone.weights)
        known = weights.known if weights else None
        super().__init__(
            task,
            network,
            start=partial(load_backbone, network=network, shape=shape, weights=weights),
            facts={"saw_other_data": weights is not None, "weights": known},
        )
        self.identity = {**self.identity, "weights": known}

    def warnings(self, folder: Path) -> list[str]:
        """Return, too, whose the weights are that it started from."""
        told = super().warnings(folder)
        return [*told, self.weights.warning] if self.weights else told


class EnasBMethod(NetworkMethod):
    """A network of found cells whose depth is a setting too."""

    sections: ClassVar[frozenset[str]] = NetworkMethod.sections | {"enas_b"}
