"""A trained network on disk: its weights, and `model.json`, all that is needed to rebuild and use it."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from safetensors.torch import save as dump_weights
from torch import Tensor, nn

from search_space.regular_files import not_a_file
from trials.data.augment import Plain, Policy
from trials.data.batches import Batches
from trials.data.covariates import CovariateCoding, Table
from trials.data.files.grey_range import BYTES, GreyRange
from trials.data.images import to_tensor
from trials.data.inputs import PLAIN_BATCH, device
from trials.errors import DamagedError, ModelError
from trials.evaluation.decisions import canonical, log_odds_of, probabilities
from trials.files import write_atomically
from trials.models import zoo
from trials.models.covariate_head import PREFIX, CovariateHead
from trials.models.inference import InferenceNetwork
from trials.models.specs import NOT_FOR, Network, Shape
from trials.nni_host.watchdog import heartbeat
from trials.runs.folder import read, read_json
from trials.runs.layout import MODEL_FILE, WEIGHTS
from trials.runs.predictions import Classes, Frozen, agree, frozen
from trials.settings.schema import LARGEST_SIDE, Section


class ModelDescription(Section):
    """What `model.json` holds.

    Images are made square by `fit`, scaled to 0..1 and standardised by `mean` and `std`. `decision` names the
    rule by which an image is called. `threshold` is where the probability of `positive`, of more than two
    classes of `threshold_of`, becomes that diagnosis, and `threshold_log_odds` the same in log odds, which
    decide; without those, as where a user sets another threshold, the threshold does. Without a threshold the
    likeliest class is called, or with `costs` [called what is] that of least expected cost. Logits divided by
    `temperature` are those of calibrated probabilities. All are frozen after training. `warnings`
    are doubts about the model that a user must know. With `per_image` each image is standardised once more by
    its own grey levels (`standardise_each`); with `mirror` the logits are the mean of those for the image and
    for its mirror image, left to right. `grey_range` are the values that become black and white of images
    that store more than 8 bits. `covariates` says how what is known beside the images becomes inputs; None:
    the model takes images alone.
    """

    network: Network
    channels: Literal[1, 3]
    classes: tuple[str, ...]  # in the order of the logits
    positive: str | None = None
    ordered: bool = False
    image_size: int = Field(ge=1, le=LARGEST_SIDE)
    fit: Literal["stretch", "pad", "center_crop"]
    mean: tuple[float, ...]  # one value, or one a channel
    std: tuple[Annotated[float, Field(gt=0)], ...]
    per_image: bool = False
    mirror: bool = False
    grey_range: GreyRange = BYTES
    covariates: CovariateCoding | None = None
    decision: Literal["", "youden", "argmax", "sensitivity", "costs"] = ""
    threshold: float | None = Field(default=None, ge=0, le=1)
    threshold_log_odds: float | None = None
    threshold_of: str | None = None
    costs: tuple[tuple[Annotated[float, Field(ge=0)], ...], ...] | None = None
    temperature: float = Field(default=1.0, ge=1e-3)  # logits over less than that may overflow
    warnings: tuple[str, ...] = ()
    not_for: str = NOT_FOR

    @property
    def squares(self) -> str:
        """How images become square, in words."""
        size = f"{self.image_size}x{self.image_size}"
        return (
            f"centre {size}, native resolution"
            if self.fit == "center_crop"
            else f"{self.fit} to {size}, bicubic"
        )

    @model_validator(mode="after")
    def _is_consistent(self) -> ModelDescription:
        named = {self.positive, self.threshold_of} - {None}
        if len(self.classes) < 2 or not named <= set(self.classes):
            raise ValueError(f"{sorted(map(str, named))}: expected two classes or more, {self.classes}")
        if len(self.classes) == 2 and (self.positive is None or self.threshold is None):
            raise ValueError("two classes need the positive one, and its threshold")
        if not self.grey_range.black < self.grey_range.white:
            raise ValueError(f"grey_range {list(self.grey_range)}: expected black below white")
        if len(self.mean) not in (1, self.channels) or len(self.mean) != len(self.std):
            raise ValueError(f"mean {self.mean} and std {self.std}: expected one value, or {self.channels}")
        odds = self.threshold_log_odds
        if odds is not None and (self.threshold is None or not agree(self.threshold, odds)):
            raise ValueError(
                f"threshold {self.threshold} and threshold_log_odds {odds} contradict each other; change "
                "both, or leave out threshold_log_odds"
            )
        return self

    @model_validator(mode="after")
    def _has_one_rule(self) -> ModelDescription:
        for problem in _rule_problems(self):
            raise ValueError(problem)
        return self

    @property
    def known(self) -> Classes:
        """The classes, of which one may be positive."""
        return Classes(self.classes, self.positive)

    @property
    def frozen(self) -> Frozen:
        """How an image is called, and the temperature."""
        return frozen(self.model_dump(), Path(MODEL_FILE))

    @property
    def cutoff(self) -> float | None:
        """The log odds of the threshold; None: the rule has none."""
        return None if self.threshold is None else float(self.frozen.decision.cutoff)

    def build(self) -> nn.Module:
        """Return the untrained network; raises ValueError for a network that cannot be."""
        return zoo.build(self.network, Shape(self.channels, len(self.classes), self.image_size))

    def build_head(self) -> CovariateHead | None:
        """Return what takes the covariates, not fitted; None: there are none."""
        coding = self.covariates
        return CovariateHead(len(coding.inputs), len(self.classes)) if coding else None


def _rule_problems(card: ModelDescription) -> Iterator[str]:
    """Yield what contradicts itself in the rule by which images are called."""
    k, costs, of = len(card.classes), card.costs, card.threshold_of or card.positive
    if len(set(card.classes)) < k:
        yield f"classes {list(card.classes)}: expected each name once"
    if costs is not None and {k} != {len(costs), *map(len, costs)}:
        yield f"costs {costs}: expected a row and a column for each of {k} classes"
    if costs is not None and card.threshold is not None:
        yield f"costs beside the threshold {card.threshold}: images are called by one rule; leave out one"
    if card.threshold is None and card.threshold_of is not None:
        yield f"threshold_of {card.threshold_of!r}: expected a threshold of that class"
    if card.threshold is not None and (of is None or (k == 2 and of != card.positive)):
        yield f"threshold {card.threshold} is of {of}: expected the positive class, or of more than two any"
    rule = "costs" if costs is not None else "argmax" if card.threshold is None else "sensitivity"
    if k > 2 and card.decision not in ("", rule):
        yield f"decision {card.decision!r}: threshold and costs are those of {rule!r}; change one of them"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network with its weights, and what it needs to be used.

    `head` takes the covariates; None: the model takes images alone.
    """

    network: nn.Module
    description: ModelDescription
    name: str = "the network"  # in errors
    head: CovariateHead | None = None

    @property
    def inference_network(self) -> nn.Module:
        """What maps standardised images [b, channels, side, side], and covariates [b, inputs] where the model
        takes some, to the logits that count.
        """
        card = self.description
        return InferenceNetwork(self.network, self.head, per_image=card.per_image, mirror=card.mirror)

    def inputs(self, covariates: Table | None, images: int) -> np.ndarray | None:
        """Return the inputs float32 [n, d] that covariates, cells by column, become; None: it takes none.

        Raises `ModelError` where they are not given, or for another number of images.
        """
        coding = self.description.covariates
        if coding is None:
            return None
        missing = [name for name in coding.names if name not in (covariates or {})]
        if covariates is None or missing:
            raise ModelError(
                f"{self.name}: takes covariates beside the images; give {', '.join(missing)}, a cell an image"
            )
        if found := {len(covariates[name]) for name in coding.names} - {images}:
            raise ModelError(f"{self.name}: {found.pop()} cells of a covariate for {images} images")
        return coding.code(covariates)

    def probabilities(
        self, images: Sequence[np.ndarray], view: Policy = Plain, covariates: Table | None = None
    ) -> np.ndarray:
        """Return the classes' probabilities [n, k]; as `logits`."""
        return probabilities(self.logits(images, view, covariates))

    def log_odds(
        self, images: Sequence[np.ndarray], view: Policy = Plain, covariates: Table | None = None
    ) -> np.ndarray:
        """Return the log odds of the positive class against all others [n]; as `logits`.

        Raises ValueError where no class is positive.
        """
        index = self.description.known.index
        if index is None:
            raise ValueError(f"{self.name}: none of its classes is positive; use logits or probabilities")
        return log_odds_of(self.logits(images, view, covariates), index)

    def logits(
        self, images: Sequence[np.ndarray], view: Policy = Plain, covariates: Table | None = None
    ) -> np.ndarray:
        """Return canonical logits of the classes [n, k]; images are uint8 [h, w] or [h, w, 3].

        `view` makes, as a policy of augmentation does, what the network sees of the square images.
        `covariates` are cells by column, one an image. Raises `ModelError` where the network gives no finite
        number, and where covariates that it takes are not given.
        """
        card, beside = self.description, self.inputs(covariates, len(images))
        squares = to_tensor(images, card.image_size, card.fit, card.channels)
        batches = Batches(
            squares,
            np.zeros(len(squares), dtype=np.int64),  # nothing is asked about labels
            batch_size=PLAIN_BATCH,
            shuffle=False,
            seed=0,
            channels=card.channels,
            mean=card.mean,
            std=card.std,
            augment=view,
            device=device(),
        )
        logits = network_logits(replace(self, head=None).inference_network, batches)
        if self.head is not None and beside is not None:
            logits = self.head.join(logits, beside)
        refuse_not_finite(logits, self.name)
        return canonical(logits, card.known.index)


def refuse_not_finite(logits: np.ndarray, name: str) -> None:
    """Raise `ModelError` that names the network where one of its logits [n, k] is not finite."""
    off = np.flatnonzero(~np.isfinite(logits).all(1))
    if len(off):
        raise ModelError(
            f"{name}: gives the logits {logits[off[0]].tolist()} for {len(off)} of {len(logits)} images, "
            "expected finite numbers: its training has diverged or its weights are damaged; put back the "
            "file, or train it again with a lower retrain.learning_rate"
        )


def network_logits(network: nn.Module, batches: Batches) -> np.ndarray:
    """Return the logits of a network, float64 [n, k], in the order of the batches."""
    network = network.to(device()).to(memory_format=torch.channels_last).eval()
    with torch.inference_mode():
        logits = []
        for images, _ in batches:
            heartbeat()
            logits.append(network(images.contiguous(memory_format=torch.channels_last)))
    return torch.cat(logits).double().cpu().numpy()


def save_model(
    folder: Path, network: nn.Module, description: ModelDescription, head: CovariateHead | None = None
) -> None:
    """Write both files; the auxiliary head, which only training needs, is left out."""
    beside = head.state_dict(prefix=PREFIX) if head else {}
    weights = {
        name: tensor.cpu().contiguous()
        for name, tensor in {**network.state_dict(), **beside}.items()
        if not name.startswith("auxiliary_head.")
    }
    write_atomically(folder / WEIGHTS, dump_weights(weights))
    write_atomically(folder / MODEL_FILE, (description.model_dump_json(indent=2) + "\n").encode())


def load_description(folder: Path) -> ModelDescription:
    """Read `model.json`; raises `ModelError` that names what is wrong with it, and as `read` does."""
    path = folder / MODEL_FILE
    if said := not_a_file(path):
        raise ModelError(
            f"{folder}: holds no {MODEL_FILE} ({said}); name the output folder of a trained network: what "
            "was published comes without weights, train it again"
        )
    try:
        values = read_json(path)
    except DamagedError:
        raise
    except ValueError as error:
        raise ModelError(str(error)) from None
    try:
        return ModelDescription.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}{_found(problem)}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ModelError(f"{path}: not a description of a model: {problems}") from None


def _found(problem: Mapping[str, Any]) -> str:
    """Return the value that a problem is with; not the whole description."""
    return f" = {reprlib.repr(problem['input'])}" if problem["loc"] and problem["type"] != "missing" else ""


def load_model(folder: str | Path) -> TrainedModel:
    """Read a trained model: its `network`, its `description`, and what it says of images.

    Its `logits(images)` and `probabilities(images)` are [n, k], a column a class in the order of
    `description.classes`; `log_odds(images)` are those of the positive class [n], where there is one.
    Raises `ModelError` for missing or unfitting files, and as `read` does.
    """
    folder = Path(folder)
    description = load_description(folder)
    try:
        network, head = description.build(), description.build_head()
    except (ValueError, RuntimeError, MemoryError) as error:  # the last two: too large
        raise ModelError(f"{folder / MODEL_FILE}: describes no network of ours: {error}") from None
    try:
        weights: dict[str, Tensor] = load_weights(read(folder / WEIGHTS))
        _load_weights(network, head, weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(
            f"{folder / WEIGHTS}: not the weights that {MODEL_FILE} describes: {error}"
        ) from None
    _refuse_weights(folder / WEIGHTS, weights)
    return TrainedModel(network.eval(), description, str(folder / WEIGHTS), head)


def _load_weights(network: nn.Module, head: CovariateHead | None, weights: Mapping[str, Tensor]) -> None:
    """Raises `RuntimeError` for weights that are missing, or of another network."""
    beside = {name: weight for name, weight in weights.items() if head and name.startswith(PREFIX)}
    network.load_state_dict({name: weight for name, weight in weights.items() if name not in beside})
    if head:
        head.load_state_dict({name.removeprefix(PREFIX): weight for name, weight in beside.items()})


def _refuse_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            value = tensor[~tensor.isfinite()][0].item()
            raise ModelError(
                f"{path}: {name} holds {value}, expected finite numbers: its training has diverged or the "
                "file is damaged; put it back, or train it again with a lower retrain.learning_rate"
            )
