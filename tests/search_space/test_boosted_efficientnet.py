import math
from typing import Any

import pytest
import torch
from nni.mutable import Categorical
from nni.nas.space import model_context
from numpy.random import RandomState
from torch import Tensor, nn

from search_space import BoostedEfficientNet
from search_space.boosted_efficientnet import CBAM, LITE, imagenet_weights

models = pytest.importorskip("torchvision.models")

UNTOUCHED: dict[str, Any] = {"downsampling": 32, "attention": "library", "fusion": False, "cropping": "none"}
BOOSTED: dict[str, Any] = {
    "downsampling": 8,
    "attention": "cbam",
    "fusion": True,
    "cropping": "random_center",
}


ATTENTION = {"shared", "spatial", "gain"}


def build(
    variant: str = "b0", *, seed: int = 0, classes: int = 2, weights: Any = None, **choices: Any
) -> Any:
    torch.manual_seed(seed)
    with model_context(UNTOUCHED | choices):
        return BoostedEfficientNet(variant, classes=classes, weights=weights).eval()


@pytest.fixture(scope="module")
def untouched() -> Any:
    return build()


def maps_of(network: nn.Module, side: int) -> list[Tensor]:
    """What the stem, the seven stages and the last convolution put out for one noisy image."""
    maps: list[Tensor] = []
    parts = network.get_submodule("features").children()
    hooks = [part.register_forward_hook(lambda module, inputs, output: maps.append(output)) for part in parts]
    with torch.no_grad():
        network(torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()
    return maps


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def strided(network: nn.Module) -> list[str]:
    """The parts of `features` that have a convolution of stride 2."""
    convolutions = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    return [name.split(".")[1] for name, layer in convolutions if layer.stride == (2, 2)]


@pytest.mark.parametrize("outside", [False, True])
def test_untouched_it_is_the_librarys_network(outside: bool) -> None:
    torch.manual_seed(1)
    library = models.efficientnet_b0(num_classes=5).eval()
    torch.manual_seed(1)
    ours = BoostedEfficientNet(classes=5).eval() if outside else build(seed=1, classes=5)
    assert list(ours.state_dict()) == list(library.state_dict())
    for name, tensor in library.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor)
    with torch.no_grad():
        for size in ((64, 64), (97, 80)):
            images = torch.randn(2, 3, *size)
            assert torch.equal(ours(images), library(images))


@pytest.mark.parametrize("variant", ["b0", "b1", "b2", "b3"])
def test_untouched_it_has_the_librarys_number_of_parameters(variant: str) -> None:
    published = models.get_model_weights(f"efficientnet_{variant}").IMAGENET1K_V1.meta["num_params"]
    assert parameters(build(variant, classes=1000)) == published


def test_parameters_of_b0_without_its_head(untouched: Any) -> None:
    assert parameters(untouched) == 4_007_548 + 2 * 1280 + 2


@pytest.mark.parametrize(
    ("downsampling", "sides", "strides"),
    [
        (32, [48, 48, 24, 12, 6, 6, 3, 3, 3], "02346"),
        (16, [48, 48, 24, 12, 6, 6, 6, 6, 6], "0234"),
        (8, [48, 48, 24, 12, 12, 12, 12, 12, 12], "023"),
    ],
)
def test_downsampling_sets_the_sides_of_the_maps(
    downsampling: int, sides: list[int], strides: str, untouched: Any
) -> None:
    network = build(downsampling=downsampling)
    assert [maps.shape[2:] for maps in maps_of(network, 96)] == [(side, side) for side in sides]
    assert "".join(strided(network)) == strides
    assert same(network, untouched) == (set(), set())


def same(network: nn.Module, other: nn.Module) -> tuple[set[str], set[str]]:
    """Names of tensors that only the first has, or in another form or value, and those that it lacks."""
    mine, theirs = network.state_dict(), other.state_dict()
    equal = {name for name in mine.keys() & theirs.keys() if torch.equal(mine[name], theirs[name])}
    return mine.keys() - equal, theirs.keys() - equal


def test_cbam_is_added_behind_every_stage_and_nothing_else(untouched: Any) -> None:
    network = build(attention="cbam")
    assert [type(part[-1]) is CBAM for part in network.features] == [False, *[True] * 7, False]
    added, changed = same(network, untouched)
    assert {name.split(".")[3] for name in added} == ATTENTION and not changed
    # Widths 16, 24, 40, 80, 112, 192, 320; hidden units 1, 1, 2, 5, 7, 12, 20; a 2x7x7 convolution each.
    assert parameters(network) - parameters(untouched) == 2 * 10_008 + 7 * 98
    assert strided(network) == strided(untouched)


def test_attention_none_takes_squeeze_and_excitation_out_and_nothing_else(untouched: Any) -> None:
    network = build(attention="none")
    new, removed = same(network, untouched)
    assert not new
    assert removed == {name for name in untouched.state_dict() if ".fc1." in name or ".fc2." in name}
    assert len(removed) == 4 * 16  # blocks
    assert [maps.shape for maps in maps_of(network, 64)] == [maps.shape for maps in maps_of(untouched, 64)]


@pytest.mark.parametrize(("variant", "width"), [("b0", 40 + 112 + 1280), ("b3", 48 + 136 + 1536)])
def test_fusion_widens_the_classifier(variant: str, width: int) -> None:
    network = build(variant, classes=3, fusion=True)
    assert network.classifier[1].weight.shape == (3, width)
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_fusion_joins_the_means_of_stages_3_and_5_to_the_last(untouched: Any) -> None:
    network = build(fusion=True)
    maps = maps_of(network, 64)
    joined = torch.cat([maps[stage].mean((2, 3)) for stage in (3, 5, 8)], dim=1)
    head = network.classifier[1]
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(images), joined @ head.weight.T + head.bias)
    assert same(network, untouched)[0] == {"classifier.1.weight"}  # the bias starts at zero in both
    assert 0.6 < head.weight.abs().max() <= 2**-0.5  # torchvision's start for two classes


def test_cropping_is_told_and_leaves_the_network_alone(untouched: Any) -> None:
    network = build(cropping="random_center")
    assert network.chosen["cropping"] == "random_center"
    assert same(network, untouched) == (set(), set()) and strided(network) == strided(untouched)


@pytest.mark.parametrize("side", [64, 65, 96])
def test_all_changes_together_train_at_any_size(side: int) -> None:
    network = build(classes=4, **BOOSTED).train()
    logits = network(torch.randn(2, 3, side, side))
    assert logits.shape == (2, 4)
    logits.square().sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_cbam_computed_by_hand() -> None:
    """Two channels of 2x2: [[1, 3], [0, 0]] and all 2; every sigmoid of log 3 is 3/4, of -log 3 1/4."""
    attention, log3 = CBAM(2), math.log(3)
    assert [layer.weight.shape for layer in (attention.shared[0], attention.shared[2])] == [(1, 2), (2, 1)]
    with torch.no_grad():
        attention.shared[0].weight.copy_(torch.tensor([[1.0, -1.0]]))
        attention.shared[2].weight.copy_(torch.tensor([[log3], [-log3]]))
        attention.spatial.weight.zero_()
        attention.spatial.weight[0, 0, 2, 3] = log3 / 1.375  # the mean, one row above
        attention.spatial.weight[0, 1, 3, 4] = log3 / 2.25  # the maximum, one column to the right
        result = attention(torch.tensor([[[[1.0, 3.0], [0.0, 0.0]], [[2.0, 2.0], [2.0, 2.0]]]]))
    # Hidden unit: mean 1 - 2, cut to 0; maximum 3 - 2 = 1. The channels are multiplied by 3/4 and 1/4.
    channels = torch.tensor([[[0.75, 2.25], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]])
    # Means [[0.625, 1.375], [0.25, 0.25]], maxima [[0.75, 2.25], [0.5, 0.5]]; zeros beyond the border.
    odds = 3 ** (0.625 / 1.375 + 0.5 / 2.25)
    spatial = torch.tensor([[0.75, 0.5], [odds / (1 + odds), 0.75]])
    torch.testing.assert_close(result[0], channels * spatial)


def test_cbam_has_a_sixteenth_of_the_channels_hidden() -> None:
    assert CBAM(320).shared[0].weight.shape == (20, 320)


class Stored:
    """Weights as torchvision hands them out, without the download."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def get_state_dict(self, **_: Any) -> dict[str, Tensor]:
        return self.network.state_dict()


def test_given_weights_fill_all_but_what_is_new_and_the_head() -> None:
    torch.manual_seed(5)
    library = models.efficientnet_b0()
    network = build(weights=Stored(library), **BOOSTED)
    new, missing = same(network, library)
    assert missing == {"classifier.1.weight", "classifier.1.bias"}
    of_attention = {name for name in new if name.split(".")[3:] and name.split(".")[3] in ATTENTION}
    assert of_attention and new - of_attention == missing
    assert network.classifier[1].weight.abs().max() <= 1432**-0.5  # PyTorch's start


@pytest.mark.parametrize("variant", LITE)
def test_lite_untouched_is_timms_network_with_the_imagenet_weights(variant: str) -> None:
    timm = pytest.importorskip("timm")
    library = timm.create_model(f"tf_efficientnet_{variant}", num_classes=1000).eval()
    library.load_state_dict(imagenet_weights(variant).get_state_dict(progress=False, check_hash=True))
    ours = build(variant, classes=1000, weights=imagenet_weights(variant))
    ours.classifier[1].load_state_dict(library.classifier.state_dict())
    images = torch.randn(2, 3, 97, 80)
    with torch.no_grad():
        assert torch.equal(ours(images), library(images))


def test_the_choices_change_lite0_as_they_change_b0() -> None:
    pytest.importorskip("timm")
    network = build("lite0", **BOOSTED)
    assert [maps.shape[-1] for maps in maps_of(network, 96)] == [48, 48, 24, 12, 12, 12, 12, 12, 12]
    assert sum(isinstance(module, CBAM) for module in network.modules()) == 7
    assert network.classifier[1].in_features == 1280 + 40 + 112
    assert parameters(build("lite0", attention="none")) == parameters(build("lite0"))


def test_attention_between_given_weights_starts_as_an_identity_and_learns() -> None:
    pytest.importorskip("timm")
    plain, attentive = (
        build("lite0", weights=imagenet_weights("lite0"), attention=which) for which in ("library", "cbam")
    )
    images = torch.randn(2, 3, 64, 64)
    maps = attentive.features(images)
    torch.testing.assert_close(maps, plain.features(images))
    maps.sum().backward()
    assert attentive.features[3][-1].shared[2].weight.grad.abs().max() > 0
    assert attentive.features[3][-1].spatial.weight.grad.abs().max() > 0


def test_weights_of_another_variant_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"size mismatch|Unexpected key"):
        build(weights=Stored(models.efficientnet_b1()))


def test_space_lists_its_choices_by_label() -> None:
    choices = BoostedEfficientNet().simplify()
    assert all(isinstance(choice, Categorical) for choice in choices.values())
    assert {label: choice.values for label, choice in choices.items()} == {
        "downsampling": [32, 16, 8],
        "attention": ["library", "cbam", "none"],
        "fusion": [False, True],
        "cropping": ["none", "random_center"],
    }


def test_freeze_builds_the_network_of_the_sample_with_all_arguments() -> None:
    space = BoostedEfficientNet("b1", classes=4)
    assert space.contains(BOOSTED)
    network = space.freeze(BOOSTED)
    assert network.simplify() == {} and network.chosen == BOOSTED
    assert same_shapes(network, build("b1", classes=4, **BOOSTED))
    assert strided(network) == ["0", "2", "3"]


def same_shapes(one: nn.Module, other: nn.Module) -> bool:
    shapes = [{name: tensor.shape for name, tensor in n.state_dict().items()} for n in (one, other)]
    return shapes[0] == shapes[1]


def test_random_network_is_the_one_of_its_sample() -> None:
    sample: dict[str, Any] = {}
    network = BoostedEfficientNet().random(sample, random_state=RandomState(0))
    assert network.chosen == sample and sample.keys() == UNTOUCHED.keys()


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({}, r"labels \[\], the space \['attention', 'cropping', 'downsampling', 'fusion'\]"),
        ({**UNTOUCHED, "kernel": 3}, "labels .*'kernel'"),
        ({**UNTOUCHED, "downsampling": 4}, "downsampling is one of 32, 16, 8, not 4"),
        (
            {**UNTOUCHED, "attention": "squeeze"},
            "attention is one of 'library', 'cbam', 'none', not 'squeeze'",
        ),
    ],
)
def test_sample_of_another_space_is_refused(sample: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message), model_context(sample):
        BoostedEfficientNet()


def test_unknown_variant_and_no_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="variant is one of lite0, lite1, lite2, b0, b1, b2, b3, not 'b9'"):
        BoostedEfficientNet("b9")
    with pytest.raises(ValueError, match="classes must be a whole number from 1"):
        BoostedEfficientNet(classes=0)
