"""Figures as files: what is drawn lies within them."""

import re
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from trials.report.figures import roc_figure

PREDICTIONS = SimpleNamespace(positive=np.array([False, True]), log_odds=np.array([-1.0, 1.0]))


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("label", ["hog", "HOG of single cells and their means, mirrored, RBF SVM"])
def test_a_legend_stands_within_its_figure_however_long_the_names(label: str) -> None:
    method = SimpleNamespace(label=label)
    summaries = [SimpleNamespace(method=method, predictions=PREDICTIONS)] * 3
    drawing = roc_figure(cast(Any, summaries)).svg.decode()
    named = re.findall(rf'<text [^>]* x="([-\d.]+)"[^>]*>{label} \(1\.000\)</text>', drawing)
    assert len(named) == 3 and all(float(x) > 0 for x in named)
    assert len(set(named)) == (2 if label == "hog" else 1)  # columns
