"""A model without what it has learned: the same with random weights, for the sanity check of maps.

Networks get new weights. In a classical model each support vector gets another one's coefficient, and each
input of a regression another one's weight; a frozen network stays, as nothing was learned by it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from trials.models.classical import ClassicalModel
from trials.models.classifiers import Classifier, Linear, SupportVectors
from trials.models.ensemble import EnsembleModel
from trials.models.model import Model
from trials.models.network import TrainedModel


def unlearned(model: Model, seed: int = 0) -> Model:
    """Return a model of any kind with random weights; the same seed gives the same ones."""
    if isinstance(model, TrainedModel):
        return with_random_weights(model, seed)
    if isinstance(model, ClassicalModel):
        return replace(model, classifier=_shuffled(model.classifier, np.random.default_rng(seed)))
    if isinstance(model, EnsembleModel):
        return replace(model, members=[unlearned(one, seed + at) for at, one in enumerate(model.members)])
    raise TypeError(f"{model.name}: nothing draws new weights of a {type(model).__name__}")


def with_random_weights(model: TrainedModel, seed: int = 0) -> TrainedModel:
    """Return a network with weights as before its training, on the processor."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return replace(model, network=model.description.build().eval())


def _shuffled(classifier: Classifier, random: np.random.Generator) -> Classifier:
    if isinstance(classifier, SupportVectors):
        return replace(classifier, coefficients=random.permutation(classifier.coefficients, axis=1))
    assert isinstance(classifier, Linear)
    return replace(classifier, weights=random.permutation(classifier.weights, axis=1))
