"""The settings of a run, typed and validated: every name, its default and where that comes from.

Field defaults are the paper's: Ahmed, Du and AlZoubi (MIDL 2020, arXiv 2005.13695) where they say, else
ENAS's own (Pham et al. 2018, arXiv 1802.03268, and the released code), else a choice of ours, and each
description says which. `trials.settings.load` lays profiles and a user's own values over them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trials.errors import SettingsError

AUXILIARY_WEIGHT = 0.4  # of the auxiliary head's loss beside the main one; ENAS's released code


LARGEST_SEED = 2**32 - 1  # NumPy's
LARGEST_SIDE = 4096  # pixels; a model file holds no larger one
SIZE = ("width", "height")  # the columns of a lesion's box, beside its ratio
GRADED = ("ultrasound", "histology")  # augmentations that go as far as data.augmentation_strength says


class Section(BaseModel):
    """Values that never change once they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_boolean_is_a_number(cls, values: object) -> object:
        """Refuse what pydantic would take for 1 or 0."""
        for name, value in values.items() if isinstance(values, dict) else ():
            kinds = _kinds(cls.model_fields[name].annotation) if name in cls.model_fields else {Any}
            parts = value if isinstance(value, list | tuple) else [value]
            if not {bool, Any} & kinds and any(isinstance(part, bool) for part in parts):
                context = {"name": name, "input": value, "kind": "text" if str in kinds else "a number"}
                raise PydanticCustomError(BOOLEAN, "expected {kind} for {name}, found a boolean", context)
        return values


BOOLEAN = "boolean_for_a_number"


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that an annotation is made of; of a literal's values theirs."""
    arguments = get_args(annotation)
    if not arguments:
        return {annotation if isinstance(annotation, type) or annotation is Any else type(annotation)}
    return set().union(*map(_kinds, arguments))


def setting(default: Any, description: str, **limits: Any) -> Any:
    """Declare a setting; `...` stands for a default that the sections below it give."""
    return Field(default=default, description=description, **limits)


def _different_names(value: object, expected: str) -> list[str]:
    """Return the names in a list, or between commas."""
    names = [name for name in value.split(",") if name] if isinstance(value, str) else value
    names = [str(name).strip() for name in names] if isinstance(names, list | tuple) else [""]
    if not all(names) or len(set(names)) < len(names):
        raise ValueError(f"expected {expected}")
    return names


class DataSettings(Section):
    """How images become the networks' input."""

    image_size: int = setting(100, "side of the square input, pixels; the paper's", ge=16, le=LARGEST_SIDE)
    channels: Literal[1, 3] = setting(
        3, "input channels, grey repeated; the paper's, by its parameter counts"
    )
    fit: Literal["stretch", "pad", "center_crop"] = setting(
        "stretch",
        "stretch the crop to a square as the paper does, pad it to keep its proportions, or cut the square "
        "from its centre at native resolution",
    )
    per_image: bool = setting(
        False,
        "standardise each image by its own grey levels too, so that the gain it was recorded with does not "
        "matter; ours",
    )
    expand: bool = setting(True, "train on the paper's expanded set: rotated, mirrored, rank-k copies")
    augmentation: Literal["none", "paper", "ultrasound", "poses", "histology"] = setting(
        "none",
        "drawn anew for every batch: the paper's transformations, ones that suit ultrasound, quarter turns "
        "and mirroring alone, or with small changes of colour for histology (ours); the paper expands its "
        "training set beforehand instead",
    )
    augmentation_strength: float = setting(
        1.0,
        "how far ultrasound and histology go: their ranges are multiplied by this, 0 leaves mirroring and "
        "quarter turns alone; ours, and so are the ranges",
        ge=0,
        le=3,
    )
    smallest_crop: int | None = setting(
        None,
        "smallest side of random center crops of training images, which keep the centre 32x32 (Wang et al. "
        "2021, who do not say it; 48 is ours); unset: whole images",
        ge=1,
        le=LARGEST_SIDE,
    )
    class_balance: Literal["none", "weighted_loss", "balanced_sampling"] = setting(
        "none", "answer to unequal classes; the paper's set is balanced and needs none"
    )
    positive: str | None = setting(
        None,
        "name of the positive class; unset: malignant, the paper's, or with more than two classes and none "
        "of that name no class. Of more than two it is read against all others, beside the measures of all",
        coerce_numbers_to_str=True,
        min_length=1,
    )
    ordered: tuple[str, ...] | None = setting(
        None,
        "all classes from the least to the most, as a list or between commas, where they are grades; ours; "
        "unset: they have no order",
    )
    group_column: str | None = setting(
        None,
        "manifest column that names what must stay together, `folder` for the folder of each image, `none` "
        "for neither; unset: by the headings",
    )
    external_group_column: str | None = setting(None, "the same for an external data set")
    accept: tuple[Literal["labels", "left_out", "groups"], ...] = setting(
        (),
        "problems that are none in these data: names of classes taken for slips or for no label; more than a "
        "fifth of the images left out for one reason; or so many without a patient where others have "
        "one, or joined to another group for copies",
    )
    classes: tuple[str, ...] | None = setting(
        None,
        "names of the label numbers 0, 1, ... of an .npz, as a list or between commas; unset: MedMNIST's, by "
        "the file's name",
    )
    frames: bool = setting(
        False,
        "read whole frames where masks mark the lesions, so that frames without a lesion take part; ours",
    )
    duplicates: Literal["near", "copies"] = setting(
        "near",
        "what belongs together where nothing names groups: near-duplicates too, or copies alone, mirrored, "
        "turned, inverted and saved anew ones too, for images that look alike as they share a frame; ours",
    )
    validation_fraction: float = setting(
        0.1, "of the training images, held out by groups for rewards and thresholds; ENAS's", gt=0, le=0.5
    )
    fold_seed: int = setting(
        0,
        "of generated outer folds and of a balanced draw, apart from the training's seed; ours",
        ge=0,
        le=LARGEST_SEED,
    )
    balanced_draw: int | None = setting(
        262,
        "images drawn of every class before the folds are made, fewer of all where a class has fewer; the "
        "paper's 262 + 262 (its fold protocol is unknown); unset: all images",
        ge=2,
    )

    covariates: tuple[str, ...] = setting(
        (),
        "columns of the table beside the images that models are given too, as a list or between commas; "
        "`width`, `height` and `ratio` are there without a table where masks cut the lesions out; ours",
    )
    categories: tuple[str, ...] = setting(
        (), "those of data.covariates that are categories although all their cells are numbers"
    )
    log_covariates: tuple[str, ...] = setting(
        SIZE,
        "those of which the logarithm counts, as a size acts by its ratio to others; ours",
    )

    @field_validator("covariates", "categories", "log_covariates", mode="before")
    @classmethod
    def _names_of_columns(cls, value: object) -> object:
        return _different_names(value, "names of columns, all different, such as age,device")

    @model_validator(mode="after")
    def _columns_are_covariates(self) -> DataSettings:
        for name, those in (("categories", ()), ("log_covariates", SIZE)):
            if idle := [one for one in getattr(self, name) if one not in (*self.covariates, *those)]:
                raise ValueError(
                    f"data.{name} names {idle[0]}, which is none of data.covariates: name it there, or leave "
                    "it out here"
                )
        if both := [one for one in self.categories if one in self.log_covariates]:
            raise ValueError(
                f"data.categories and data.log_covariates both name {both[0]}: a category has no logarithm; "
                "leave it out of one of them"
            )
        return self

    @field_validator("classes", "ordered", mode="before")
    @classmethod
    def _several_names(cls, value: object) -> object:
        if value is None:
            return None
        names = value.split(",") if isinstance(value, str) else value
        names = [str(name).strip() for name in names] if isinstance(names, list | tuple) else []
        if len(names) < 2 or not all(names) or len(set(names)) < len(names):
            raise ValueError("expected two names or more, all different, such as normal,pneumonia")
        return names

    @model_validator(mode="after")
    def _strength_has_an_effect(self) -> DataSettings:
        if self.augmentation_strength != 1 and self.augmentation not in GRADED:
            raise ValueError(
                f"data.augmentation_strength = {self.augmentation_strength:g} changes {' and '.join(GRADED)} "
                f"alone, and data.augmentation is {self.augmentation}: set one of them otherwise"
            )
        return self


class TrainingSettings(Section):
    """What a search's shared weights and a retrained network have in common."""

    section: ClassVar[str]  # how its settings' names begin

    epochs: int = setting(..., "passes over the training images", ge=1)
    batch_size: int = setting(8, "images a step; the paper's", ge=2)
    max_steps: int | None = setting(None, "stop after so many steps (ours); unset: all epochs", ge=1)
    filters: int = setting(..., "filters of the first cells, doubled at each reduction", ge=2)
    stem_stride: Literal[1, 2, 4] = setting(
        1, "how much smaller than the image the first cells' maps are; ENAS's 1, whose images are 32x32"
    )
    learning_rate: float = setting(0.05, "highest learning rate; ENAS's", gt=0)
    learning_rate_min: float = setting(..., "lowest learning rate", ge=0)
    schedule: Literal["restarts", "one_cycle"] = setting(
        "restarts",
        "ENAS's cosine with warm restarts, which the paper's 100 epochs leave unannealed, or one cycle: "
        "warm-up, then one cosine down to the lowest rate on the last step (ours)",
    )
    t0: int = setting(10, "epochs before the first restart; ENAS's", ge=1)
    t_mul: int = setting(2, "growth of the interval between restarts; ENAS's", ge=1)
    warm_up: float = setting(0.1, "share of the steps that one_cycle warms up for; ours", ge=0, lt=1)
    optimizer: Literal["sgd", "adamw"] = setting(
        "sgd",
        "ENAS's stochastic gradient descent, or AdamW, which suits the fine-tuning of pretrained weights",
    )
    momentum: float = setting(0.9, "Nesterov momentum of sgd; ENAS's", ge=0, lt=1)
    weight_decay: float = setting(
        ..., "PyTorch's weight decay, on every weight: twice the lambda of ENAS's loss term", ge=0
    )
    dropout: float = setting(..., "share dropped before the classifier", ge=0, lt=1)
    auxiliary: bool = setting(
        True,
        f"train with an auxiliary head, its loss weighted {AUXILIARY_WEIGHT}; ENAS's (which leaves that "
        "head's own weights untrained; here they are trained)",
    )

    @model_validator(mode="after")
    def _lowest_rate_is_the_lowest(self) -> TrainingSettings:
        if self.learning_rate_min > self.learning_rate:
            raise ValueError(
                f"{self.section}.learning_rate_min = {self.learning_rate_min:g} is above "
                f"{self.section}.learning_rate = {self.learning_rate:g}: raise the one or lower the other"
            )
        return self


_OF_CELLS = {"finalists", "start"}  # settings of a search that other spaces have no use for, and the limits


class SearchSettings(TrainingSettings):
    """One search: shared weights, controller, final ranking."""

    section = "search"

    space: Literal["cells", "boosted"] = setting(
        "cells",
        "what is searched: ENAS's pairs of cells, or the changes of Boosted EfficientNet (downsampling, "
        "attention, fusion, frozen stages), whose shared weights start from ImageNet's, with an optimiser, "
        "rates and rewards of their own; ours",
    )
    strategy: Literal["enas", "random", "evolution", "local"] = setting(
        "enas",
        "ENAS, or a control of equal budget: random search, regularized evolution or local search; the last "
        "two learn from as many rewards as ENAS's controller",
    )
    epochs: int = setting(150, "passes over the training images; ENAS's", ge=1)
    max_steps: int | None = setting(
        None,
        "stop after so many steps; where the images make several times as many, an epoch is a part of them, "
        "so that warm-up and controller have their epochs whatever the number of images (ours); unset: all "
        "epochs, of all images",
        ge=1,
    )
    normal_cells: int = setting(6, "normal cells of the shared network; ENAS's", ge=1)
    nodes: int = setting(5, "nodes in a cell; ENAS's", ge=1)
    filters: int = setting(20, "filters of the first cells; ENAS's", ge=2)
    image_size: int | None = setting(
        None, "search at this size (ours); unset: data.image_size", ge=16, le=LARGEST_SIDE
    )
    learning_rate_min: float = setting(0.0005, "lowest learning rate; ENAS's", ge=0)
    weight_decay: float = setting(2e-4, "PyTorch's weight decay; ENAS's lambda 1e-4, doubled", ge=0)
    dropout: float = setting(0.1, "share dropped before the classifier; ENAS's", ge=0, lt=1)
    warmup_epochs: int = setting(
        0,
        "epochs of uniformly drawn architectures before the strategy draws and learns; ENAS has none",
        ge=0,
    )
    controller_updates: int = setting(30, "controller updates after every epoch; ENAS's", ge=0)
    controller_samples: int = setting(10, "architectures averaged in an update; ENAS's", ge=1)
    reward: Literal["accuracy", "log_loss", "auc"] = setting(
        "accuracy",
        "what rewards and the final ranking measure on validation images: accuracy, ENAS's, minus the log "
        "loss, of probabilities as they are, or the area under the ROC curve, of more than two classes the "
        "mean over them",
    )
    reward_batch_size: int = setting(
        8, "validation images a batch that is scored, and a reward; as the batch, ENAS's rule", ge=1
    )
    reward_images: int | None = setting(
        None,
        "validation images a reward, in whole batches of search.reward_batch_size, all where there are "
        "fewer; ours; unset: one batch, ENAS's",
        ge=1,
    )
    reward_dropout: bool = setting(
        True, "keep dropout on while rewards are measured, ENAS's; the final ranking never does"
    )
    reward_shared: bool = setting(
        False,
        "measure all architectures of an update, of an epoch in evolution and local search, on the same "
        "images, so that their differences are not the images' (ours); ENAS measures each on other ones",
    )
    baseline: Literal["moving_average", "leave_one_out"] = setting(
        "moving_average",
        "what is subtracted from a reward: the average of all before it, ENAS's, which starts from 0, with "
        "log loss from the first reward, or the mean of the update's other samples (Kool et al. 2019)",
    )
    population: int = setting(
        100, "members of the population of evolution, whose oldest dies with each child; Real et al.'s", ge=1
    )
    tournament: int = setting(25, "members that compete to be the parent of a child; Real et al.'s", ge=1)
    final_samples: int = setting(100, "architectures scored at the end; ours, the papers are silent", ge=1)
    top_k: int = setting(10, "best architectures exported; ours", ge=1)
    most_parameters: int | None = setting(
        None,
        "limit on the final network's weights, without auxiliary head, in search.limit_layout and of "
        "retrain.filters; ours; unset: none",
        ge=1,
    )
    most_macs: int | None = setting(
        None, "limit on its multiply-adds for an image of data.image_size; ours; unset: none", ge=1
    )
    most_milliseconds: float | None = setting(
        None,
        "limit on its time for one image on this machine's processor, by a table of its layers that the "
        "search measures at its start; ours; unset: none",
        gt=0,
    )
    limit_weight: float = setting(
        0.1, "weight of |cost / limit - 1|, which a limit takes off every reward; TuNAS's released code", ge=0
    )
    limit_layout: str = setting(
        "enas7",
        "layout of the network that a limit is of, and of finalists; ours",
        pattern=r"^enas([3-9]|[1-9]\d{1,3})$",
    )
    finalists: int | None = setting(
        None,
        "so many of the ranking's best are trained alone, by the retraining's recipe for few epochs; the "
        "better half for twice as many, and so on, and the last one left is what the search has found "
        "(successive halving); ours; unset: the ranking's best",
        ge=2,
    )
    start: str | None = setting(
        None,
        "folder of a finished search, of other data too, whose shared weights this one starts from, heads "
        "apart; of the same search.normal_cells, filters, nodes and stem_stride; ours; unset: random weights",
        min_length=1,
    )
    finalist_epochs: int = setting(1, "epochs of every finalist at first; ours", ge=1)
    finalist_criterion: Literal["validation_loss", "training_loss"] = setting(
        "validation_loss", "what the better ones have less of; training_loss: its sum over the epochs; ours"
    )

    @model_validator(mode="after")
    def _has_one_limit(self) -> SearchSettings:
        if len(set_ := self._limits) > 1:
            names = " and ".join(f"search.most_{name}" for name in set_)
            raise ValueError(f"{names}: a search keeps one limit; set one of them")
        return self

    @model_validator(mode="after")
    def _asks_of_cells_what_cells_have(self) -> SearchSettings:
        named = [
            *(f"most_{name}" for name in self._limits),
            *self.model_dump(exclude_none=True).keys() & _OF_CELLS,
        ]
        if self.space != "cells" and named:
            raise ValueError(
                f"search.space = {self.space} has no cells, and search.{named[0]} is for cells: unset one of "
                "them"
            )
        return self

    @model_validator(mode="after")
    def _ranks_its_finalists(self) -> SearchSettings:
        if (self.finalists or 0) > self.final_samples:
            raise ValueError(
                f"search.finalists = {self.finalists}, but only {self.final_samples} are ranked: set fewer, "
                "or more search.final_samples"
            )
        return self

    @model_validator(mode="after")
    def _has_a_strategy_that_learns(self) -> SearchSettings:
        if self.strategy != "random" and self.warmup_epochs >= self._most_epochs:
            raise ValueError(
                f"search.warmup_epochs = {self.warmup_epochs} leaves none of {self._most_epochs} epochs, by "
                f"search.epochs and search.max_steps, for {self.strategy} to learn in: change one of them"
            )
        return self

    @model_validator(mode="after")
    def _has_rewards_that_can_be(self) -> SearchSettings:
        if self.reward == "auc" and self.reward_images is None:
            raise ValueError(
                f"search.reward = auc: a batch of {self.reward_batch_size} images may lack a class; set "
                "search.reward_images to more, such as 1000, which stands for all where there are fewer"
            )
        if self.baseline == "leave_one_out" and self.controller_samples < 2:
            raise ValueError(
                "search.baseline = leave_one_out is a mean of an update's other samples, and "
                f"search.controller_samples = {self.controller_samples}: set 2 or more"
            )
        return self

    @model_validator(mode="after")
    def _has_a_population_with_children(self) -> SearchSettings:
        if self.tournament > self.population:
            raise ValueError(
                f"search.tournament = {self.tournament} is above search.population = {self.population}: "
                "lower it"
            )
        rewards = (self._most_epochs - self.warmup_epochs) * self.rewards
        if self.strategy == "evolution" and self.population >= rewards:
            raise ValueError(
                f"search.population = {self.population}: no member has a child within {rewards} rewards, by "
                "search.epochs, warmup_epochs, controller_updates and controller_samples; lower it"
            )
        return self

    @property
    def _most_epochs(self) -> int:
        return min(self.epochs, self.max_steps or self.epochs)  # each has a step or more

    @property
    def rewards(self) -> int:
        """How many rewards a strategy that learns measures after every epoch."""
        return self.controller_updates * self.controller_samples

    @property
    def _limits(self) -> dict[str, float]:
        names = ("parameters", "macs", "milliseconds")
        values = {name: getattr(self, f"most_{name}") for name in names}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def limit(self) -> tuple[str, float] | None:
        """What the search limits, by its name in the settings, and how much it may be; None: no limit."""
        return next(iter(self._limits.items()), None)

    @property
    def layout(self) -> str:
        """Name of the shared network's layout: ENAS adds two reduction cells to the normal ones."""
        return f"enas{self.normal_cells + 2}"


class RetrainSettings(TrainingSettings):
    """One final network, trained from scratch."""

    section = "retrain"

    epochs: int = setting(100, "passes over the training images; the paper's", ge=1)
    filters: int = setting(36, "filters of the first cells; ENAS's, and the paper's by its counts", ge=2)
    learning_rate_min: float = setting(0.0001, "lowest learning rate; ENAS's", ge=0)
    weight_decay: float = setting(4e-4, "PyTorch's weight decay; ENAS's lambda 2e-4, doubled", ge=0)
    dropout: float = setting(0.2, "share dropped before the classifier; ENAS's", ge=0, lt=1)
    drop_path: float = setting(0.4, "highest share of dropped paths; ENAS's", ge=0, lt=1)
    output_norm: bool = setting(
        True,
        "normalise the last cell's output by batch norm without weights, so that training does not diverge "
        "whatever the cells; ours, and no parameter more; false: ENAS's own",
    )
    loss: Literal["cross_entropy", "ordinal"] = setting(
        "cross_entropy",
        "what training lowers: cross-entropy, ENAS's, or, of ordered classes, the squared earth mover's "
        "distance too, by which a mistake costs more the more grades it is off (Hou et al. 2016; the sum is "
        "ours)",
    )
    start: str | None = setting(
        None,
        "folder of a finished search, of other data too, whose shared weights the operations of the cells "
        "start from; its search.filters are retrain.filters; networks of cells alone; ours; unset: random "
        "weights",
        min_length=1,
    )
    mirror: bool = setting(
        False, "in use, average the logits of an image and of its mirror image; ours, at twice the work"
    )
    label_smoothing: float = setting(
        0.0,
        "share of each label that is given to all classes alike (Szegedy et al. 2016), so that the network "
        "is less sure of labels that may be wrong; ENAS has none",
        ge=0,
        lt=1,
    )
    layer_decay: float = setting(
        1.0,
        "learning rate of each layer as a share of the next one's, so that early pretrained layers change "
        "least (Clark et al. 2020, 0.65 to 0.9); networks of timm and torchvision alone; 1: one rate for all",
        gt=0,
        le=1,
    )
    freeze_epochs: int = setting(
        0,
        "epochs at the start in which the classifier alone learns, so that its random weights do not shake "
        "pretrained ones; networks of timm and torchvision alone; ours",
        ge=0,
    )
    average: Literal["none", "ema"] = setting(
        "none",
        "use the last step's weights, as ENAS does, or their exponential moving average over the steps, "
        "which wavers less from step to step (Polyak and Juditsky 1992)",
    )
    average_decay: float = setting(
        0.99,
        "share that the moving average keeps at each step; over about 1/(1 - share) steps; ours",
        ge=0,
        lt=1,
    )


class BoostedSettings(Section):
    """The choices of Boosted EfficientNet (Wang et al., Cancers 2021) that are the network's.

    Random center cropping, the fourth, is data.smallest_crop. `search_space.BoostedEfficientNet` says how
    each is made, which the paper does not; the defaults are EfficientNet.
    """

    variant: Literal["lite0", "lite1", "lite2", "b0", "b1", "b2", "b3"] = setting(
        "b0", "EfficientNet's size, or EfficientNet-Lite's; ours, the smallest, as the paper's is unknown"
    )
    pretrained: bool = setting(
        False,
        "start from ImageNet weights: those of lite0 to lite2 come with the extra methods, the others "
        "torchvision downloads; ours, as the paper's start is unknown",
    )
    downsampling: Literal[32, 16, 8] = setting(
        32, "how many times smaller than the image the last maps are; EfficientNet's 32"
    )
    attention: Literal["library", "cbam", "none"] = setting(
        "library", "EfficientNet's squeeze-and-excitation, CBAM after each stage as well, or none of both"
    )
    fusion: bool = setting(False, "join the means of the maps of stages 3 and 5 to those of the last")
    frozen: Literal[0, 3, 5, 8] = setting(
        0, "so many stages, and the stem, keep their ImageNet weights; 8: all but what is added; ours"
    )

    @model_validator(mode="after")
    def _freezes_what_has_learned(self) -> BoostedSettings:
        if self.frozen and not self.pretrained:
            raise ValueError(
                f"boosted.frozen = {self.frozen} would keep random weights: set boosted.pretrained=true, or "
                "leave it at 0"
            )
        return self


class BackboneSettings(Section):
    """Where a network of timm or torchvision starts."""

    weights: str = setting(
        "published",
        "the weights that its library publishes under its name, from its cache or hub; random; or a file: "
        ".safetensors, or a state dict saved by torch; ours",
        min_length=1,
    )


class EnasBSettings(Section):
    """What ENAS-B chooses beside settings that others have too."""

    cells: int = setting(
        7, "cells of the network, its depth; ours, the smaller of the paper's layouts", ge=3, le=99
    )


class ClassicalSettings(Section):
    """What the classical features and classifiers have to choose."""

    mirror: bool = setting(
        False,
        "mirror images, left to right, are learned from too, and in use the logits of an image and of its "
        "mirror image are averaged; ours",
    )


class ProtocolSettings(Section):
    """What all methods alike go through."""

    refit: bool = setting(
        False,
        "once the validation images have chosen threshold and temperature, learn once more from the start, "
        "from those images too; ours, at twice the work. What tunes or ranks does without",
    )
    cross_fit: int | None = setting(
        None,
        "into how many parts the images outside the test are divided: as many models are trained, each "
        "without one part, which it then predicts, so that all of these images choose threshold, temperature "
        "and weights; the models decide together. Ours, at so many times the work; data with a split of "
        "their own keep it, and the models differ by their seeds. Unset: one model, and "
        "data.validation_fraction says how many images choose",
        ge=2,
        le=20,
    )
    decision: Literal["youden", "argmax"] | None = setting(
        None,
        "which class an image is called: from the threshold of Youden's index on the validation images up, "
        "for two classes, or the likeliest; ours; unset: youden for two classes, argmax for more",
    )
    sensitivity: tuple[str, float] | None = setting(
        None,
        "the highest threshold at which the validation images of a class are called so at this share or "
        "more, such as malignant=0.95, in place of both; ours; unset: none",
    )
    costs: tuple[tuple[str, str, float], ...] | None = setting(
        None,
        "calls of least expected cost by calibrated probabilities, in place of both: a list of [class, "
        "called so, cost], such as [[malignant, benign, 5]]; other mistakes cost 1, right calls 0; ours; "
        "unset: none",
    )

    @model_validator(mode="after")
    def _trains_each_model_once(self) -> ProtocolSettings:
        if self.refit and self.cross_fit:
            raise ValueError(
                "protocol.refit and protocol.cross_fit = "
                f"{self.cross_fit}: in a cross-fit all images are learned from already; leave out one"
            )
        return self

    @field_validator("sensitivity", mode="before")
    @classmethod
    def _of_a_class(cls, value: object) -> object:
        if value is None:
            return None
        parts = value.rpartition("=")[::2] if isinstance(value, str) else value
        try:
            name, share = str(parts[0]), float(parts[1])  # type: ignore[index]
        except (TypeError, ValueError, LookupError):
            name, share = "", 0.0
        if not (name and 0 < share <= 1):
            raise ValueError("expected a class and a share above 0, up to 1, such as malignant=0.95")
        return name, share

    @field_validator("costs")
    @classmethod
    def _of_mistakes(cls, value: tuple[tuple[str, str, float], ...] | None) -> object:
        pairs = [(true, called) for true, called, _ in value or ()]
        if twice := [pair for pair in pairs if pairs.count(pair) > 1]:
            raise ValueError(f"{' called '.join(twice[0])} has two costs: keep one of them")
        for true, called, cost in value or ():
            if true == called or cost < 0:
                raise ValueError(
                    f"[{true}, {called}, {cost:g}]: expected two classes and a cost of 0 or more"
                )
        return value

    @model_validator(mode="after")
    def _has_one_rule(self) -> ProtocolSettings:
        rules = [name for name in ("decision", "sensitivity", "costs") if getattr(self, name) is not None]
        if len(rules) > 1:
            names = " and ".join(f"protocol.{name}" for name in rules)
            raise ValueError(f"{names}: images are called by one rule; set one of them")
        return self


class EnsembleSettings(Section):
    """What the method `ensemble` joins."""

    members: tuple[str, ...] = setting(
        (), "names of the methods that decide together; two or more", max_length=20
    )
    weights: Literal["greedy", "equal"] = setting(
        "greedy",
        "how much each counts: chosen on the validation images, after Caruana et al. (ICML 2004), unless "
        "equal weights do as well on images that the choice has not seen (ours), or equal",
    )

    @field_validator("members", mode="before")
    @classmethod
    def _names_of_methods(cls, value: object) -> object:
        return _different_names(value, "names of methods, all different, such as hog_geometry,cells7")


class Settings(Section):
    """All settings of a run, under the name of the profile that they started from.

    `given` are those that were set over the profile; no dump has them apart.
    """

    profile: str = "paper"
    data: DataSettings = DataSettings()
    search: SearchSettings = SearchSettings()
    retrain: RetrainSettings = RetrainSettings()
    boosted: BoostedSettings = BoostedSettings()
    backbone: BackboneSettings = BackboneSettings()
    enas_b: EnasBSettings = EnasBSettings()
    classical: ClassicalSettings = ClassicalSettings()
    protocol: ProtocolSettings = ProtocolSettings()
    ensemble: EnsembleSettings = EnsembleSettings()

    _names: frozenset[str] = PrivateAttr(default=frozenset())  # of what was given

    @model_validator(mode="after")
    def _grades_have_an_order(self) -> Settings:
        if self.retrain.loss == "ordinal" and self.data.ordered is None:
            raise ValueError(
                "retrain.loss = ordinal is for ordered classes: name them from the least to the most, "
                "data.ordered, or train with retrain.loss = cross_entropy"
            )
        return self

    @model_validator(mode="after")
    def _searches_from_weights_that_there_are(self) -> Settings:
        if self.search.space != "boosted":
            return self
        if chosen := self.boosted.model_dump(exclude_defaults=True).keys() - {"variant", "pretrained"}:
            raise ValueError(
                f"boosted.{min(chosen)} is among what search.space = boosted searches: leave one of them out"
            )
        if not self.boosted.pretrained:
            raise ValueError(
                "search.space = boosted starts from ImageNet weights, and boosted.pretrained is false: take "
                "the profile cpu_pretrained or patches_pretrained, or set it true"
            )
        return self

    @property
    def given(self) -> dict[str, object]:
        """What was set over the profile, by dotted name."""
        names = {name: name.split(".") for name in sorted(self._names)}
        return {name: getattr(getattr(self, section), key) for name, (section, key) in names.items()}


KEYS = {  # every dotted name with its description
    f"{section}.{name}": field.description or ""
    for section, sub in Settings.model_fields.items()
    if isinstance(sub.default, Section)
    for name, field in type(sub.default).model_fields.items()
}


def check_folds(folds: int, fold: int | None, seed: int) -> None:
    """Raise `SettingsError` for folds, one of them to set aside, and a seed that cannot be.

    1 fold is what data with a split of their own have.
    """
    if folds < 1:
        raise SettingsError(f"folds = {folds}: expected 2 or more, or 1 for data with a split of their own")
    if fold is not None and not 0 <= fold < folds:
        raise SettingsError(f"fold = {fold}: there are {folds} folds, counted from 0")
    if not 0 <= seed <= LARGEST_SEED:
        raise SettingsError(f"seed = {seed}: expected a whole number from 0 to {LARGEST_SEED}")
