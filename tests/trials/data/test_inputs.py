"""Which images a run may see, and how they reach the network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trials.data.dataset import LesionData
from trials.data.folds import assign_folds
from trials.data.inputs import Inputs
from trials.data.load import load
from trials.data.split import Split
from trials.settings.data import DataSettings
from trials.settings.load import load_settings
from trials.settings.schema import Settings


def settings(**changes: object) -> Settings:
    named = {f"data.{key}": value for key, value in {"image_size": 24, **changes}.items()}
    return load_settings("quick", named)


def options(**changes: object) -> DataSettings:
    return settings(**changes).data


@pytest.fixture(scope="module")
def data(lesions: Path) -> LesionData:
    return load(lesions)


def test_parts_share_no_image_and_no_group_and_the_test_is_the_outer_fold(data: LesionData) -> None:
    split = Split.of(data, settings(), folds=2, fold=1, seed=3)
    parts = [split.training, split.validation, split.test]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(data.files)))
    groups = [{data.groups[index] for index in part} for part in parts]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert split.test.tolist() == assign_folds(data, 2).split(1)[1].tolist()


def test_training_seed_moves_the_inner_split_but_no_outer_fold(data: LesionData) -> None:
    one, other = (Split.of(data, settings(), folds=2, fold=0, seed=seed) for seed in (0, 1))
    assert one.test.tolist() == other.test.tolist()
    assert one.validation.tolist() != other.validation.tolist()
    moved = Split.of(data, settings(fold_seed=1), folds=2, fold=0, seed=0)
    assert moved.test.tolist() != one.test.tolist()


def test_images_are_standardised_by_training_images_alone(data: LesionData) -> None:
    training = np.arange(10)
    inputs = Inputs(data, options(per_image=False), training)
    pixels = inputs.images[training].double() / 255
    assert inputs.mean == pytest.approx([pixels.mean().item()])
    assert inputs.std == pytest.approx([pixels.std(correction=0).item()])
    images = torch.cat([images for images, _ in inputs.plain(training)])
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.std().item() == pytest.approx(1, abs=1e-3)


def test_grey_reaches_the_network_in_the_channels_asked_for(data: LesionData) -> None:
    for channels in (1, 3):
        inputs = Inputs(data, options(channels=channels), np.arange(10), side=20)
        assert next(iter(inputs.training(4, seed=0)))[0].shape == (4, channels, 20, 20)
        assert next(iter(inputs.plain(np.arange(3))))[0].shape == (3, channels, 20, 20)


def test_expanded_set_is_eight_times_the_training_images(data: LesionData) -> None:
    inputs = Inputs(data, options(expand=True, augmentation="none"), np.arange(10))
    assert sum(len(labels) for _, labels in inputs.training(4, seed=0)) == 80


def test_classes_weigh_alike_in_the_weighted_loss(data: LesionData) -> None:
    benign, malignant = (np.flatnonzero(data.labels == label) for label in (0, 1))
    training = np.concatenate([benign[:9], malignant[:3]])
    assert Inputs(data, options(class_balance="none"), training).class_weights is None
    weights = Inputs(data, options(class_balance="weighted_loss"), training).class_weights
    assert weights is not None and weights.tolist() == pytest.approx([12 / 18, 12 / 6])


def test_description_counts_what_was_found(data: LesionData) -> None:
    described = Split.of(data, settings(), folds=2, fold=0).describe()
    assert described["images"] == {"benign": 20, "malignant": 20}
    assert described["training"] + described["validation"] + described["test"] == 40
    assert (described["folds"], described["left_out"]) == ("generated", [])


def test_crops_are_for_training_alone(patches: Path) -> None:
    stained = load(patches, positive="1")
    changes = {"data.image_size": 40, "data.smallest_crop": 33}
    split = Split.of(stained, load_settings("patches"))
    inputs = Inputs(stained, load_settings("patches", changes).data, split.training)
    batches = inputs.training(2, seed=0)
    sizes = {images.shape[-1] for images, _ in batches}
    assert len(sizes) > 2 and min(sizes) >= 33
    assert {images.shape[-1] for images, _ in inputs.plain(split.validation)} == {40}
