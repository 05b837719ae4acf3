"""Choose which stored values are black and white for images of more than 8 bits: one range for a data set.

A file of 16 bits does not say how many of them its values use, so the range is chosen from all images of a
data set and stays with the model. It reaches from the lowest 0.5th to the highest 99.5th percentile of any
image, which a hot pixel or a burnt-in mark does not move. nnU-Net clips CT to the same percentiles (Isensee
et al., Nature Methods 18, 2021), but takes them over all images at once. The range is widened to eighths of a
power of two (ours), so that values of 12 bits have the range 0 to 4095 and a few images more or less change
nothing, and to 256 values at least.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2
from typing import NamedTuple

import numpy as np

from trials.errors import DataError

OUTSIDE = 0.005  # share of an image's pixels that may lie beyond the range on either side
LEVELS = 16  # of grey: fewer leave little of an image; ours
FEW = 0.05  # share of the images that should not decide a range alone; ours


class GreyRange(NamedTuple):
    """The stored values that become 0 and 255; values beyond them are clipped."""

    black: float
    white: float

    def to_bytes(self, values: np.ndarray) -> np.ndarray:
        """Map stored values linearly to uint8 of the same shape."""
        low, high = values.min(), values.max()
        if np.issubdtype(values.dtype, np.integer) and int(high) - int(low) < 2**16:
            table = self._scaled(np.arange(int(low), int(high) + 1))  # less memory and time than each pixel
            return table[values - low]
        return self._scaled(values)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        scaled = (values.astype(np.float64) - self.black) * (255 / (self.white - self.black))
        return np.round(np.clip(scaled, 0, 255)).astype(np.uint8)

    def __str__(self) -> str:
        return f"{self.black:g} to {self.white:g}"


BYTES = GreyRange(0, 255)


class Extent(NamedTuple):
    """The 0.5th, 50th and 99.5th percentile of an image's stored values, and whether they are integers."""

    low: float
    middle: float
    high: float
    whole: bool

    @classmethod
    def of(cls, values: np.ndarray) -> Extent:
        """Measure stored values of any shape; the percentiles are values that occur."""
        shares = np.quantile(values, [OUTSIDE, 0.5, 1 - OUTSIDE], method="inverted_cdf")
        low, middle, high = shares.tolist()
        return cls(low, middle, high, np.issubdtype(values.dtype, np.integer))


@dataclass(frozen=True)
class Stored:
    """How a file stores its greys: in values of an `extent` that need a range, through a DICOM `window`, or,
    with neither, as 8 bits.
    """

    extent: Extent | None = None
    window: str | None = None


def common_range(stored: Sequence[Stored]) -> GreyRange:
    """Return the range of a data set, `BYTES` where no image needs one."""
    extents = [one.extent for one in stored if one.extent]
    if not extents:
        return BYTES
    low, high = min(one.low for one in extents), max(one.high for one in extents)
    whole = all(one.whole for one in extents)
    high += whole  # a whole number reaches up to the next
    step = 2.0 ** (ceil(log2(max(high - low, 256 if whole else 1e-9))) - 3)
    black = floor(low / step) * step
    white = max(ceil(high / step) * step, black + (256 if whole else step))
    return GreyRange(black, white - whole)


def refuse_mostly_beyond(extent: Extent, known: GreyRange, path: object) -> None:
    """Raise `DataError` for an image whose median lies beyond the range."""
    if not known.black <= extent.middle <= known.white:
        raise DataError(
            f"{path}: half of its values lie beyond {known}, the range from black to white here, and would "
            f"be lost (its median is {extent.middle:g}); use images of the scale that the model was trained "
            "on, or save it with 8 bits"
        )


def notes_on(stored: Sequence[tuple[str, Stored]], known: GreyRange, *, own: bool) -> Iterator[str]:
    """Yield notes on how the greys of files are read; `own`: the range comes from them, not from a model."""
    deep = {file: one.extent for file, one in stored if one.extent}
    windows = {file: one.window for file, one in stored if one.window}
    if deep:
        source = "the range of all of them" if own else "the range that the model was trained on"
        yield f"{len(deep)} images store more than 8 bits: {known} become black to white, {source}"
        yield from _on_few(deep, known) if own else _on_beyond(deep, known)
        yield from _on_flat(deep, known)
        if bytes_ := len(stored) - len(deep) - len(windows):
            yield (
                f"{bytes_} images store 8 bits and are taken as they are: their 255 is as white as "
                f"{known.white:g} in the others; save all images in one form if that is wrong"
            )
    if windows:
        yield from _on_windows(windows, len(deep))


def _on_few(deep: dict[str, Extent], known: GreyRange) -> Iterator[str]:
    """Yield a note where a few images make the range four times as wide as the others need it."""
    ordered = sorted(deep, key=lambda file: deep[file].high)
    few = ordered[len(ordered) - ceil(FEW * len(ordered)) :]
    others = common_range([Stored(deep[file]) for file in ordered[: -len(few)]])
    if len(ordered) > len(few) and known.white - known.black >= 4 * (others.white - others.black):
        yield (
            f"the range is that wide because of {len(few)} of {len(deep)} images, such as {few[-1]} (values "
            f"to {deep[few[-1]].high:g}): {others} would do for the others; take them out if they are damaged"
        )


def _on_beyond(deep: dict[str, Extent], known: GreyRange) -> Iterator[str]:
    beyond = [file for file, one in deep.items() if one.low < known.black or one.high > known.white]
    if beyond:
        first = deep[beyond[0]]
        yield (
            f"{len(beyond)} images exceed that range, such as {beyond[0]} ({first.low:g} to {first.high:g}): "
            "values beyond it are black or white"
        )


def _on_flat(deep: dict[str, Extent], known: GreyRange) -> Iterator[str]:
    least = LEVELS / 256 * (known.white - known.black)
    flat = [file for file, one in deep.items() if one.high - one.low < least]
    if flat:
        first = deep[flat[0]]
        yield (
            f"{len(flat)} images keep fewer than {LEVELS} of 256 levels in that range, such as {flat[0]} "
            f"({first.low:g} to {first.high:g}): scale them like the others if they were recorded otherwise"
        )


def _on_windows(windows: dict[str, str], deep: int) -> Iterator[str]:
    kinds = sorted(set(windows.values()))
    yield (
        f"{len(windows)} DICOM images are shown through the window in their file ({', '.join(kinds[:3])}"
        + (
            f", ... {len(kinds)} in all), so that one value has not one grey in all of them"
            if len(kinds) > 1
            else ")"
        )
    )
    if deep:
        yield (
            f"{deep} other images have no window and are read by the range: one value has not one grey in "
            "both kinds"
        )
