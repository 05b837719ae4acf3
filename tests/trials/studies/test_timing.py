"""What is timed by several processes at once, and what follows of a few timings."""

from pathlib import Path

import pytest

from trials.errors import ExperimentError
from trials.studies import timing
from trials.studies.costs import extrapolated
from trials.studies.plan import Cost, LeftOut
from trials.studies.timing import Timed, time_methods, together


def test_what_processes_time_at_once_counts_by_its_mean() -> None:
    left_out = (LeftOut("geometry", "no boxes"),)
    first = Timed(4.0, (Cost("hog", 1.0), Cost("cells7", 10.0, 700, 40, 800, 500, 0.01)), left_out)
    second = Timed(6.0, (Cost("hog", 2.0), Cost("cells7", 14.0, 900, 40, 800, 500, 0.02)), left_out)
    expected = (Cost("hog", 1.5), Cost("cells7", 12.0, 900, 40, 800, 500, 0.015))
    assert together([first, second]) == Timed(5.0, expected, left_out)


def test_a_process_that_comes_to_no_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing.sys, "executable", "false")
    with pytest.raises(ExperimentError, match="timing hog ended with status 1"):
        time_methods(tmp_path, None, "cpu", {}, ["hog"], folds=2, parts=2)


def test_a_fits_time_grows_with_the_square_or_as_two_of_them_tell() -> None:
    assert extrapolated([(100, 2.0)], 300) == pytest.approx(18)
    assert extrapolated([(100, 1.0), (200, 8.0)], 400) == pytest.approx(64)
    assert extrapolated([(100, 3.0), (200, 2.0)], 400) == pytest.approx(4)  # chance: no fit becomes cheaper
    assert extrapolated([(100, 2.0), (200, 4.0)], 400) == pytest.approx(8)


def test_few_images_do_not_hide_what_a_kernel_takes_of_many() -> None:
    """Seconds of one core for mirrored histograms and SVM, measured on made-up images of 28x28."""
    few, many = [(236, 0.82), (472, 1.91)], {943: 5.65, 1570: 15.33, 4708: 247.69}
    for images, seconds in many.items():
        assert 0.9 * seconds < extrapolated(few, images) < 1.6 * seconds
