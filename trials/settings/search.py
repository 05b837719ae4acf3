"""The settings `search`: shared weights, rewards, what learns from them, and the final ranking."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from trials.settings.section import LARGEST_SIDE, setting
from trials.settings.training import TrainingSettings

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
        "log loss from the first reward, or the mean of the update's other samples (Kool et al. 2019), of "
        "which the differences count in standard deviations of the update (ours)",
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
