"""Methods of other packages: registered by hand, or by an entry point when they are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from docs.examples.pixel_components import ENTRY
from trials.errors import SettingsError
from trials.methods import registry

INSTALLED = """
from trials.methods.registry import find_method
entry = find_method("pixel_components")
print(entry.title.label, entry.builder)
"""


def test_a_registered_method_is_found_and_its_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "METHODS", dict(registry.METHODS))
    with pytest.raises(SettingsError, match="no method 'pixel_components'"):
        registry.find_method("pixel_components")
    registry.register(ENTRY)
    assert registry.find_method("pixel_components") is ENTRY
    with pytest.raises(ValueError, match="pixel_components: the name is in use"):
        registry.register(ENTRY)


def test_an_installed_package_adds_its_method_by_an_entry_point(tmp_path: Path) -> None:
    information = tmp_path / "mine-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        f"[{registry.ENTRY_POINTS}]\npixels = docs.examples.pixel_components:ENTRY\n"
    )
    path = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(Path(__file__).parents[3])!r}]\n"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", path + INSTALLED], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [
        *("pixel", "components,", "logistic", "regression"),
        "docs.examples.pixel_components:PixelComponents",
    ]
