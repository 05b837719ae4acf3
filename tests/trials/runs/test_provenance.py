from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
from trials.runs.provenance import provenance
before = provenance()
import torch
print(before == provenance(), before["threads"])
"""


def test_provenance_is_the_same_before_pytorch_is_loaded_and_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "1"]
