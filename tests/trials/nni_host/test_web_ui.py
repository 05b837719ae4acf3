"""NNI's web UI of a pipeline, in a real browser, as a user sees and clicks it.

`LESION_NAS_SCREENSHOTS=docs/images python -m pytest tests/trials/nni_host/test_web_ui.py` takes the
screenshots of `docs/images/`: it does the same with the whole job on synthetic lesions, which takes minutes,
in place of toy trials.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trials.nni_host.experiment import create, environment, free_port

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)

SCREENSHOTS = os.environ.get("LESION_NAS_SCREENSHOTS")
ROOT = Path(__file__).parents[3]
PIPELINE = ROOT / ("nni_config/quickstart.yml" if SCREENSHOTS else "tests/trials/nni_host/toy/toy_curves.yml")
TRIALS = 4  # a search, two retrainings, the evaluation
PATIENCE = 1800_000 if SCREENSHOTS else 200_000  # ms
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No sandbox, because tests run as root in containers; and nothing of the browser's own traffic.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Charts are drawn on a canvas: their words are known to nobody afterwards, so they are written down.
REMEMBER_WORDS = """window.words = [];
const draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
  window.words.push(text); return draw.call(this, text, ...place);
};"""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the web UI of a running pipeline is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    out, port = tmp_path / "out", free_port(0)
    out.mkdir()
    create(PIPELINE, port, environment(out, None))
    yield f"http://127.0.0.1:{port}"
    subprocess.run([Path(sys.executable).with_name("nnictl"), "stop", "--port", str(port)], check=True)


@pytest.fixture
def page() -> Iterator[Any]:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=ARGUMENTS)
        page = chromium.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.add_init_script(REMEMBER_WORDS)
        yield page
        chromium.close()


def screenshot(page: Any, name: str) -> None:
    if SCREENSHOTS:
        page.wait_for_timeout(3000)  # charts are still being drawn
        page.screenshot(path=Path(SCREENSHOTS, f"web-ui-{name}.png"))


def reload_until(page: Any, tab: str, holds: Callable[[], bool]) -> None:
    """Load the page anew until a tab shows what is expected.

    Left to itself it asks NNI every 10 s, and goes blank where a trial's first metric overtakes the news of
    the trial (`allTrialsIntermediateChart` of NNI 3.0), as those of trials of a second do.
    """
    for _ in range(PATIENCE // 1000):
        page.reload()
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(1000)
        if holds():
            return
    raise AssertionError(f"not shown in {PATIENCE // 1000} attempts: {page.inner_text('body')}")


def sort_by_metric(page: Any, order: str) -> None:
    """Click the column's head until it says that it is sorted so; a click too soon after another is lost."""
    head = page.get_by_role("columnheader", name="Default metric")
    for _ in range(20):
        head.click()
        page.wait_for_timeout(1000)
        if head.get_attribute("aria-sort") == order:
            return
    raise AssertionError(f"the table does not sort {order}")


def rows(page: Any) -> Any:
    return page.locator("[data-automationid=DetailsRow]")


def cells(page: Any, column: str) -> list[str]:
    found: list[str] = rows(page).locator(f"[data-automation-key={column}]").all_inner_texts()
    return found


def points_of_curve(page: Any) -> int:
    """How many intermediate results the chart counts below its horizontal axis."""
    return max((int(word) for word in page.evaluate("window.words") if word.isdigit()), default=0)


def test_the_web_ui_shows_a_pipeline_as_it_goes(page: Any, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/detail")

    # the search appears, and its curve grows
    curve = "Intermediate result"
    reload_until(page, curve, lambda: points_of_curve(page) >= 2)
    assert cells(page, "sequenceId") == ["0"] and cells(page, "status") == ["RUNNING"]
    seen = points_of_curve(page)
    (tmp_path / "out" / "seen").touch()
    reload_until(page, curve, lambda: points_of_curve(page) > seen)
    screenshot(page, "curve")

    # the TensorBoard button opens TensorBoard, with the search's scalars
    rows(page).first.locator("label").click()
    page.locator("button", has_text="TensorBoard").first.click()
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Ok").click()
    tensorboard = opened.value
    for name in ("reward", "train_loss"):
        tensorboard.get_by_text(name, exact=True).first.wait_for()
    screenshot(tensorboard, "tensorboard")
    tensorboard.close()

    # every trial appears, and final metrics sort
    def all_final() -> bool:
        return sum("FINAL" in cell for cell in cells(page, "latestAccuracy")) == TRIALS

    reload_until(page, "Default metric", all_final)
    assert cells(page, "sequenceId") == ["0", "1", "2", "3"]
    for order in ("ascending", "descending"):
        sort_by_metric(page, order)
        metrics = [float(cell.split()[0]) for cell in cells(page, "latestAccuracy")]
        assert metrics == sorted(metrics, reverse=order == "descending") and len(set(metrics)) > 1
    screenshot(page, "sorted")
