"""Open image files of 1, 8 or 16 bits, grey, RGB(A) or palette, and DICOM.

A file holds one picture. Reduced copies of it in a TIFF and the previews that cameras append to a JPEG do not
count; a file of several pictures is refused. Alpha and orientation are ignored, of EXIF and of TIFF; ours.
"""

from __future__ import annotations

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
_BITS, _FORMAT, _SIGNED = 258, 339, 2  # TIFF's tags BitsPerSample and SampleFormat, and a value of the latter
_ORIENTATION = 274  # the tag of TIFF and EXIF
_AS_STORED = {  # what undoes an orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def open_image(path: Path) -> Image.Image:
    """Read the picture of a file. Raises `DataError` for a file that is missing, empty, damaged, too large,
    no image, or of several pictures.
    """
    with _named(path):
        if is_dicom(path):
            values, inverted = read_dicom(path, MOST_PIXELS)
            image = Image.fromarray(values)
        else:
            with _opened(path) as opened:
                image = _as_stored(opened)
            _refuse_wrapped(opened, path)
            white_is_zero = _tag(opened, _PHOTOMETRIC) == _WHITE_IS_ZERO
            inverted = white_is_zero and is_deep(image)  # Pillow inverts bytes only
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
    # Pillow reads turned ones wrongly by name: findings/pillow-tiff-orientation.sh
    if image.format == "TIFF":
        image.filename = ""
    return image


def _as_stored(image: ImageFile.ImageFile) -> Image.Image:
    """Read the pixels. Pillow turns a TIFF by its orientation, and divides colour, not grey, by its alpha."""
    orientation = image.getexif().get(_ORIENTATION) if image.format == "TIFF" else None
    image.load()
    loaded = image.convert("LA") if image.mode == "La" else image
    return loaded.transpose(_AS_STORED[orientation]) if orientation in _AS_STORED else loaded


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
    if is_deep(image):
        return
    if _is_cut(image):
        raise DataError(
            f"{path}: 16 bits a channel, in colour or with alpha, of which Pillow keeps only the higher 8, "
            "often a few levels of grey; save it with 8 bits a channel, or as grey without alpha"
        )
    if _SIGNED in getattr(image, "tag_v2", {}).get(_FORMAT, ()):  # findings/pillow-tiff-signs.sh
        raise DataError(
            f"{path}: 8 bits with a sign, which Pillow reads as if they had none; save it with 8 bits from "
            "0 to 255, or with 16"
        )


def _refuse_wrapped(image: ImageFile.ImageFile, path: Path) -> None:
    """Raise `DataError` for values from 2^31 on, which Pillow reads as negative."""
    tags = getattr(image, "tag_v2", {})
    unsigned = tags.get(_BITS) == (32,) and _SIGNED not in tags.get(_FORMAT, ())
    if unsigned and np.asarray(image).min() < 0:
        raise DataError(
            f"{path}: values of 2147483648 or more, which Pillow reads as negative; save it with 16 bits"
        )


def _is_cut(image: ImageFile.ImageFile) -> bool:
    """Return whether a channel is stored with more than the 8 bits that Pillow keeps of it."""
    if image.format == "TIFF":  # not by how it is decoded: findings/pillow-planar-sixteen-bits.sh
        return max(getattr(image, "tag_v2", {}).get(_BITS, (1,))) > 8
    args = [tile.args for tile in image.tile]
    if image.format == "PPM":
        return any(isinstance(one, tuple) and one[1] > 255 for one in args)
    return ";16B" in str(args)  # of a PNG


def _tag(image: Image.Image, number: int, page: int | None = None) -> int | None:
    """Return a TIFF's tag, of the given or the current page; None: there is none, or it is no TIFF."""
    if page is not None:
        image.seek(page)
    found: int | None = getattr(image, "tag_v2", {}).get(number)
    return found
