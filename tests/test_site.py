"""The site of the docs builds without a warning, and its pages load nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocstrings", reason="the extra `docs` is not installed")
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return out


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|link)[^>]+(?:src|href)=[\"']?(https?:[^\"' >]+)", text)
        assert not loaded, page


def test_the_reference_of_the_python_api_names_every_public_name(site: Path) -> None:
    import search_space
    import strategies
    import trials

    text = (site / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    for package in (search_space, strategies, trials):
        for name in package.__all__:
            assert name.startswith("__") or f'id="{package.__name__}.{name}"' in text, name


def test_a_notebook_is_a_page_with_its_pictures(site: Path) -> None:
    text = (site / "tutorial" / "from-folder-to-report" / "index.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") >= 4
