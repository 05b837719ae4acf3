"""The conformance suites notice what they are for: broken extensions fail them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nni.mutable import LabeledMutable, Sample

from docs.examples.pixel_components import ENTRY, PixelComponents
from strategies import RegularizedEvolution
from strategies.evolution import Population
from strategies.random_sampling import Uniform
from strategies.testing import StrategyTests
from trials.data.files.decoding import decode
from trials.data.readers.base import Options, Reader
from trials.data.readers.folders import CLASS_FOLDERS
from trials.data.readers.testing import ReaderTests, save_picture
from trials.data.records import Listing
from trials.data.task import Task
from trials.errors import DataError
from trials.methods.base import Method
from trials.methods.testing import SMALL, MethodTests, small_task
from trials.settings.load import load_settings


class Cheats(PixelComponents):
    """Learns from the test images as well."""

    def __init__(self, task: Task) -> None:
        both = np.concatenate([task.split.training, task.test])
        super().__init__(replace(task, split=replace(task.split, training=both, test=task.test[:0])))


class Looks(PixelComponents):
    """Centres logits by the images that it is asked about."""

    def logits(self, data: Any, indices: np.ndarray) -> np.ndarray:
        logits = super().logits(data, indices)
        return logits - logits.mean(0)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Cheats, partial(MethodTests.test_test_images_and_their_labels_change_nothing, refit=False)),
        (Looks, MethodTests.test_the_logits_of_an_image_do_not_depend_on_the_others),
    ],
)
def test_a_method_that_looks_at_other_images_is_noticed(
    broken: type[Method], test: Any, tmp_path: Path
) -> None:
    class Case(MethodTests):
        entry = ENTRY

        def make(self, task: Task) -> Method:
            return broken(task)

    task = small_task(tmp_path / "data", load_settings("quick", SMALL))
    with pytest.raises(AssertionError):
        test(Case(), task=task, tmp_path=tmp_path)


def test_a_reader_that_names_absolute_paths_is_noticed(tmp_path: Path) -> None:
    def read(path: Path, options: Options) -> Listing:
        listing = CLASS_FOLDERS.read(path, options)
        return replace(listing, records=tuple(replace(one, file=str(one.path)) for one in listing.records))

    check_reader(read, tmp_path, ReaderTests.test_records_have_a_name_a_label_and_no_problem)


def test_a_reader_that_decodes_while_it_lists_is_noticed(tmp_path: Path) -> None:
    def read(path: Path, options: Options) -> Listing:
        listing = CLASS_FOLDERS.read(path, options)
        for record in listing.records:
            assert record.path
            decode(record.path)
        return listing

    check_reader(read, tmp_path, ReaderTests.test_listing_decodes_no_image)


def check_reader(read: Any, folder: Path, test: Any) -> None:
    class Case(ReaderTests):
        reader = Reader("broken", "class folders", CLASS_FOLDERS.holds, read)

    for seed in range(8):
        save_picture(folder / "data" / ("benign", "malignant")[seed % 2] / f"{seed}.png", seed)
    with pytest.raises((AssertionError, DataError)):
        test(Case(), folder / "data")


def test_a_sampler_that_draws_from_the_global_generator_is_noticed() -> None:
    class Careless(Population):
        def draw(self, count: int, generator: torch.Generator) -> list[Sample]:
            return super().draw(count, torch.default_generator)

    class Strategy(RegularizedEvolution):
        def make_sampler(self, mutables: Mapping[str, LabeledMutable]) -> Population:
            return Careless(Uniform(mutables, observations=1), size=6, tournament=2, observations=6)

    class Case(StrategyTests):
        def make_strategy(self, **options: Any) -> Strategy:
            return Strategy(**options)

    with pytest.raises(AssertionError):
        Case().test_a_sampler_draws_from_its_generator_alone_and_from_the_space("own")
