"""Frozen features as a method: a network as it was published, and an SVM of what it makes of the images."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from trials.data.inputs import PLAIN_BATCH
from trials.data.task import Task
from trials.methods.classical import ClassicalMethod, Seen
from trials.methods.learners import SVMLearner
from trials.models.backbones import find_weights
from trials.models.frozen_features import FrozenFeatures, start_frozen
from trials.models.specs import Backbone, Shape
from trials.models.square import Square
from trials.models.zoo import count_macs, count_parameters
from trials.training.estimate import estimate, seconds_of
from trials.training.seeding import seed_everything


class FrozenMethod(ClassicalMethod):
    """An SVM of the features of a network of timm or torchvision, whose weights stay as they are found.

    The network sees grey images as colour, whatever `data.channels` says.
    """

    def __init__(self, task: Task, network: Backbone) -> None:
        super().__init__(task, Seen(standardised=True, deep=True), SVMLearner())
        options = task.settings.data
        self._network, self._square = network, Square(options.image_size, options.fit, 3)
        self.weights = weights = find_weights(network, task.settings.backbone.weights)
        known = weights.known if weights else None
        self.sections |= {"backbone"}  # type: ignore[misc]
        self.identity = {"network": network.model_dump(mode="json"), "weights": known}
        self.facts = {
            "parameters": count_parameters(self.frozen.network),
            "macs": count_macs(self.frozen.network, Shape(3, 2, options.image_size)),
            "saw_other_data": weights is not None,
            "weights": known,
        }
        vectors = len(task.split.development) * (1 + self._mirror)
        self.disk_bytes += 4 * self.facts["parameters"] + 8 * vectors * self.frozen.card.outputs

    @cached_property
    def frozen(self) -> FrozenFeatures:
        """The network; random weights are drawn from the seed."""
        seed_everything(self.task.seed)
        return start_frozen(self._network, self._square, self.weights)

    def warnings(self, folder: Path) -> list[str]:
        """Return, too, whose the weights are."""
        return [*super().warnings(folder), *([self.weights.warning] if self.weights else [])]

    def estimate(self) -> dict[str, float]:
        """Return the expected cost of the training images' features; that of the SVM is not in it."""
        split, views = self.task.split, 1 + self._mirror
        images = [self.task.data.images[i] for i in split.training[:PLAIN_BATCH]]
        asked = len(split.training) + self.task.refit * len(split.development)
        seconds = seconds_of(lambda: self.frozen.of(images)) * asked * views / len(images)
        return estimate(seconds, self.disk_bytes).to_dict()
