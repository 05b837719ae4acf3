from typing import Any

import pytest
import torch
from nni.nas.space import model_context
from torch import Tensor, nn
from torch.nn import functional as F

from search_space import Architecture, EnasNetwork, EnasSpace
from search_space.enas.final_network import FinalCell
from search_space.enas.operations import DropPath, FactorizedReduction

ONE_NODE = Architecture.from_fixed_arc([1, 0, 1, 4], [1, 0, 1, 2])  # state 0 is a loose end of both cells


def final_network(architecture: Architecture, layout: Any = "enas3", **settings: Any) -> EnasSpace:
    with model_context(architecture.to_sample()):
        return EnasSpace(layout, nodes=architecture.nodes, **{"filters": 4, **settings})


@pytest.mark.parametrize(
    "settings", [{}, {"auxiliary": True, "image_size": 40, "stem_stride": 2, "classes": 3}]
)
def test_the_network_without_nni_is_the_one_that_is_frozen(settings: dict[str, Any]) -> None:
    layout = "enas7" if settings else "enas3"
    torch.manual_seed(0)
    frozen = final_network(Architecture.random(3), layout, **settings)
    torch.manual_seed(0)
    plain = EnasNetwork(Architecture.random(3), layout, **{"filters": 4, **settings})
    weights, expected = plain.state_dict(), frozen.state_dict()
    assert list(weights) == list(expected)
    assert all(torch.equal(weights[name], expected[name]) for name in weights)
    assert [name for name, _ in plain.named_modules()] == [name for name, _ in frozen.named_modules()]
    images = torch.randn(2, 3, 40, 40)
    assert torch.equal(plain.eval()(images), frozen.eval()(images))


def shake(network: nn.Module) -> None:
    """Give batch norm statistics and weights that make a wrong order of layers show."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                if tensor is not None:  # a norm without weights has statistics alone
                    tensor.data.uniform_(0.5, 1.5, generator=generator)


def layers(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.BatchNorm2d)]


def convolve(images: Tensor, convolution: nn.Module, **how: Any) -> Tensor:
    return F.conv2d(images, convolution.weight, **how)  # type: ignore[arg-type]


def normalise(images: Tensor, norm: nn.Module) -> Tensor:
    assert isinstance(norm, nn.BatchNorm2d)
    return F.batch_norm(images, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5)


def calibrate(images: Tensor, convolution: nn.Module, norm: nn.Module) -> Tensor:
    return normalise(convolve(images.relu(), convolution), norm)


def separable(images: Tensor, parts: list[nn.Module], stride: int) -> Tensor:
    for depth, point, norm, step in zip(parts[::3], parts[1::3], parts[2::3], (stride, 1), strict=True):
        images = convolve(images.relu(), depth, stride=step, padding=1, groups=images.shape[1])
        images = normalise(convolve(images, point), norm)
    return images


def halve(images: Tensor, even: nn.Module, odd: nn.Module, norm: nn.Module) -> Tensor:
    padded = F.pad(images, (0, 1, 0, 1))
    both = [convolve(padded[:, :, :-1:2, :-1:2], even), convolve(padded[:, :, 1::2, 1::2], odd)]
    return normalise(torch.cat(both, dim=1), norm)


@pytest.mark.parametrize("output_norm", [False, True])
def test_final_network_computes_what_enas_describes(output_norm: bool) -> None:
    """Write every layer of a small network out, in ENAS's order, for images of an odd size."""
    network = final_network(
        ONE_NODE, ["normal", "reduce", "normal"], channels=1, output_norm=output_norm
    ).eval()
    shake(network)
    images = torch.randn(2, 1, 7, 7)

    stem = layers(network.stem)
    s0 = normalise(convolve(images, stem[0], padding=1), stem[1])
    assert s0.shape == (2, 12, 7, 7)

    # Normal cell of width 4: both inputs from 12 channels, the second calibrated twice.
    (c0, n0, c1, n1, c2, n2, *sep) = layers(network.cells[0])
    x0 = calibrate(s0, c0, n0)
    x1 = calibrate(calibrate(s0, c1, n1), c2, n2)
    s1 = torch.cat([x0, separable(x1, sep, stride=1) + x1], dim=1)
    assert s1.shape == (2, 8, 7, 7)

    # Reduction cell of width 8: the second input already has 8 channels; everything leaves at 4x4.
    (c0, n0, c2, n2, *rest) = layers(network.cells[1])
    sep, end = rest[:6], rest[6:]
    x0 = calibrate(s0, c0, n0)
    x1 = calibrate(s1, c2, n2)
    pooled = F.avg_pool2d(x1, 3, stride=2, padding=1, count_include_pad=False)
    s2 = torch.cat([halve(x0, *end), separable(x1, sep, stride=2) + pooled], dim=1)
    assert s2.shape == (2, 16, 4, 4)

    # Normal cell after it: the first input is still 7x7, and has 8 channels.
    (even, odd, norm, c1, n1, c2, n2, *sep) = layers(network.cells[2])
    x0 = halve(s1.relu(), even, odd, norm)
    x1 = calibrate(calibrate(s2, c1, n1), c2, n2)
    s3 = torch.cat([x0, separable(x1, sep, stride=1) + x1], dim=1)

    if output_norm:  # ours; without it the network is ENAS's own
        assert network.output_norm is not None
        (norm,) = layers(network.output_norm)
        s3 = normalise(s3, norm)
    logits = s3.relu().mean(dim=(2, 3)) @ network.classifier.weight.T
    assert torch.allclose(network(images), logits, atol=1e-5)


@pytest.mark.parametrize("side", [(32, 32), (33, 33), (17, 30), (1, 1)])
@pytest.mark.parametrize("layout", ["enas3", "enas7", ["reduce", "reduce", "normal", "reduce"]])
def test_any_image_size_and_layout_runs(side: tuple[int, int], layout: Any) -> None:
    network = final_network(Architecture.random(1), layout, channels=2, classes=5, filters=3).eval()
    assert network(torch.randn(2, 2, *side)).shape == (2, 5)


@pytest.mark.parametrize("nodes", range(1, 8))
def test_any_number_of_nodes_trains(nodes: int) -> None:
    network = final_network(Architecture.random(nodes, nodes=nodes), "enas7", filters=2)
    network(torch.randn(4, 3, 12, 12)).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_output_norm_keeps_untrained_logits_small_and_adds_no_weight() -> None:
    """Cells of one loose end grow from cell to cell; of 300 random pairs this one does most."""
    growing, logits, sizes = Architecture.random(210), {}, {}
    for output_norm in (False, True):
        torch.manual_seed(0)
        network = final_network(growing, "enas17", output_norm=output_norm, dropout=0.0)
        logits[output_norm] = network(torch.randn(8, 3, 32, 32)).abs().max().item()
        sizes[output_norm] = sum(weight.numel() for weight in network.parameters())
    assert logits[False] > 50
    assert logits[True] < 5
    assert sizes[False] == sizes[True]


def test_classifier_has_no_bias_and_reads_all_loose_ends() -> None:
    network = final_network(ONE_NODE, "enas7", classes=3)
    assert network.classifier.bias is None
    assert network.classifier.weight.shape == (3, 2 * 16)


def test_loose_inputs_of_a_reduction_cell_are_factorized_reductions() -> None:
    cell = final_network(ONE_NODE, "enas3").cells[0]
    assert isinstance(cell, FinalCell)
    assert cell.loose_ends == (0, 2)
    assert [type(end) for end in cell.ends] == [FactorizedReduction, nn.Identity]


def test_identity_on_an_input_of_a_reduction_cell_is_a_factorized_reduction() -> None:
    only_identities = Architecture.from_fixed_arc([0, 4, 1, 4, 0, 4, 2, 4], [0, 4, 1, 4, 0, 4, 2, 4])
    network = final_network(only_identities, ["normal", "reduce"])
    halving, plain = [FactorizedReduction] * 3 + [nn.Identity], [nn.Identity] * 4
    assert [type(slot[0]) for slot in network.cells[0].slots] == plain
    assert [type(slot[0]) for slot in network.cells[1].slots] == halving


def test_only_the_chosen_operations_are_built() -> None:
    pools = Architecture.from_fixed_arc([0, 2, 1, 3], [0, 2, 1, 3])
    assert not any(conv.groups > 1 for conv in final_network(pools).modules() if isinstance(conv, nn.Conv2d))


def test_drop_path_grows_with_depth_and_progress_and_spares_identities() -> None:
    network = final_network(ONE_NODE, "enas7", drop_path=0.4)
    for layer, (kind, cell) in enumerate(zip(network.layout, network.cells, strict=True)):
        convolution, other = (module.probability for module in cell.modules() if isinstance(module, DropPath))
        assert convolution == pytest.approx(0.4 * (layer + 1) / 7)
        assert other == (0 if kind == "normal" else convolution)  # an identity, a pool
    paths = [module for module in network.modules() if isinstance(module, DropPath)]
    assert {path.progress for path in paths} == {0.0}
    network.drop_path_progress = 0.25
    assert network.drop_path_progress == 0.25
    assert {path.progress for path in paths} == {0.25}


def test_drop_path_also_spares_the_factorized_reduction_of_an_identity() -> None:
    identities = Architecture.from_fixed_arc([0, 4, 1, 4], [0, 4, 1, 4])
    paths = [module for module in final_network(identities).modules() if isinstance(module, DropPath)]
    assert [path.probability for path in paths] == [0.0] * 6


def test_names_of_weights_do_not_depend_on_drop_path() -> None:
    kept, dropped = (final_network(ONE_NODE, drop_path=rate).state_dict() for rate in (0.0, 0.4))
    assert kept.keys() == dropped.keys()


@pytest.mark.parametrize("progress", [-0.1, 1.1, float("nan")])
def test_progress_outside_its_range_is_refused(progress: float) -> None:
    with pytest.raises(ValueError, match="drop_path_progress runs from 0 to 1"):
        final_network(ONE_NODE).drop_path_progress = progress


def test_drop_path_and_dropout_act_in_training_only() -> None:
    torch.manual_seed(0)
    network = final_network(ONE_NODE, drop_path=0.8, dropout=0.5)
    network.drop_path_progress = 1.0
    images = torch.randn(8, 3, 8, 8)
    for module in network.modules():  # so that nothing but chance changes between two runs
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_dropout_stands_before_the_classifier() -> None:
    assert final_network(ONE_NODE, dropout=0.3).dropout.p == 0.3


def test_auxiliary_head_adds_logits_in_training_only() -> None:
    network = final_network(ONE_NODE, "enas7", auxiliary=True, image_size=29, classes=3)
    images = torch.randn(2, 3, 29, 29)
    maps: list[torch.Size] = []
    network.auxiliary_head.register_forward_hook(lambda module, inputs, output: maps.append(inputs[0].shape))
    logits, auxiliary = network(images)
    assert logits.shape == auxiliary.shape == (2, 3)
    assert maps == [(2, 32, 8, 8)]  # two loose ends of 16 filters; 29 pixels halved twice
    assert network.auxiliary_head[6].kernel_size == (2, 2)  # what the average pool leaves of 8x8
    assert network.eval()(images).shape == (2, 3)
    assert len(maps) == 1


def test_auxiliary_head_is_off_by_default() -> None:
    assert not hasattr(final_network(ONE_NODE, "enas7"), "auxiliary_head")
    assert final_network(ONE_NODE, "enas7")(torch.randn(2, 3, 8, 8)).shape == (2, 2)


def test_large_convolution_of_the_auxiliary_head_has_the_weights_that_the_paper_implies() -> None:
    head = final_network(ONE_NODE, "enas7", auxiliary=True, image_size=100).auxiliary_head
    assert max(weight.numel() for weight in head.parameters()) == 7 * 7 * 128 * 768  # 4.8 million


def test_auxiliary_head_needs_a_cell_after_a_second_reduction() -> None:
    with pytest.raises(ValueError, match="no cell after a second reduction cell; use auxiliary=False"):
        final_network(ONE_NODE, ["normal", "reduce", "normal"], auxiliary=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filters": 0}, "filters must be a whole number from 1, not 0"),
        ({"channels": 1.5}, "channels must be a whole number from 1"),
        ({"classes": True}, "classes must be a whole number from 1"),
        ({"image_size": -1}, "image_size must be a whole number from 1"),
        ({"dropout": 1.0}, "dropout is a probability from 0 to less than 1"),
        ({"drop_path": -0.1}, "drop_path is a probability"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnasSpace("enas7", **settings)


def test_network_follows_from_the_seed() -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(3)
        networks.append(final_network(ONE_NODE))
    assert all(torch.equal(a, b) for a, b in zip(*(n.state_dict().values() for n in networks), strict=True))


def test_all_weights_start_as_in_enas() -> None:
    for module in final_network(Architecture.random(0), "enas7", filters=36).modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel() * getattr(module, "groups", 1)
            largest = module.weight.abs().max() / (2 / fan_in) ** 0.5
            assert 1.4 < largest <= 2.001  # PyTorch's own start stays below 0.71


@pytest.mark.parametrize(("stride", "side"), [(1, 33), (2, 17), (4, 9)])
def test_the_first_cell_sees_maps_of_the_image_over_the_stem_stride(stride: int, side: int) -> None:
    network = final_network(ONE_NODE, "enas3", stem_stride=stride)
    assert network.stem(torch.zeros(2, 3, 33, 33)).shape == (2, 12, side, side)
    assert network.train()(torch.zeros(2, 3, 33, 33)).shape == (2, 2)


def test_the_auxiliary_head_fits_the_maps_behind_a_strided_stem() -> None:
    network = final_network(ONE_NODE, "enas7", stem_stride=2, image_size=65, auxiliary=True).train()
    logits, auxiliary = network(torch.zeros(2, 3, 65, 65))
    assert logits.shape == auxiliary.shape == (2, 2)
    assert network.auxiliary_head[6].kernel_size == (2, 2)  # of maps of 9x9: 65 halved three times


@pytest.mark.parametrize("named", [True, False])
def test_a_layout_changed_by_its_owner_leaves_the_space_as_it_was(named: bool) -> None:
    cells = ["normal", "reduce", "normal"]
    settings: dict[str, Any] = {"filters": 4, "nodes": 1}
    space = EnasSpace(layout=cells, **settings) if named else EnasSpace(cells, **settings)
    cells.append("normal")
    assert space.freeze(ONE_NODE.to_sample()).layout == ("normal", "reduce", "normal")
