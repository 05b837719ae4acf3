"""A classical model in use, as a module: features of bytes, and a classifier of them, in float64."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trials.errors import ExportError
from trials.models import classifier_modules
from trials.models.classical import ClassicalModel
from trials.models.classifiers import Classifier, Linear, SupportVectors
from trials.models.features import CELL, ORIENTATIONS, SIDE
from trials.models.hog import Hog, cell_moments, grey
from trials.models.inference import Inference
from trials.models.square import Square


class Gradients(nn.Module):
    """`features.gradients` of grey pixels [b, side, side]."""

    def __init__(self) -> None:
        super().__init__()
        self.hog = Hog(CELL, orientations=ORIENTATIONS)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the features, float64 [b, d]."""
        histograms: Tensor = self.hog(pixels)
        return histograms


class GradientCells(nn.Module):
    """`features.gradient_cells` of grey pixels [b, side, side]."""

    def __init__(self) -> None:
        super().__init__()
        self.hog = Hog(CELL, block=1, norm="L2", orientations=ORIENTATIONS)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the features, float64 [b, d]."""
        return torch.cat([self.hog(pixels), cell_moments(pixels, CELL)], dim=1)


_FEATURES: Mapping[str, type[nn.Module]] = {"gradients": Gradients, "gradient_cells": GradientCells}


class InferenceClassical(Inference):
    """A classifier of features and covariates, with its mirror image.

    Raises `ExportError` for features that no square has.
    """

    def __init__(self, model: ClassicalModel) -> None:
        card = model.description
        super().__init__(card)
        if missing := [name for name in card.features if name not in _FEATURES]:
            raise ExportError(
                f"{model.name}: sees {', '.join(missing)} of images in their own size, and an export takes "
                f"squares; export a model of {' or '.join(_FEATURES)}, or an ensemble without this one"
            )
        self.squares = (Square(SIDE, "stretch", 3),) if card.features else ()
        if card.backbone:
            self.squares = (card.backbone.square,)
        self.mirror, self.frozen = card.mirror, model.frozen
        self.features = nn.ModuleList(_FEATURES[name]() for name in card.features)
        self.classifier = _classifier_module(model.classifier)

    def logits(self, *inputs: Tensor) -> Tensor:
        """Map images [b, 3, side, side] if it sees some, and covariates [b, d], to logits [b, classes]."""
        seen = [inputs[-1].double()] if self.covariates else []
        if self.squares:
            images = inputs[0]
            if self.mirror:  # both together, as one is half the graph
                images, seen = torch.cat([images, images.flip(-1)]), [torch.cat([one, one]) for one in seen]
            seen.append(self._features(images))
        scores: Tensor = self.classifier(torch.cat(seen, dim=1))
        if self.squares and self.mirror:
            scores = scores.reshape(2, -1, scores.shape[1]).mean(0)
        if not self.two:
            return scores
        pair = [scores, torch.zeros_like(scores)]
        return torch.cat(pair if self.positive == 0 else pair[::-1], dim=1)

    def _features(self, images: Tensor) -> Tensor:
        """Return the features, float64 [b, d], of squares [b, 3, side, side]."""
        if self.frozen is not None:
            deep: Tensor = self.frozen(images).double()
            return deep
        pixels = grey(images)
        return torch.cat([features(pixels) for features in self.features], dim=1)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return `said` of the inputs, in float32."""
        return tuple(one.float() for one in self.said(self.logits(*inputs)))


def _classifier_module(classifier: Classifier) -> nn.Sequential:
    """Return what maps features [b, d] to the classifier's scores [b, 1 or k]."""
    given = {name: torch.from_numpy(array) for name, array in classifier.arrays.items()}
    scaler = classifier_modules.Scaler(given["mean"], given["scale"])
    if isinstance(classifier, Linear):
        return nn.Sequential(scaler, classifier_modules.Linear(given["weights"], given["bias"]))
    assert isinstance(classifier, SupportVectors)
    machine = classifier_modules.SupportVectors(
        given["vectors"], given["coefficients"], given["bias"], float(classifier.gamma[0])
    )
    if classifier.sigmoids is None:
        return nn.Sequential(scaler, machine)
    sigmoids = classifier_modules.Sigmoids(*given["sigmoids"].T.contiguous())
    return nn.Sequential(scaler, machine, sigmoids)
