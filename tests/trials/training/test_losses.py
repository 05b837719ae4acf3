"""The ordinal loss by hand, and what it is lowest for."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from trials.training.losses import ordinal_loss

PROBABILITIES = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])


def test_ordinal_loss_worked_by_hand() -> None:
    # Cumulative 0.5 0.8 against truth 1 1 of class 0: (0.25 + 0.04) / 2; 0.1 0.3 against 0 1 of class 1:
    # (0.01 + 0.49) / 2.
    losses = [-np.log(0.5) + 0.145, -np.log(0.2) + 0.25]
    found = ordinal_loss(PROBABILITIES.log(), torch.tensor([0, 1]))
    assert float(found) == pytest.approx(sum(losses) / 2, abs=1e-6)
    weighted = ordinal_loss(PROBABILITIES.log(), torch.tensor([0, 1]), torch.tensor([1.0, 3.0, 9.0]))
    assert float(weighted) == pytest.approx((losses[0] + 3 * losses[1]) / 4, abs=1e-6)


def test_a_mistake_by_more_grades_costs_more() -> None:
    sure = 20 * torch.eye(5)[[4]]
    beyond = [
        float(ordinal_loss(sure, torch.tensor([one])) - functional.cross_entropy(sure, torch.tensor([one])))
        for one in range(5)
    ]
    assert beyond == pytest.approx([1, 3 / 4, 2 / 4, 1 / 4, 0], abs=1e-6)


def test_the_true_probabilities_have_the_lowest_loss() -> None:
    true = torch.tensor([0.5, 0.1, 0.4])
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(400):
        losses = [ordinal_loss(logits[None], torch.tensor([one])) for one in range(3)]
        optimizer.zero_grad()
        (true * torch.stack(losses)).sum().backward()
        optimizer.step()
    assert logits.softmax(0).tolist() == pytest.approx(true.tolist(), abs=1e-3)
