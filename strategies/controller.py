"""ENAS's controller: an LSTM that draws an architecture decision by decision.

Source: Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018 (arXiv
1802.03268), and the authors' released code. Their controller knows one space, two cells of nodes with two
inputs and two operations; this one reads any space of NNI's categorical choices. Cells
(:mod:`strategies.decisions`) are drawn exactly as in ENAS, with pointers over earlier states. Any other
choice is one LSTM step with an output layer and embeddings of its own, which is how ENAS treats an operation;
that extension is ours.

It always runs on the CPU: its matrices are 64 wide, and sixty tiny steps cost more in kernel launches and
synchronisation than in arithmetic. Architectures drawn together share each step. Steps call functions, not
modules, whose calls take as long as the arithmetic of one architecture.
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
            self._set_bias(cell.operations, convolution_bias * _is_convolution(cell.operations))
        for choice in self.choices:
            self._set_bias(choice.label, torch.zeros(len(choice.values)))
        self.fixed_bias = fixed_bias

    def _add_head(self, name: str, options: int) -> None:
        if name not in self.heads:
            self.heads[name] = nn.Linear(self.hidden, options)
            self.embeddings[name] = nn.Embedding(options, self.hidden)

    def _set_bias(self, decided: object, values: Tensor) -> None:
        head, _ = self.layers_of(decided)
        with torch.no_grad():
            head.bias.copy_(values)

    def layers_of(self, decided: object) -> tuple[nn.Linear, nn.Embedding]:
        """Return output layer and embeddings of a cell's operations, or of a choice by its label."""
        head, embedding = self.heads[_head_name(decided)], self.embeddings[_head_name(decided)]
        assert isinstance(head, nn.Linear) and isinstance(embedding, nn.Embedding)
        return head, embedding

    def draw(self, count: int, generator: torch.Generator | None = None) -> Draw:
        """Draw ``count`` architectures independently."""
        walk = self._walk(count, generator)
        return Draw(walk.samples, *walk.probability_and_entropy())

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator | None = None) -> list[Sample]:
        """Return the samples that :meth:`draw` would draw, without what only learning needs."""
        return self._walk(count, generator).samples

    def _walk(self, count: int, generator: torch.Generator | None) -> _Walk:
        walk = _Walk(self, count, generator)
        for choice in self.choices:
            walk.choice(choice)
        for index, cell in enumerate(self.cells):
            walk.cell(cell, first=index == 0)
        return walk


class _Walk:
    """One pass of the controller for ``count`` architectures: LSTM state, drawn options, probabilities."""

    def __init__(self, controller: Controller, count: int, generator: torch.Generator | None) -> None:
        self.controller, self.count, self.generator = controller, count, generator
        self.lstm = controller.lstm.weight_ih, controller.lstm.weight_hh
        self.zeros = controller.start.new_zeros(count, controller.hidden)
        self.hidden, self.memory = self.zeros, self.zeros
        self.input = self.start()
        self.log_prob = self.entropy = controller.start.new_zeros(count)
        self.samples: list[Sample] = [{} for _ in range(count)]
        self.taken: list[tuple[Tensor, Tensor]] = []  # logits [count, options] and drawn options [count]

    def start(self) -> Tensor:
        return self.controller.start.expand(self.count, -1)  # [count, hidden]

    def step(self) -> Tensor:
        self.hidden, self.memory = torch.lstm_cell(self.input, (self.hidden, self.memory), *self.lstm)
        return self.hidden  # [count, hidden]

    def take(self, logits: Tensor) -> Tensor:
        """Draw one option per row of ``logits`` [count, options]; returns indices [count].

        The option whose exponential waiting time ends first, as in ``torch.multinomial``, which draws the
        same and takes several times as long to check its arguments.
        """
        rates = logits.detach().softmax(1)
        times = torch.empty_like(rates).exponential_(generator=self.generator)
        index = torch.div(rates, times, out=times).argmax(1)
        self.taken.append((logits, index))
        return index

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
        index = torch.stack([index for _, index in self.taken], 1).unsqueeze(2)
        fixed = log_p.detach()  # ENAS rewards entropy and does not differentiate it
        entropy = -(fixed.exp() * fixed).nan_to_num(0.0).sum((1, 2))
        return self.log_prob + log_p.gather(2, index).sum((1, 2)), self.entropy + entropy

    def cell(self, plan: CellPlan, first: bool) -> None:
        """Draw a cell as ENAS does; the second cell continues from the first cell's last state."""
        controller, linear, tanh = self.controller, functional.linear, torch.tanh
        head, embedding = controller.layers_of(plan.operations)
        key, query, pointer = controller.key.weight, controller.query.weight, controller.pointer.weight
        fixed = (2 * _is_convolution(plan.operations) - 1) * controller.fixed_bias if first else 0.0
        rows = torch.arange(self.count)
        self.input = self.start()
        keys, embeddings = [], []
        for _ in range(plan.nodes.start):  # the cell's inputs get a key each and zeros as embedding
            keys.append(linear(self.step(), key))
            embeddings.append(self.zeros)
        for node in plan.nodes:
            of_states = torch.stack(keys, 1), torch.stack(embeddings, 1)  # both [count, states, hidden]
            for slot in range(plan.slots):
                match = tanh(of_states[0] + linear(self.step(), query).unsqueeze(1))
                source = self.take(controller.input_tanh * tanh(linear(match, pointer).squeeze(2)))
                self.record(f"{plan.label}/input_{node}_{slot}", [[i] for i in source.tolist()])
                self.input = of_states[1][rows, source]
            for slot in range(plan.slots):
                logits = linear(self.step(), head.weight, head.bias)
                operation = self.take(controller.operation_tanh * tanh(logits) + fixed)
                drawn = [plan.operations[i] for i in operation.tolist()]
                self.record(f"{plan.label}/op_{node}_{slot}", drawn)
                self.input = functional.embedding(operation, embedding.weight)
            embeddings.append(self.step())
            keys.append(linear(self.hidden, key))
            self.input = self.start()

    def choice(self, plan: ChoicePlan) -> None:
        """Draw a choice outside any cell and feed the mean embedding of the chosen values to the LSTM."""
        head, embedding = self.controller.layers_of(plan.label)
        logits = functional.linear(self.step(), head.weight, head.bias)
        logits = self.controller.operation_tanh * torch.tanh(logits)
        mask = self.take_subset(logits) if plan.chosen is None else self.take_distinct(logits, plan.chosen)
        chosen = [[value for value, on in zip(plan.values, row, strict=True) if on] for row in mask.tolist()]
        self.record(plan.label, [values[0] for values in chosen] if plan.single else chosen)
        weight = mask / mask.sum(1, keepdim=True)
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
