"""Where the time of a search goes: the shares of PyTorch's operations in an epoch's training steps, ours.

The search is that of `search.py`: NNI's hub space, given architectures. Writes `results/search-profile.json`.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import torch
from pytorch_lightning import Callback

from benchmarks.measure import ROOT, machine, two_threads
from benchmarks.one_search import BATCH, hub_space, our_strategy, search
from strategies.random_sampling import Uniform

EPOCHS, IMAGES, SHOWN = 3, 64, 12  # the last epoch counts; the others take memory for the first time


class Profiled(Callback):
    """Profiles the last epoch up to its rewards, and ends the process there."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
        if trainer.current_epoch == EPOCHS - 1:
            self.profile.__enter__()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == EPOCHS - 1:
            self.profile.__exit__(None, None, None)
            write(self.profile)
            os._exit(0)


def write(profile: torch.profiler.profile) -> None:
    events = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    shares = {event.key: round(100 * event.self_cpu_time_total / total, 1) for event in events[:SHOWN]}
    for name, share in shares.items():
        print(f"{share:5} %  {name}", flush=True)
    result = {
        "command": "python -m benchmarks.search_profile",
        "seconds": total / 1e6,
        "percent": shares,
        "machine": machine(),
    }
    path = ROOT / "results" / "search-profile.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    two_threads()
    rewards = IMAGES // BATCH
    generator = torch.Generator().manual_seed(0)
    drawn = Uniform(hub_space().simplify(), 1).draw(2 * rewards * EPOCHS, generator)
    search(our_strategy(drawn, rewards), Profiled(), EPOCHS, IMAGES)


if __name__ == "__main__":
    main()
