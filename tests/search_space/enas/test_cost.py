from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from nni.nas.space import model_context
from torch import Tensor, nn

from search_space import Architecture, EnasSpace, macs, parameters
from search_space.enas.layouts import Layout


def architecture(normal: str, reduce: str) -> Architecture:
    return Architecture.from_fixed_arc([int(n) for n in normal.split()], [int(n) for n in reduce.split()])


# Cells that give the published counts of the ENAS networks for breast lesions (arXiv 2005.13695).
WITNESS = architecture("0 0 1 0 0 0 1 0 0 1 1 1 0 1 1 1 2 2 1 4", "0 0 1 0 0 0 1 0 0 1 1 1 0 4 1 2 2 3 1 3")
# The cells that ENAS's authors published for CIFAR-10.
CIFAR = architecture("0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1", "1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1")


def final_network(architecture: Architecture, layout: Any, **sizes: Any) -> EnasSpace:
    with model_context(architecture.to_sample()):
        return EnasSpace(layout, nodes=architecture.nodes, **sizes)


def trainable(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)


def counted_macs(network: nn.Module, images: Tensor) -> int:
    """Add up, while the network runs, what each convolution and linear layer multiplies."""
    counts = []

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        counts.append(output[0].numel() * module.weight[0].numel())  # type: ignore[union-attr, index, operator]

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(images)
    return sum(counts)


@pytest.mark.parametrize(
    ("cells", "layout", "classes", "published"),
    [
        (WITNESS, "enas17", 2, 4_251_780),
        (WITNESS, "enas7", 2, 2_342_484),
        (CIFAR, "enas17", 10, 3_894_372),
    ],
)
def test_published_parameter_counts(cells: Architecture, layout: str, classes: int, published: int) -> None:
    assert parameters(cells, layout, filters=36, channels=3, classes=classes) == published
    assert trainable(final_network(cells, layout, filters=36, channels=3, classes=classes)) == published


def test_macs_by_hand() -> None:
    # One node of two identities in each cell, 1 filter, 1 channel, 1 class, images of 4x4.
    cells = architecture("0 4 1 4", "0 4 1 4")
    stem = 9 * 3 * 16
    normal = (3 + 3 + 1) * 16  # both inputs from 3 channels to 1, and once more on the second
    reduction = (3 * 2 + 1 * 2 + 2 * 2) * 16 + 2 * (
        2 * 2
    ) * 4  # the same at width 2; two factorized reductions
    classifier = 2
    assert macs(cells, ["normal", "reduce"], 1, 1, 1, image_size=4) == stem + normal + reduction + classifier


def random_networks(count: int) -> Iterator[tuple[Architecture, Layout, dict[str, int]]]:
    generator = np.random.default_rng(0)
    for number in range(count):
        kinds = ["normal", "reduce", *generator.choice(["normal", "normal", "reduce"], generator.integers(4))]
        sizes = {
            "filters": int(generator.integers(1, 9)),
            "channels": int(generator.integers(1, 5)),
            "classes": int(generator.integers(1, 12)),
            "stem_stride": (1, 2, 4)[number % 3],
        }
        yield (
            Architecture.random(generator, nodes=number % 7 + 1),
            Layout(generator.permutation(kinds).tolist()),
            sizes,
        )


def test_parameters_equal_those_of_the_built_network() -> None:
    for cells, layout, sizes in random_networks(200):
        assert parameters(cells, layout, **sizes) == trainable(final_network(cells, layout, **sizes))


def test_macs_equal_those_of_the_running_network() -> None:
    for number, (cells, layout, sizes) in enumerate(random_networks(40)):
        side = 17 + number % 13
        counted = counted_macs(
            final_network(cells, layout, **sizes), torch.zeros(1, sizes["channels"], side, side)
        )
        assert macs(cells, layout, **sizes, image_size=side) == counted


@pytest.mark.parametrize("sizes", [{"filters": 0}, {"channels": -1}, {"classes": 2.0}, {"filters": True}])
def test_impossible_sizes_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be a whole number from 1"):
        parameters(WITNESS, "enas7", **sizes)
    with pytest.raises(ValueError, match="image_size must be a whole number from 1, not 0"):
        macs(WITNESS, "enas7", image_size=0)
    with pytest.raises(ValueError, match="stem_stride is 1, 2 or 4, not 3"):
        parameters(WITNESS, "enas7", stem_stride=3)
