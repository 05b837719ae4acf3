"""Where the time goes, by PyTorch's operations: python -m benchmarks.speed.profile search|retraining

`search` is an epoch's training steps of the search of `search.py`, ours, in NNI's hub space, given
architectures. `retraining` is both sides of `retraining.py`, three epochs each. Shares are of the wall clock;
what no operation has is Python, Lightning and the profiler itself. Writes `results/profile-NAME.json`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import Callback

from benchmarks.measure import ROOT, machine, two_threads
from benchmarks.speed.one_search import BATCH, hub_space, our_strategy, search
from search_space.strict_json import dump_json
from strategies.random_sampling import Uniform

EPOCHS, IMAGES, SHOWN = 3, 64, 12  # the last epoch counts; the others take memory for the first time


class Profile:
    """What each operation took by itself, without what it called, while the block ran."""

    def __enter__(self) -> Profile:
        self._profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
        self._profile.__enter__()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._profile.__exit__(None, None, None)

    def to_dict(self) -> dict[str, Any]:
        """Return the seconds in all, and the shares of the dearest operations and of what is none."""
        taken = {event.key: event.self_cpu_time_total / 1e6 for event in self._profile.key_averages()}
        return {"seconds": self.seconds, "percent": shares(taken, self.seconds)}


def shares(taken: Mapping[str, float], seconds: float, shown: int = SHOWN) -> dict[str, float]:
    """Return the percentages of `seconds` that the dearest operations took, and of what is no operation."""
    dearest = dict(sorted(taken.items(), key=lambda item: -item[1])[:shown])
    dearest["outside of operations"] = seconds - sum(taken.values())
    return {name: round(100 * part / seconds, 1) for name, part in dearest.items()}


class ProfileLastEpoch(Callback):
    """Profiles the last epoch up to its rewards, and ends the process there."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.profile = Profile()
        if trainer.current_epoch == EPOCHS - 1:
            self.profile.__enter__()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == EPOCHS - 1:
            self.profile.__exit__()
            write("search", {"ours": self.profile})
            os._exit(0)


def profile_search() -> None:
    rewards = IMAGES // BATCH
    generator = torch.Generator().manual_seed(0)
    drawn = Uniform(hub_space().simplify(), 1).draw(2 * rewards * EPOCHS, generator)
    search(our_strategy(drawn, rewards), ProfileLastEpoch(), EPOCHS, IMAGES)


def profile_retraining() -> None:
    from benchmarks.speed.retraining import candidates

    profiles = {}
    with candidates(workers=(0,)) as runs:
        for name, run in runs.items():
            run()  # takes memory for the first time
            with Profile() as profile:
                run()
            profiles[name] = profile
    write("retraining", profiles)


def write(name: str, profiles: Mapping[str, Profile]) -> None:
    measured = {who: profile.to_dict() for who, profile in profiles.items()}
    for who, figures in measured.items():
        print(f"{who}: {figures['seconds']:.1f} s")
        for operation, share in figures["percent"].items():
            print(f"{share:5} %  {operation}", flush=True)
    result = {"command": f"python -m benchmarks.speed.profile {name}", **measured, "machine": machine()}
    path = ROOT / "results" / f"profile-{name}.json"
    path.write_text(dump_json(result, 1) + "\n", encoding="utf-8")


PROFILES = {"search": profile_search, "retraining": profile_retraining}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=PROFILES)
    arguments = parser.parse_args()
    two_threads()
    PROFILES[arguments.what]()


if __name__ == "__main__":
    main()
