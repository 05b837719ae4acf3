"""The square of bytes that a model makes of an image before it looks at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

Fit = Literal["stretch", "pad", "center_crop"]


class Square(NamedTuple):
    """Pixels a side, how images become square, and channels: as `trials.data.images.to_array` takes them."""

    image_size: int
    fit: Fit
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a square: channels, side, side."""
        return self.channels, self.image_size, self.image_size

    @property
    def colours(self) -> str:
        """What the channels are."""
        return "colour" if self.channels == 3 else "grey"

    @property
    def words(self) -> str:
        """How images become square."""
        size = f"{self.image_size}x{self.image_size}"
        if self.fit == "center_crop":
            return f"centre {size}, native resolution"
        return f"{self.fit} to {size}, bicubic"


def input_names(squares: Sequence[Square]) -> list[str]:
    """Return a name for each square, no longer than tells them apart: `images`, `images_64`, ..."""
    forms: list[Callable[[Square], str]] = [
        lambda one: "images",
        lambda one: f"images_{one.image_size}",
        lambda one: f"images_{one.image_size}_{one.fit}",
        lambda one: f"images_{one.image_size}_{one.fit}_{one.colours}",
    ]
    named = ([form(one) for one in squares] for form in forms)
    return next(names for names in named if len(set(names)) == len(set(squares)))
