"""One search on NNI's hub space, by NNI's own ENAS or by ours; started by `search.py`, prints JSON.

It runs in either environment and imports no more of this project than the strategy. Both sides search the
same space object with the same evaluator, images, steps and rewards. In the mode `fixed` both follow the
architectures listed in a file, and no controller learns; in the mode `own` each follows its own controller.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import torch  # noqa: E402
from nni.nas.evaluator.pytorch import Classification, DataLoader  # noqa: E402
from nni.nas.execution import SequentialExecutionEngine  # noqa: E402
from nni.nas.hub.pytorch.nasnet import ENAS as HubSpace  # noqa: E402
from nni.nas.hub.pytorch.nasnet import NDS  # noqa: E402
from nni.nas.space import RawFormatModelSpace  # noqa: E402
from pytorch_lightning import Callback  # noqa: E402
from torch.utils.data import TensorDataset  # noqa: E402

CELLS, FILTERS, SIDE, BATCH = 7, 20, 100, 8
UPDATE = 4  # rewards a controller update


def hub_space() -> Any:
    """NNI's cell space of ENAS with fixed width and depth."""
    return NDS(
        HubSpace.ENAS_OPS,
        merge_op="loose_end",
        num_nodes_per_cell=5,
        width=FILTERS,
        num_cells=CELLS,
        dataset="cifar",
    )


class Clock(Callback):
    """Notes when each epoch starts; when the one after the last does, it reports and ends the process."""

    def __init__(self, epochs: int, draw: bool) -> None:
        self.epochs, self.draw = epochs, draw
        self.starts: list[float] = []
        self.before = _resident()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.starts.append(time.perf_counter())
        if len(self.starts) <= self.epochs:
            return
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        epochs = [b - a for a, b in zip(self.starts, self.starts[1:])]  # noqa: B905
        result = {"epochs": epochs, "peak_mb": peak, "grown_mb": peak - self.before}
        if self.draw:
            result |= drawing(pl_module)
        print(json.dumps(result, allow_nan=False), flush=True)
        os._exit(0)


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def drawing(module: Any) -> dict[str, list[float]]:
    """Seconds to draw an architecture and set the supernet to it: alone, and each of those drawn together."""
    if not hasattr(module, "sampler"):
        return {"draw_alone": [_timed(module.resample) for _ in range(30)]}
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> None:
        for sample in module.sampler.draw(count, generator):
            module.set_architecture(sample)

    return {
        "draw_alone": [_timed(lambda: draw(1)) for _ in range(30)],
        "draw_in_update": [_timed(lambda: draw(10)) / 10 for _ in range(30)],
        "draw_in_training": [_timed(lambda: draw(64)) / 64 for _ in range(30)],
    }


def _timed(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def nni_strategy(architectures: list[Any] | None) -> Any:
    """NNI's ENAS; with architectures given, its controller neither draws nor learns."""
    import nni.nas.oneshot.pytorch.sampling as sampling
    from nni.nas.strategy import ENAS

    if architectures is not None:
        queue = iter(architectures)

        class Following(sampling.EnasLightningModule):
            def set_model(self, model: Any) -> None:
                super().set_model(model)
                self.generator.send_reward = lambda reward: None
                self._replay_buffer.update = lambda trajectory: None
                self.policy.update = lambda *arguments, **more: None

            def resample(self) -> Any:
                sample = next(queue)
                for module in self.supernet_modules():
                    module.resample(memo=sample)
                return sample

        sampling.EnasLightningModule = Following
        import nni.nas.oneshot.pytorch.strategy as oneshot

        oneshot.EnasLightningModule = Following
    return ENAS(reward_metric_name="val_acc", batches_per_update=UPDATE, log_prob_every_n_step=10**9)


def our_strategy(architectures: list[Any] | None, rewards: int) -> Any:
    """Our ENAS; with architectures given, a sampler that follows them in the order that NNI takes them in."""
    from strategies import ENAS
    from strategies.base import WeightSharingStrategy

    if architectures is None:
        return ENAS(
            reward_metric_name="val_acc",
            controller_updates=rewards // UPDATE,
            controller_samples=UPDATE,
            seed=0,
        )

    class Followed:
        """An epoch takes `rewards` architectures for training and as many for rewards."""

        def __init__(self) -> None:
            self.epoch = 0

        def _slice(self, part: int) -> list[Any]:
            start = (2 * self.epoch + part) * rewards
            return architectures[start : start + rewards]

        def draw(self, count: int, generator: Any) -> list[Any]:
            drawn = self._slice(0)
            return (drawn * (count // len(drawn) + 1))[:count]

        def learn(self, reward: Any, generator: Any) -> dict[str, float]:
            given = [reward(sample) for sample in self._slice(1)]
            self.epoch += 1
            return {"reward": sum(given) / len(given)}

    class Following(WeightSharingStrategy):
        def make_sampler(self, mutables: Any) -> Any:
            return Followed()

    return Following(reward_metric_name="val_acc", seed=0)


def search(strategy: Any, callback: Callback, epochs: int, count: int) -> None:
    """Search the hub's space on `count` images of noise for training, and the same for rewards."""
    torch.manual_seed(0)
    images = TensorDataset(torch.randn(count, 3, SIDE, SIDE), torch.randint(0, 2, (count,)))
    space = hub_space()
    evaluator = Classification(
        criterion=torch.nn.CrossEntropyLoss,
        learning_rate=0.05,
        num_classes=10,
        max_epochs=epochs,
        train_dataloaders=DataLoader(images, batch_size=BATCH, shuffle=True),
        val_dataloaders=DataLoader(images, batch_size=BATCH),
        callbacks=[callback],
        accelerator="cpu",
        enable_progress_bar=False,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["nni", "ours"])
    parser.add_argument("--architectures", type=Path, help="JSON list to follow; without it: own controllers")
    parser.add_argument("--images", type=int, default=64, help="training images, and as many for rewards")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    followed = json.loads(options.architectures.read_text()) if options.architectures else None
    rewards = options.images // BATCH
    strategy = nni_strategy(followed) if options.side == "nni" else our_strategy(followed, rewards)
    clock = Clock(options.epochs, draw=options.architectures is None)
    search(strategy, clock, options.epochs + 1, options.images)


if __name__ == "__main__":
    main()
