"""Names of the package load no more than they need."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = {
    "Architecture.random(0).to_sample()": {"torch", "nni", "matplotlib"},
    "Architecture.from_fixed_arc([0, 0, 0, 0], [0, 0, 0, 0]).canonical()": {"torch", "nni", "matplotlib"},
    "parameters(Architecture.random(0), 'enas7')": {"torch", "nni", "matplotlib"},
    "macs(Architecture.random(0), 'enas7')": {"torch", "nni", "matplotlib"},
    "draw": {"torch", "nni"},
    "EnasNetwork(Architecture.random(0))": {"nni", "pytorch_lightning", "torchmetrics"},
}


@pytest.mark.parametrize("use", WITHOUT)
def test_what_is_plain_data_loads_without_heavy_packages(use: str) -> None:
    name = use.split("(")[0].split(".")[0]
    code = f"import sys; from search_space import Architecture; from search_space import {name}; {use}; "
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not WITHOUT[use] & set(ran.stdout.split())
