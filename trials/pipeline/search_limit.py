"""What a search's limit is of: an architecture's final network, as it will be retrained, not the supernet.

That network stands in `search.limit_layout` and has the retraining's filters and stem, for images of
`data.image_size`. Parameters and multiply-adds follow from formulas; milliseconds from a table of layers that
the search measures once, on this machine's processor with its number of threads, and leaves beside its
results: a resumed search reads it, and so goes on as it began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from nni.nas.space import model_context

from search_space import Architecture, EnasSpace, macs, parameters
from search_space.enas.cost import Layer, layers
from search_space.enas.latency import LatencyTable, every_layer, milliseconds
from strategies import Limit
from trials.settings.schema import Settings

WHOLE = 7  # random networks timed as a whole, which the sums of layers are scaled to on average; ours


class SearchLimit:
    """The limit that the settings of a search set, which has one; `table` is needed for milliseconds alone.

    `network` are the sizes of the network whose cost it is.
    """

    def __init__(self, settings: Settings, classes: int) -> None:
        assert settings.search.limit is not None
        self.of, self.most = settings.search.limit
        self._search = settings.search
        self.network: dict[str, Any] = {
            "layout": settings.search.limit_layout,
            "filters": settings.retrain.filters,
            "channels": settings.data.channels,
            "classes": classes,
            "stem_stride": settings.retrain.stem_stride,
        }
        self.side = settings.data.image_size

    @property
    def identity(self) -> dict[str, Any]:
        """What the search depends on because of it."""
        return {"of": self.of, "most": self.most, **self.network, "image_size": self.side}

    def table(self, file: Path) -> LatencyTable | None:
        """Read the table in `file`, or measure one where there is no file; None where none is needed.

        Raises ValueError for a file that holds none of this network.
        """
        if self.of != "milliseconds":
            return None
        possible = every_layer(self._layers, self._search.nodes)
        if file.exists():
            return LatencyTable.load(file, possible)
        table = LatencyTable.measure(possible)
        networks = [Architecture.random(seed, self._search.nodes) for seed in range(WHOLE)]
        return table.scaled(median(self.measure(one) / table.of(self._layers(one)) for one in networks))

    def limit(self, table: LatencyTable | None) -> Limit:
        """Return it as a strategy takes it."""
        costs: dict[str, Callable[[Architecture], float]] = {
            "parameters": lambda architecture: parameters(architecture, **self.network),
            "macs": lambda architecture: macs(architecture, **self.network, image_size=self.side),
        }
        if table is not None:
            costs["milliseconds"] = lambda architecture: table.of(self._layers(architecture))
        cost = costs[self.of]
        return Limit(
            lambda sample: cost(Architecture.from_sample(sample)),
            self.most,
            self._search.limit_weight,
            f"{self.of.replace('_', '-')} in {self.network['layout']} of {self.network['filters']} filters",
        )

    def measure(self, architecture: Architecture) -> float:
        """Time the whole network of an architecture for one image, in milliseconds."""
        with torch.random.fork_rng(devices=[]), model_context(architecture.to_sample()):
            network = EnasSpace(**self.network, nodes=architecture.nodes, image_size=self.side)
            return milliseconds(network, self.network["channels"], self.side)

    def _layers(self, architecture: Architecture) -> Iterable[Layer]:
        return layers(architecture, **self.network, image_size=self.side)
