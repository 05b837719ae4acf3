"""The settings `retrain`, and what a search's training has in common with them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from trials.settings.section import Section, setting

AUXILIARY_WEIGHT = 0.4  # of the auxiliary head's loss beside the main one; ENAS's released code


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
