"""The settings `data`: which images there are, and how they become the networks' input."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator, model_validator

from trials.settings.section import LARGEST_SEED, LARGEST_SIDE, Section, different_names, setting

SIZE = ("width", "height")  # the columns of a lesion's box, beside its ratio
GRADED = ("ultrasound", "histology")  # augmentations that go as far as data.augmentation_strength says


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
        return different_names(value, "names of columns, all different, such as age,device")

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
