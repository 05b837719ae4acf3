"""A search in two processes is the search of one with the same batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from nni.nas.evaluator.pytorch import Classification, DataLoader
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace
from nni.nas.space import RawFormatModelSpace
from torch import Tensor, nn

from strategies import ENAS
from strategies.distributed import share, weighted
from strategies.nni_trial import InProcessEngine
from strategies.testing.searches import small_data
from trials.nni_host.experiment import free_port


class Space(ModelSpace):
    """Choices, batch norm, and no dropout, whose masks no two processes can divide."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LayerChoice([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)], label="first")
        self.norm = nn.BatchNorm2d(4)
        self.second = LayerChoice({"conv": nn.Conv2d(4, 4, 3, padding=1), "same": nn.Identity()}, label="two")
        self.joined = InputChoice(2, n_chosen=1, label="joined")
        self.last = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        one = self.norm(self.first(images)).relu()
        return self.head(self.last(self.joined([one, self.second(one)])).relu().mean((2, 3)))


def search(processes: int) -> dict[str, Any]:
    """Search in this process, one of so many, and return what it came to.

    30 training images leave a last batch of six, of which each of two processes gets three; the rewards are
    losses, because accuracies of few images hide small differences, or blow them up.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    evaluator = Classification(
        num_classes=2,
        optimizer=torch.optim.SGD,
        learning_rate=0.05,
        train_dataloaders=DataLoader(small_data(30), batch_size=8, shuffle=True),
        val_dataloaders=DataLoader(small_data(20), batch_size=8, shuffle=True),
        max_epochs=3,
        accelerator="cpu",
        devices=processes,
        strategy="ddp_find_unused_parameters_true" if processes > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    strategy = ENAS(
        controller_updates=2, controller_samples=3, reward_metric_name="val_loss", final_samples=4, seed=3
    )
    trained: list[str] = []
    strategy.initialize(RawFormatModelSpace(Space(), evaluator), InProcessEngine())
    module = strategy.oneshot_module
    follow = module.set_architecture

    def remember(sample: dict[str, Any]) -> None:
        trained.append(json.dumps(sample))
        follow(sample)

    module.set_architecture = remember
    strategy.run()
    return {
        "architectures": trained,
        "best": [json.dumps(candidate.sample) for candidate in strategy.candidates],
        "scores": [candidate.score for candidate in strategy.candidates],
        "losses": [epoch["train_loss"] for epoch in module.history],
        "rewards": [epoch["reward"] for epoch in module.history],
        "weights": dict(module.model.named_parameters()),
        "controller": dict(module.sampler.controller.named_parameters()),
    }


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes has come to."""
    folder = tmp_path_factory.mktemp("two")
    script = (
        "import sys, torch; sys.path.insert(0, sys.argv[1]); from test_distributed import search; "
        "torch.save(search(2), sys.argv[2])"
    )
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port(0)), "NODE_RANK": "0"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(Path(__file__).parent), str(folder / f"{rank}.pt")],
            env={**os.environ, **common, "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"},
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_both_processes_train_and_score_the_same_architectures_and_end_with_the_same_weights(
    of_two: list[dict[str, Any]],
) -> None:
    one, other = of_two
    assert len(set(one["architectures"])) > 2
    for what in ("architectures", "best", "scores", "losses", "rewards"):
        assert one[what] == other[what], what
    for weights in ("weights", "controller"):
        for name, weight in one[weights].items():
            assert torch.equal(weight, other[weights][name]), name


def test_two_processes_come_to_what_one_does_with_the_same_batches(of_two: list[dict[str, Any]]) -> None:
    threads = torch.get_num_threads()
    together, alone = of_two[0], search(1)
    torch.set_num_threads(threads)
    assert together["architectures"] == alone["architectures"]
    assert together["best"] == alone["best"]
    for numbers in ("scores", "losses", "rewards"):
        assert together[numbers] == pytest.approx(alone[numbers], rel=1e-4), numbers
    for weights in ("weights", "controller"):
        for name, weight in alone[weights].items():
            torch.testing.assert_close(together[weights][name], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("images", [3, 7, 8])
def test_shares_make_up_the_batch_and_weigh_as_its_mean(
    count: int, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = {"x": torch.randn(images, 2), "y": torch.arange(images)}
    monkeypatch.setattr("strategies.distributed.processes", lambda: count)
    labels, loss = [], 0.0
    for rank in range(count):
        monkeypatch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
        mine, weight = share(batch)
        assert len(mine["x"]) == len(mine["y"])
        labels += mine["y"].tolist()
        loss += float(weighted({"loss": mine["x"].mean()}, weight)["loss"]) / count
    assert sorted(labels) == list(range(images))
    assert loss == pytest.approx(float(batch["x"].mean()), abs=1e-6)


def test_a_batch_of_fewer_images_than_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strategies.distributed.processes", lambda: 4)
    with pytest.raises(ValueError, match="3 images for 4 processes"):
        share((torch.zeros(3, 1), torch.zeros(3)))
