"""The conformance suite for methods: inherit it in a test file of yours.

.. code-block:: python

    from trials.methods.testing import MethodTests

    class TestMyMethod(MethodTests):
        entry = MY_ENTRY

Needs pytest, which nothing else in this package does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from search_space.strict_json import dump_json
from trials.data.dataset import LesionData
from trials.data.load import load_data, load_external
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.data.task import Task
from trials.evaluation.decisions import Decision
from trials.methods import registry
from trials.methods.base import Method
from trials.methods.build import build
from trials.methods.cells import random_cells
from trials.methods.registry import Entry, find_method
from trials.models.model_file import load_model
from trials.pipeline.train import run_train
from trials.runs.folder import RunFolder
from trials.runs.layout import MODEL_FILE, PREDICTIONS
from trials.runs.predictions import Frozen
from trials.runs.reporter import Reporter
from trials.settings.load import load_settings
from trials.settings.schema import Settings

SMALL: Mapping[str, object] = {
    "data.image_size": 32,
    "retrain.epochs": 1,
    "retrain.max_steps": 2,
    "retrain.filters": 2,
    "search.nodes": 2,
}


def small_task(folder: Path, settings: Settings) -> Task:
    """Return a task of 40 synthetic lesions in two folds, with 12 external ones; written to a folder."""
    make_phantoms(folder / "here", count=40, side=40)
    make_phantoms(folder / "there", count=12, side=48, seed=7)
    data = load_data(folder / "here", settings)
    external = load_external(folder / "there", settings, data)
    return Task(Split.of(data, settings, folds=2, fold=0), settings, external)


class MethodTests:
    """The suite: inherit it in a class whose name starts with ``Test``, and set `entry`.

    `settings` are set over the profile `quick`, so that a fit takes a second. The data are 40 synthetic
    lesions.
    """

    entry: ClassVar[Entry]
    settings: ClassVar[Mapping[str, object]] = SMALL

    @pytest.fixture(autouse=True)
    def surroundings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the method known, as installing its package does, outside NNI and with one thread."""
        for name in ("NNI_PLATFORM", "NNI_OUTPUT_DIR", "NNI_TRIAL_JOB_ID"):
            monkeypatch.delenv(name, raising=False)
        known = registry.methods()
        if self.entry.title.name not in known:
            monkeypatch.setitem(registry.METHODS, self.entry.title.name, self.entry)
        torch.set_num_threads(1)

    @pytest.fixture(scope="class")
    @classmethod
    def task(cls, tmp_path_factory: pytest.TempPathFactory) -> Task:
        """What a run is asked: two folds of synthetic lesions, and others of another place."""
        settings = cls.entry.settings(load_settings("quick", cls.settings))
        return small_task(tmp_path_factory.mktemp("lesions"), settings)

    def make(self, task: Task) -> Method:
        """Return the method, not fitted, of random cells if it has any."""
        return build(task, self.entry, random_cells(task) if self.entry.cells else None)

    def fit(self, task: Task, out: Path, *, refit: bool = False) -> Method:
        """Return the method, fitted in a new run folder, and then refitted if asked."""
        method = self.make(task)
        with RunFolder(out, {"method": self.entry.title.name}) as folder, Reporter(out) as reporter:
            for again in (False, True)[: 1 + refit]:
                assert method.fit(folder, reporter, refit=again) >= 0
        return method

    # What it says of itself

    def test_the_entry_has_a_name_for_files_and_a_label_for_tables(self) -> None:
        title = self.entry.title
        assert title.name.isidentifier() and title.name == title.name.lower() and title.label.strip()
        assert find_method(title.name) is self.entry
        assert bool(self.entry.differs) == bool(self.entry.reason)

    def test_its_sections_are_sections_of_the_settings(self, task: Task) -> None:
        assert {"data"} <= self.make(task).sections <= set(Settings.model_fields)

    def test_identity_and_facts_are_json_values(self, task: Task) -> None:
        method = self.make(task)
        dump_json(dict(method.identity))
        assert {"parameters", "macs"} <= set(json.loads(dump_json(dict(method.facts))))
        assert self.make(task).identity == method.identity

    def test_nothing_is_written_before_the_fit(
        self, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        method = self.make(task)
        assert method.disk_bytes > 0 and (method.estimate() or {}).keys() >= set()
        assert not list(tmp_path.iterdir())

    # What it learns

    def test_logits_are_finite_one_an_image_and_class_whatever_the_data(
        self, task: Task, tmp_path: Path
    ) -> None:
        method = self.fit(task, tmp_path / "run")
        for data, indices in task.parts.values():
            logits = method.logits(data, indices)
            assert logits.shape == (len(indices), len(task.data.classes))
            assert logits.dtype == np.float64 and np.isfinite(logits).all()
        assert all(isinstance(warning, str) for warning in method.warnings(tmp_path / "run"))

    def test_the_logits_of_an_image_do_not_depend_on_the_others(self, task: Task, tmp_path: Path) -> None:
        method = self.fit(task, tmp_path / "run")
        indices = task.split.validation
        together = method.logits(task.data, indices)
        alone = [method.logits(task.data, np.array([index]))[0] for index in indices]
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            method.logits(task.data, indices[::-1]), together[::-1], rtol=1e-4, atol=1e-4
        )

    @pytest.mark.parametrize("refit", [False, True])
    def test_the_same_task_gives_the_same_fit(self, refit: bool, task: Task, tmp_path: Path) -> None:
        logits = [
            self.fit(task, tmp_path / run, refit=refit).logits(task.data, task.test) for run in ("a", "b")
        ]
        np.testing.assert_array_equal(logits[0], logits[1])

    def test_another_seed_changes_nothing_where_it_says_so(self, task: Task, tmp_path: Path) -> None:
        if self.make(task).seeded:
            pytest.skip("this method's fit depends on the seed")
        other = replace(task, split=replace(task.split, seed=task.seed + 1))
        logits = [
            self.fit(each, tmp_path / run).logits(task.data, task.test)
            for run, each in (("as it is", task), ("another seed", other))
        ]
        np.testing.assert_array_equal(logits[0], logits[1])

    @pytest.mark.parametrize("refit", [False, True])
    def test_test_images_and_their_labels_change_nothing(
        self, refit: bool, task: Task, tmp_path: Path
    ) -> None:
        other = replace(task, split=replace(task.split, data=_scrambled(task.data, task.test)))
        logits = [
            self.fit(each, tmp_path / run, refit=refit).logits(task.data, task.split.validation)
            for run, each in (("as it is", task), ("scrambled", other))
        ]
        np.testing.assert_array_equal(logits[0], logits[1])

    def test_a_model_file_says_what_the_method_says(self, task: Task, tmp_path: Path) -> None:
        out = tmp_path / "run"
        method = self.fit(task, out)
        with RunFolder(out, {"method": self.entry.title.name}) as folder:
            method.save(folder, Frozen(Decision(task.data.positive_index), 1.0))
        if not (out / MODEL_FILE).exists():
            pytest.skip("this method leaves no model file")
        np.testing.assert_allclose(
            load_model(out).logits_of(task.data, task.test),
            method.logits(task.data, task.test),
            rtol=1e-4,
            atol=1e-4,
        )

    # The whole protocol

    def test_a_run_is_repeated_to_the_byte_and_reported_when_done(self, task: Task, tmp_path: Path) -> None:
        if self.entry.members or self.entry.cells == "searched" or self.entry.choices:
            pytest.skip("other runs come before this method's own")
        settings = load_settings("quick", self.settings)

        def train(run: str) -> dict[str, Any]:
            return run_train(task.split, settings, self.entry.title.name, tmp_path / run / "fold0" / "mine")

        first = train("first")
        train("second")
        written = [
            (tmp_path / run / "fold0" / "mine" / PREDICTIONS).read_bytes() for run in ("first", "second")
        ]
        assert written[0] == written[1]
        assert first["method"] == self.entry.title.name and first["test"]["n"] == len(task.test)
        assert train("first") == first


def _scrambled(data: LesionData, indices: np.ndarray) -> LesionData:
    """Return the data with other pixels and other labels at `indices`."""
    random = np.random.default_rng(0)
    images, labels = list(data.images), data.labels.copy()
    for index in indices:
        images[index] = random.integers(0, 256, images[index].shape, dtype=np.uint8)
    labels[indices] = (labels[indices] + 1) % len(data.classes)
    return replace(data, images=tuple(images), labels=labels)
