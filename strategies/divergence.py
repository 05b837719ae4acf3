"""Training that diverges: numbers that are no longer finite must not become scores."""

from search_space.errors import LesionNasError


class DivergedError(LesionNasError, RuntimeError):
    """A training whose loss is no longer finite or has exploded, or an architecture without a finite score.

    `epoch` counts from 1; `what` tells which number it was.
    """

    def __init__(self, epoch: int, what: str) -> None:
        super().__init__(f"the training diverged in epoch {epoch}: {what}")
        self.epoch, self.what = epoch, what
