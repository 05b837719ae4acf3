"""Shared weights that a search has left, as the start of another search or of networks of cells.

Their search may be of another data set. What it has seen, validation and test images may not be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from safetensors.torch import save as dump_weights
from torch import Tensor, nn

from search_space.enas.final_network import EnasNetwork
from search_space.enas.layouts import parse_layout
from strategies.supernet.transfer import start_network, start_supernet
from trials.data.dataset import LesionData
from trials.data.leaks import read_search_record, refuse_overlap
from trials.data.split import Split, digest
from trials.errors import SettingsError
from trials.runs.folder import RunFolder, is_done, read, read_json
from trials.runs.layout import ARCHITECTURE, SEARCH_FILE, SHARED_WEIGHTS
from trials.settings.schema import Settings

LEARNED_FROM = "learned_from"  # in search.json: the digest of the images that trained the shared weights


def save_shared_weights(folder: RunFolder, supernet: nn.Module) -> None:
    """Write the weights of a supernet."""
    weights = {name: one.detach().cpu().contiguous().clone() for name, one in supernet.named_parameters()}
    folder.write_bytes(SHARED_WEIGHTS, dump_weights(weights))


@dataclass(frozen=True, eq=False)
class SharedWeights:
    """The weights of the finished search in `folder`, its `search.json`, and what it has seen.

    `setting` names what asked for them, in errors; `digest` is the SHA-256 of their file.
    """

    setting: str
    folder: Path
    record: Mapping[str, Any]
    seen: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    digest: str

    @classmethod
    def read(cls, folder: str, setting: str) -> SharedWeights:
        """Read them; raises `SettingsError` for a folder without such a search, and as the readers do."""
        place = Path(folder)
        wrong = f"{setting} = {folder}: expected the folder of a finished search"
        if not (place / SEARCH_FILE).is_file() or not is_done(place):
            raise SettingsError(f"{wrong}, with {SEARCH_FILE}; name one, or finish that search")
        try:
            content = read(place / SHARED_WEIGHTS)
            weights = load_weights(content)
        except FileNotFoundError:
            raise SettingsError(
                f"{wrong}, with {SHARED_WEIGHTS}, which a search of cells leaves; search again elsewhere"
            ) from None
        except SafetensorError as error:
            raise SettingsError(
                f"{place / SHARED_WEIGHTS}: no weights ({error}); search again elsewhere"
            ) from None
        record, known = read_json(place / SEARCH_FILE), read_search_record(place / ARCHITECTURE)
        assert known is not None
        seen = {**known, "name": _of(record, "data", "name")}
        return cls(setting, place, record, seen, weights, hashlib.sha256(content).hexdigest())

    @property
    def known(self) -> dict[str, Any]:
        """What a run that starts from them records of them."""
        return {"data": self.seen["name"], "data_digest": self.seen["data_digest"], "sha256": self.digest}

    def refuse_seen(self, split: Split, external: LesionData | None = None) -> None:
        """Raise `LeakError` where a validation, test or external image has been seen, or one of its group.

        A search has trained no weight on the validation images of a split whose training images are its own,
        as those of all networks of a set are.
        """
        everything = np.arange(len(external.files)) if external else np.arange(0)
        parts = {
            "validation": (
                split.data,
                split.validation[:0] if self._learned_from(split) else split.validation,
            ),
            "test": (split.data, split.test),
            "external": (external or split.data, everything),
        }
        for part, (data, images) in parts.items():
            way_out = "start from a search that has not seen them"
            refuse_overlap(self.seen, data, images, f"the search in {self.folder}", way_out, part=part)

    def _learned_from(self, split: Split) -> bool:
        """Return whether the training images of this split are those that trained the weights."""
        learned = self.seen["data_digest"], self.record.get(LEARNED_FROM)
        return learned == (split.data.digest, digest(split.training))

    def check_space(self, settings: Settings) -> None:
        """Raise `SettingsError` where a search by these settings has another supernet."""
        search = settings.search
        self._require(
            ("search.normal_cells", "search.normal_cells", search.normal_cells),
            ("search.filters", "search.filters", search.filters),
            ("search.nodes", "search.nodes", search.nodes),
            ("search.stem_stride", "search.stem_stride", search.stem_stride),
            ("data.channels", "data.channels", settings.data.channels),
        )

    def check_network(self, settings: Settings, nodes: int) -> None:
        """Raise `SettingsError` where networks of cells by these settings have operations of other sizes."""
        self._require(
            ("search.filters", "retrain.filters", settings.retrain.filters),
            ("search.nodes", "nodes of a cell", nodes),
            ("search.stem_stride", "retrain.stem_stride", settings.retrain.stem_stride),
            ("data.channels", "data.channels", settings.data.channels),
        )

    def _require(self, *wanted: tuple[str, str, int]) -> None:
        for name, ours, value in wanted:
            if (found := _of(self.record, "settings", *name.split("."))) != value:
                raise SettingsError(
                    f"{self.setting} = {self.folder}: was searched with {name} = {found}, here "
                    f"{ours} = {value}; set one as the other is"
                )

    def into_supernet(self, supernet: nn.Module) -> None:
        """Give a supernet these weights, its heads apart."""
        start_supernet(supernet, self.weights)

    def into_network(self, network: nn.Module) -> None:
        """Give a network of cells those of its operations."""
        assert isinstance(network, EnasNetwork)
        cells = int(_of(self.record, "settings", "search", "normal_cells")) + 2
        try:
            start_network(network, self.weights, parse_layout(f"enas{cells}"))
        except ValueError as error:
            raise SettingsError(
                f"{self.setting} = {self.folder}: {error}; name a layout whose cells all have one in its "
                f"enas{cells}, or search the source with as many cells (search.normal_cells)"
            ) from None


def _of(record: Mapping[str, Any], *names: str) -> Any:
    """Return a value of a record; None where there is none."""
    found: Any = record
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
