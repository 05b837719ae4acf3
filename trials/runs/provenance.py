"""Where a result comes from: versions, machine, commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("lesion-nas", "nni", "torch", "pytorch-lightning", "numpy", "scikit-learn", "pillow")


def provenance() -> dict[str, object]:
    """Return JSON values by name; `commit` is None outside a checkout."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "commit": _commit(),
        **_computed_on(),
    }


def _computed_on() -> dict[str, object]:
    torch = sys.modules.get("torch")  # which takes seconds to import, and nothing was computed with it if not
    if torch is None:
        named = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        return {
            "device": platform.machine(),
            "threads": int(named) if named.isdigit() else os.cpu_count(),
        }
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
        "threads": torch.get_num_threads(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # the source is run without being installed
        return None


def _commit() -> str | None:
    """Name the checkout's commit, with `-dirty` where files differ from it."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
