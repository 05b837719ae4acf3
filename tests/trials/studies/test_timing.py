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
    assert extrapolated([(100, 1.0), (200, 4.0)], 400) == pytest.approx(16)
    assert extrapolated([(100, 3.0), (200, 2.0)], 400) == pytest.approx(4)  # chance: no fit becomes cheaper
    assert extrapolated([(100, 2.0), (200, 4.0)], 400) == pytest.approx(8)
    assert extrapolated([(100, 1.0), (200, 8.0)], 400) == pytest.approx(32)  # no more than the square


@pytest.mark.parametrize(
    ("few", "many"),
    [
        ([(472, 1.87), (943, 4.92)], {1570: 10.36, 4708: 59.59}),  # hog
        ([(472, 1.54), (943, 3.86)], {1570: 7.44, 4708: 28.83}),  # hog_cells_mirrored
    ],
)
def test_few_images_do_not_hide_what_a_kernel_takes_of_many(
    few: list[tuple[int, float]], many: dict[int, float]
) -> None:
    """Seconds of one core for histograms and SVM, measured on made-up images of 28x28."""
    for images, seconds in many.items():
        assert 0.9 * seconds < extrapolated(few, images) < 1.8 * seconds
