"""Where a network looked, beside the images of the gallery."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.helpers.models import save_untrained
from trials.data.covariates import fit_coding
from trials.data.dataset import LesionData
from trials.report.report import run_report


def pictures(page: str, alt: str) -> list[Image.Image]:
    found = re.findall(rf'src="data:image/jpeg;base64,([^"]+)" alt="{alt}"', page)
    return [Image.open(BytesIO(base64.b64decode(content))) for content in found]


def test_maps_are_of_the_images_own_size_for_models_of_covariates_too(
    boxed_runs: Path, boxed: tuple[Path, LesionData], tmp_path: Path
) -> None:
    coding = fit_coding({"device": ["<i>A</i>", "B"]}, ["device"])
    two = {"classes": ("benign", "malignant"), "positive": "malignant", "threshold": 0.5}
    for fold in (0, 1):
        save_untrained(boxed_runs / f"fold{fold}", **two, covariates=coding)
    run_report([boxed_runs], tmp_path / "out", data=boxed[0])
    page = (tmp_path / "out" / "report.html").read_text()
    maps = pictures(page, "Grad-CAM")
    assert maps and "No Grad-CAM maps" not in page
    sizes = {picture.size for picture in maps}
    assert len(sizes) > 1 and sizes <= {image.shape[1::-1] for image in boxed[1].images}
    assert len(pictures(page, "blue to red")) == 1 and "against −1" in page
