"""Open image files of 1, 8 or 16 bits, grey, RGB(A) or palette, and DICOM.

A file holds one picture. Reduced copies of it in a TIFF and the previews that cameras append to a JPEG do not
count; a file of several pictures is refused. Alpha and EXIF orientation are ignored; ours.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from search_space.regular_files import not_a_file
from trials.data.files.dicom import is_dicom, read_dicom, survey_dicom
from trials.data.files.grey_range import Extent, Stored
from trials.errors import DataError

MOST_PIXELS = 100_000_000  # 20,000 x 5,000; what claims more would fill the memory
# Pillow goes by content, not by name. It would hand other formats, such as PostScript, to a program.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
SUFFIXES = DICOM_SUFFIXES | {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
INVERTED = "white is zero"  # the key of `Image.info` that says so
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF's tag, and its value
_SUBFILE, _REDUCED = 254, 1  # TIFF's tag NewSubfileType, and its bit for a smaller copy of another page


def open_image(path: Path) -> Image.Image:
    """Read the picture of a file. Raises `DataError` for a file that is missing, empty, damaged, too large,
    no image, or of several pictures.
    """
    with _named(path):
        if is_dicom(path):
            values, inverted = read_dicom(path, MOST_PIXELS)
            image = Image.fromarray(values)
        else:
            with _opened(path) as image:
                image.load()
            inverted = _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO and is_deep(
                image
            )  # Pillow inverts bytes only
        image.info[INVERTED] = inverted
        return image


def survey(path: Path) -> Stored:
    """Return how the file stores its greys; of 8 bits only the header is read. Raises as `open_image`."""
    with _named(path):
        if is_dicom(path):
            return survey_dicom(path, MOST_PIXELS)
        with _opened(path) as image:
            return Stored(Extent.of(np.asarray(image))) if is_deep(image) else Stored()


def is_deep(image: Image.Image) -> bool:
    """Return whether an image stores more than 8 bits of grey."""
    return image.mode.startswith("I") or image.mode == "F"


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn any error in reading a file into a `DataError` that names it."""
    try:
        if said := not_a_file(path):
            raise DataError(f"{path}: {said}")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty; replace it or take it out")
        yield
    except DataError:
        raise
    except Exception as error:  # for damaged files Pillow's many readers raise nearly anything
        raise DataError(f"{path}: cannot be read as an image ({error}); replace it or take it out") from error


def _opened(path: Path) -> ImageFile.ImageFile:
    """Open a file at its picture; only the header is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
        try:
            image = Image.open(path, formats=FORMATS)
        except UnidentifiedImageError:
            if path.suffix.lower() not in DICOM_SUFFIXES:
                raise
            raise DataError(
                f"{path}: begins neither as DICOM does (DICM after 128 bytes) nor as an image; export "
                "it again"
            ) from None
    _find_page(image, path)
    _refuse_pixels(image, path)
    return image


def _find_page(image: Image.Image, path: Path) -> None:
    """Go to the one picture of a file. Raises `DataError` where it holds more."""
    pages = list(range(getattr(image, "n_frames", 1)))
    if len(pages) == 1 or image.format == "MPO":  # of a photograph, with previews or another eye's view
        return
    if image.format == "TIFF":
        pages = [page for page in pages if not (_tag(image, _SUBFILE, page) or 0) & _REDUCED]
    if len(pages) != 1:
        raise DataError(
            f"{path}: holds {len(pages)} pictures ({image.format}: pages, slices or frames), expected one; "
            "save the one that shows the lesion best as a file of its own"
        )
    image.seek(pages[0])


def _refuse_pixels(image: ImageFile.ImageFile, path: Path) -> None:
    """Raise `DataError` for too many pixels, and for pixels that Pillow cannot read without loss."""
    if image.width * image.height > MOST_PIXELS:
        raise DataError(
            f"{path}: {image.width} x {image.height} pixels, expected {MOST_PIXELS:,} at most; crop the "
            "lesion, or save it smaller"
        )
    if image.mode == "F":
        raise DataError(f"{path}: floating-point pixels have no fixed range; save it with 8 or 16 bits")
    if not is_deep(image) and any(re.search(";16[BLN]", str(tile.args)) for tile in image.tile):
        raise DataError(
            f"{path}: 16 bits a channel, in colour or with alpha, of which Pillow keeps only the higher 8, "
            "often a few levels of grey; save it with 8 bits a channel, or as grey without alpha"
        )


def _tag(image: Image.Image, number: int, page: int | None = None) -> int | None:
    """Return a TIFF's tag, of the given or the current page; None: there is none, or it is no TIFF."""
    if page is not None:
        image.seek(page)
    found: int | None = getattr(image, "tag_v2", {}).get(number)
    return found
