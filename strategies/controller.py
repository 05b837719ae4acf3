"""ENAS's controller: an LSTM that draws an architecture decision by decision.

Source: Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018 (arXiv
1802.03268), and the authors' released code. Their controller knows one space, two cells of nodes with two
inputs and two operations; this one reads any space of NNI's categorical choices. Cells
(:mod:`strategies.decisions`) are drawn exactly as in ENAS, with pointers over earlier states. Any other
choice is one LSTM step with an output layer and embeddings of its own, which is how ENAS treats an operation;
that extension is ours.

It always runs on the CPU: its matrices are 64 wide, and sixty tiny steps cost more in kernel launches and
synchronisation than in arithmetic. Architectures drawn together share each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from nni.mutable import LabeledMutable, Sample
from torch import Tensor, nn
from torch.nn import functional

from strategies.decisions import CellPlan, ChoicePlan, plan_decisions


@dataclass(frozen=True)
class Draw:
    """Architectures drawn together.

    ``samples`` are NNI samples; ``log_prob`` and ``entropy`` are [count], in nats, summed over an
    architecture's decisions; ``log_prob`` carries the graph that REINFORCE differentiates.
    """

    samples: list[Sample]
    log_prob: Tensor
    entropy: Tensor


class Controller(nn.Module):
    """One LSTM layer that draws architectures; all defaults are ENAS's.

    Args:
        mutables: the space's choices, as ``space.simplify()`` returns them.
        hidden: width of the LSTM.
        tanh_constant: logits of inputs are ``tanh_constant * tanh(logit)``.
        operation_tanh_reduce: those of operations ``tanh_constant / operation_tanh_reduce * tanh(logit)``.
        convolution_bias: initial value of the learned bias of the separable convolutions (names that start
            with ``sep_conv``).
        fixed_bias: added for separable convolutions and subtracted for other operations, in the first cell
            only; not learned.

    Raises TypeError for choices without a finite list of options, ValueError for a space without choices.
    """

    def __init__(
        self,
        mutables: Mapping[str, LabeledMutable],
        *,
        hidden: int = 64,
        tanh_constant: float = 1.10,
        operation_tanh_reduce: float = 2.5,
        convolution_bias: float = 10.0,
        fixed_bias: float = 0.25,
    ) -> None:
        super().__init__()
        self.choices, self.cells = plan_decisions(mutables)
        if not self.choices and not self.cells:
            raise ValueError("the space has no choices: there is nothing to search")
        self.hidden = hidden
        self.input_tanh = tanh_constant
        self.operation_tanh = tanh_constant / operation_tanh_reduce
        self.lstm = nn.LSTMCell(hidden, hidden, bias=False)
        self.start = nn.Parameter(torch.empty(1, hidden))
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.pointer = nn.Linear(hidden, 1, bias=False)
        # ENAS's two cells share the operations' output layer and embeddings; other choices have their own.
        self.heads = nn.ModuleDict()
        self.embeddings = nn.ModuleDict()
        for cell in self.cells:
            self._add_head(_head_name(cell.operations), len(cell.operations))
        for choice in self.choices:
            self._add_head(_head_name(choice.label), len(choice.values))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)
        for cell in self.cells:
            self._set_bias(_head_name(cell.operations), convolution_bias * _is_convolution(cell.operations))
        for choice in self.choices:
            self._set_bias(_head_name(choice.label), torch.zeros(len(choice.values)))
        self.fixed_bias = fixed_bias

    def _add_head(self, name: str, options: int) -> None:
        if name not in self.heads:
            self.heads[name] = nn.Linear(self.hidden, options)
            self.embeddings[name] = nn.Embedding(options, self.hidden)

    def _set_bias(self, name: str, values: Tensor) -> None:
        head = self.heads[name]
        assert isinstance(head, nn.Linear)
        with torch.no_grad():
            head.bias.copy_(values)

    def draw(self, count: int, generator: torch.Generator | None = None) -> Draw:
        """Draw ``count`` architectures independently."""
        walk = _Walk(self, count, generator)
        for choice in self.choices:
            walk.choice(choice)
        for index, cell in enumerate(self.cells):
            walk.cell(cell, first=index == 0)
        return Draw(walk.samples, *walk.probability_and_entropy())


class _Walk:
    """One pass of the controller for ``count`` architectures: LSTM state, drawn options, probabilities."""

    def __init__(self, controller: Controller, count: int, generator: torch.Generator | None) -> None:
        self.controller, self.count, self.generator = controller, count, generator
        zeros = controller.start.new_zeros(count, controller.hidden)
        self.state = (zeros, zeros)
        self.input = controller.start.expand(count, -1)
        self.log_prob = self.entropy = controller.start.new_zeros(count)
        self.samples: list[Sample] = [{} for _ in range(count)]
        self.taken: list[tuple[Tensor, Tensor]] = []  # logits [count, options] and drawn options [count, 1]

    def step(self) -> Tensor:
        self.state = self.controller.lstm(self.input, self.state)
        return self.state[0]  # [count, hidden]

    def take(self, logits: Tensor) -> Tensor:
        """Draw one option per row of ``logits`` [count, options]; returns indices [count]."""
        index = torch.multinomial(logits.detach().softmax(1), 1, generator=self.generator)
        self.taken.append((logits, index))
        return index.squeeze(1)

    def probability_and_entropy(self) -> tuple[Tensor, Tensor]:
        """Return the log of the probability of each architecture and its entropy, both [count]."""
        if not self.taken:
            return self.log_prob, self.entropy
        most = max(logits.shape[1] for logits, _ in self.taken)
        padded = [
            functional.pad(logits, (0, most - logits.shape[1]), value=float("-inf"))
            for logits, _ in self.taken
        ]
        log_p = torch.stack(padded, 1).log_softmax(2)  # [count, decisions, options]
        index = torch.stack([index for _, index in self.taken], 1)
        fixed = log_p.detach()  # ENAS rewards entropy and does not differentiate it
        entropy = -(fixed.exp() * fixed).nan_to_num(0.0).sum((1, 2))
        return self.log_prob + log_p.gather(2, index).sum((1, 2)), self.entropy + entropy

    def cell(self, plan: CellPlan, first: bool) -> None:
        """Draw a cell as ENAS does; the second cell continues from the first cell's last state."""
        controller = self.controller
        name = _head_name(plan.operations)
        fixed = (2 * _is_convolution(plan.operations) - 1) * controller.fixed_bias if first else 0.0
        self.input = controller.start.expand(self.count, -1)
        keys, embeddings = [], []
        for _ in range(plan.nodes.start):  # the cell's inputs get a key each and zeros as embedding
            keys.append(controller.key(self.step()))
            embeddings.append(self.state[0].new_zeros(self.count, controller.hidden))
        for node in plan.nodes:
            stacked_keys, stacked = (
                torch.stack(keys, 1),
                torch.stack(embeddings, 1),
            )  # [count, states, hidden]
            for slot in range(plan.slots):
                query = torch.tanh(stacked_keys + controller.query(self.step()).unsqueeze(1))
                logits = controller.input_tanh * torch.tanh(controller.pointer(query).squeeze(2))
                source = self.take(logits)
                self.record(f"{plan.label}/input_{node}_{slot}", [[i] for i in source.tolist()])
                self.input = stacked[torch.arange(self.count), source]
            for slot in range(plan.slots):
                operation = self.take(
                    controller.operation_tanh * torch.tanh(controller.heads[name](self.step())) + fixed
                )
                self.record(
                    f"{plan.label}/op_{node}_{slot}", [plan.operations[i] for i in operation.tolist()]
                )
                self.input = controller.embeddings[name](operation)
            embeddings.append(self.step())
            keys.append(controller.key(self.state[0]))
            self.input = controller.start.expand(self.count, -1)

    def choice(self, plan: ChoicePlan) -> None:
        """Draw a choice outside any cell and feed the mean embedding of the chosen values to the LSTM."""
        controller, name = self.controller, _head_name(plan.label)
        logits = controller.operation_tanh * torch.tanh(controller.heads[name](self.step()))
        mask = self.take_subset(logits) if plan.chosen is None else self.take_distinct(logits, plan.chosen)
        chosen = [[value for value, on in zip(plan.values, row, strict=True) if on] for row in mask.tolist()]
        self.record(plan.label, [values[0] for values in chosen] if plan.single else chosen)
        weight = mask / mask.sum(1, keepdim=True)
        embedding = controller.embeddings[name]
        assert isinstance(embedding, nn.Embedding)
        self.input = weight @ embedding.weight

    def take_distinct(self, logits: Tensor, chosen: int) -> Tensor:
        """Draw ``chosen`` different options one after the other; returns a 0/1 mask [count, options]."""
        mask = torch.zeros_like(logits)
        for _ in range(chosen):
            index = self.take(logits.masked_fill(mask.bool(), float("-inf")))
            mask = mask.scatter(1, index.unsqueeze(1), 1.0)
        return mask

    def take_subset(self, logits: Tensor) -> Tensor:
        """Draw a non-empty subset, each option by its own coin; returns a mask [count, options]."""
        p = torch.sigmoid(logits)
        mask = torch.zeros_like(p)
        while (empty := mask.sum(1) == 0).any():
            drawn = torch.bernoulli(p.detach(), generator=self.generator)
            mask = torch.where(empty.unsqueeze(1), drawn, mask)
        coin = torch.distributions.Bernoulli(p)
        not_empty = torch.log1p(-(1 - p).prod(1))  # the coins are conditioned on at least one head
        self.log_prob = self.log_prob + coin.log_prob(mask).sum(1) - not_empty
        self.entropy = self.entropy + coin.entropy().detach().sum(1)
        return mask

    def record(self, label: str, values: list[Any]) -> None:
        for sample, value in zip(self.samples, values, strict=True):
            sample[label] = value


def _head_name(key: object) -> str:
    """Return the name of a head: unlike labels, module names have no dots."""
    return repr(key).replace(".", "_")


def _is_convolution(operations: tuple[Any, ...]) -> Tensor:
    return torch.tensor([float(str(name).startswith("sep_conv")) for name in operations])
