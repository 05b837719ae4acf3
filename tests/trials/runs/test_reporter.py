"""What NNI, TensorBoard and the log are told."""

from pathlib import Path

import nni
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.tensorboard.writer import SummaryWriter

from trials.errors import TrainingError
from trials.runs.reporter import Reporter


def test_epochs_and_result_reach_nni_with_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, float]] = []
    monkeypatch.setenv("NNI_PLATFORM", "local")
    monkeypatch.setattr(nni, "report_intermediate_result", told.append)
    monkeypatch.setattr(nni, "report_final_result", told.append)
    with Reporter(tmp_path, default="val_auc") as reporter:
        reporter.epoch(0, {"train_loss": 0.5, "val_auc": 0.75})
        reporter.final({"auc": 0.8, "parameters": 12})
    assert told == [
        {"default": 0.75, "train_loss": 0.5, "val_auc": 0.75},
        {"default": 0.8, "auc": 0.8, "parameters": 12},
    ]


def test_a_run_that_writes_nothing_to_tensorboard_leaves_no_folder_of_it(tmp_path: Path) -> None:
    with Reporter(tmp_path) as reporter:
        reporter.final({"auc": 0.8})
    assert not list(tmp_path.iterdir())


def test_what_is_no_number_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, float]] = []
    monkeypatch.setenv("NNI_PLATFORM", "local")
    monkeypatch.setattr(nni, "report_intermediate_result", told.append)
    monkeypatch.setattr(nni, "report_final_result", told.append)
    with Reporter(tmp_path) as reporter:
        with pytest.raises(TrainingError, match="val_loss is nan"):
            reporter.epoch(0, {"val_auc": 1.0, "val_loss": float("nan")})
        with pytest.raises(TrainingError, match="auc is inf"):
            reporter.final({"auc": float("inf")})
    assert told == []


def test_nothing_is_sent_outside_nni(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AssertionError("sent")

    monkeypatch.setattr(nni, "report_intermediate_result", refuse)
    monkeypatch.setattr(nni, "report_final_result", refuse)
    with Reporter(tmp_path) as reporter:
        reporter.epoch(0, {"val_auc": 0.75})
        reporter.final({"auc": 0.8})


def test_scalars_and_pictures_lie_where_the_web_ui_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "NNI_OUTPUT_DIR", str(tmp_path / "experiment" / "environments" / "local" / "trials" / "T1")
    )
    monkeypatch.setenv("NNI_TRIAL_JOB_ID", "T1")
    Image.fromarray(np.zeros((4, 6, 3), dtype=np.uint8)).save(tmp_path / "cells.png")
    with Reporter(tmp_path / "out") as reporter:
        reporter.epoch(0, {"val_auc": 0.75})
        reporter.epoch(1, {"val_auc": 0.5})
        reporter.picture("cells", tmp_path / "cells.png")
    events = EventAccumulator(
        str(tmp_path / "experiment" / "trials" / "T1" / "output" / "tensorboard")
    ).Reload()
    assert [(event.step, event.value) for event in events.Scalars("val_auc")] == [(0, 0.75), (1, 0.5)]
    assert (events.Images("cells")[0].width, events.Images("cells")[0].height) == (6, 4)


def test_each_sample_goes_from_black_to_white(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Tensor] = []
    monkeypatch.setattr(SummaryWriter, "add_images", lambda _, name, images: shown.append(images))
    images = torch.tensor([[0.0, 2.0], [5.0, 6.0], [3.0, 3.0]]).reshape(3, 1, 1, 2)
    with Reporter(tmp_path) as reporter:
        reporter.samples("training images", images)
    assert shown[0].flatten(1).tolist() == [[0, 1], [0, 1], [0, 0]]


def test_log_gets_a_plain_line_an_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(tmp_path) as reporter:
        reporter.epoch(4, {"train_loss": 0.51234, "val_auc": 0.75})
    assert capsys.readouterr() == ("", "epoch 5  train_loss 0.5123  val_auc 0.75\n")
