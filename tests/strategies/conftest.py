"""Fixtures of the strategies' tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from strategies.base import WeightSharingStrategy
from tests.helpers.small_searches import SEARCHES


@pytest.fixture(params=list(SEARCHES))
def make_strategy(request: pytest.FixtureRequest) -> Callable[..., WeightSharingStrategy]:
    """Each strategy in turn; what a test asks of one it asks of all."""
    return SEARCHES[request.param]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
