"""Tables of latencies: which layers they hold, and that they are taken at their word."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from search_space import Architecture, parameters
from search_space.enas.cost import Layer, layers
from search_space.enas.latency import LatencyTable, build, every_layer

SIZES: dict[str, Any] = {"filters": 4, "channels": 3, "classes": 2}


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
@pytest.mark.parametrize(("layout", "stem_stride"), [("enas3", 1), ("enas7", 4), ("enas8", 2)])
def test_a_table_holds_every_layer_of_any_architecture(nodes: int, layout: str, stem_stride: int) -> None:
    def walk(architecture: Architecture) -> set[Layer]:
        return set(layers(architecture, layout, **SIZES, image_size=30, stem_stride=stem_stride))

    known = every_layer(walk, nodes)
    met = set().union(*(walk(Architecture.random(seed, nodes)) for seed in range(150)))
    assert met <= known


def test_layers_built_by_themselves_are_those_of_the_network() -> None:
    for seed in range(4):
        architecture = Architecture.random(seed)
        walked = list(layers(architecture, "enas7", **SIZES, image_size=21, stem_stride=4))
        built = [build(layer) for layer in walked]
        weights = sum(weight.numel() for layer in built for weight in layer.parameters())
        assert weights == parameters(architecture, "enas7", **SIZES, stem_stride=4)
        for layer, module in zip(walked, built, strict=True):
            side = -(-layer.side // layer.stride)
            map_ = () if layer.kind == "classifier" else (side, side)
            made = module(torch.zeros(2, layer.inputs, layer.side, layer.side))
            assert made.shape == (2, layer.outputs, *map_)


def table() -> LatencyTable:
    walked = list(layers(Architecture.random(0, 1), ["normal", "reduce"], 2, image_size=8))
    return LatencyTable({layer: 0.1 + number for number, layer in enumerate(sorted(set(walked)))}, threads=2)


def test_a_network_takes_as_long_as_its_layers_together() -> None:
    one, two, *_ = known = table().milliseconds
    assert table().of([one, two, two]) == pytest.approx(known[one] + 2 * known[two])


def test_a_saved_table_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(table().to_json())
    assert LatencyTable.load(tmp_path / "table.json", table().milliseconds) == table()


def test_measuring_gives_every_layer_a_time_and_changes_nobodys_random_numbers() -> None:
    walked = list(layers(Architecture.random(0, 2), "enas3", 2, image_size=8))
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    measured = LatencyTable.measure(walked)
    assert torch.equal(torch.rand(1), expected)
    assert measured.of(walked) > 0 and measured.milliseconds.keys() == set(walked)
    assert measured.threads == torch.get_num_threads()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content["layers"].pop(), "not one of the layers"),
        (lambda content: content["layers"][0].update(milliseconds=float("inf")), "no finite number"),
        (lambda content: content["layers"][0].update(milliseconds="soon"), "not a table"),
        (lambda content: content["layers"][0].pop("side"), "not a table"),
        (lambda content: content.pop("threads"), "not a table"),
    ],
)
def test_a_damaged_table_or_one_of_other_layers_is_refused_by_name(
    change: Any, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.json"
    content = json.loads(table().to_json())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"table\.json: .*{words}"):
        LatencyTable.load(path, table().milliseconds)
