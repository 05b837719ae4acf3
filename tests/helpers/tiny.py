"""Settings with which a search and a training last a second or two."""

from __future__ import annotations

TINY: dict[str, object] = {
    "data.image_size": 24,
    "retrain.epochs": 1,
    "retrain.max_steps": 2,
    "retrain.filters": 2,
    "search.filters": 2,
    "search.nodes": 2,
    "search.epochs": 1,
    "search.final_samples": 3,
    "search.controller_updates": 1,
    "search.controller_samples": 2,
}
