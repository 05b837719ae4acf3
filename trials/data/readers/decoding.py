"""Image files to bytes: any of 1, 8 or 16 bit, grey, RGB(A) or palette, DICOM too, to uint8 grey or RGB.

Rules of ours: alpha and EXIF orientation are ignored; a colour image whose three channels are equal is
grey; grey of more than 8 bits is mapped linearly to bytes by a range that is known for the whole data set
(`grey_range.py`), and turned round where 0 is white; a file of several pictures is refused, but for reduced
copies of its picture in a TIFF and the previews that cameras append to a JPEG, which are passed over; an
image is reduced (bicubic) so that its longer side is at most 512 pixels, which bounds the memory that a data
set of photographs takes.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from search_space.files import not_a_file
from trials.data.readers.dicom import is_dicom, read_dicom, survey_dicom
from trials.data.readers.grey_range import (
    BYTES,
    Extent,
    GreyRange,
    Stored,
    common_range,
    notes_on,
    refuse_mostly_beyond,
)
from trials.data.records import DataError, Listing, Record

LONGEST_SIDE = 512
MOST_PIXELS = 100_000_000  # 20,000 x 5,000; what claims more would fill the memory
# Pillow goes by content, not by name: any other format, such as PostScript, which it would hand to a program
# that runs it, is refused.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
SUFFIXES = DICOM_SUFFIXES | {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
TURNED = "white is zero"  # the key of `Image.info` that says so
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF's tag, and its value
_SUBFILE, _REDUCED = 254, 1  # TIFF's tag NewSubfileType, and its bit for a smaller copy of another page


def open_image(path: Path) -> Image.Image:
    """The file, wholly read. Raises `DataError` where it is missing, empty, cut short, huge, no image or
    several.
    """
    with _named(path):
        if is_dicom(path):
            values, turned = read_dicom(path, MOST_PIXELS)
            image = Image.fromarray(values)
        else:
            with _opened(path) as image:
                image.load()
            turned = _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO and _deep(image)  # Pillow turns bytes only
        image.info[TURNED] = turned
        return image


def survey(path: Path) -> Stored:
    """How the file stores its greys; of 8 bits its head alone is read. Raises as `open_image`."""
    with _named(path):
        if is_dicom(path):
            return survey_dicom(path, MOST_PIXELS)
        with _opened(path) as image:
            return Stored(Extent.of(np.asarray(image))) if _deep(image) else Stored()


def decode(
    path: Path, box: tuple[int, int, int, int] | None = None, grey_range: GreyRange | None = BYTES
) -> np.ndarray:
    """The image, or its half-open `box` (x0, y0, x1, y1), as uint8 [h, w] if grey, else [h, w, 3].

    `grey_range` is that of its data set, or of a model's; None, for models that keep none, guesses it from
    this image alone.
    """
    image = to_eight_bits(open_image(path), path, grey_range)
    image = image.crop(box) if box else image
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)


def decode_all(paths: Sequence[Path], grey_range: GreyRange | None) -> tuple[list[np.ndarray], list[str]]:
    """Images for a model of this range, and what is to be said of their greys."""
    notes = notes_on([(str(path), survey(path)) for path in paths], grey_range, own=False)
    return [decode(path, grey_range=grey_range) for path in paths], list(notes)


def in_one_range(listing: Listing, grey_range: GreyRange | None) -> tuple[Listing, GreyRange]:
    """Let all records of a listing be read by one range, decided from them unless a model's is given.

    Return the listing, with notes on how greys were read, and the range.
    """
    with ThreadPoolExecutor() as pool:
        stored = [found for found in pool.map(_surveyed, listing.records) if found]
    known = grey_range or common_range([one for _, one in stored])
    notes = (*listing.notes, *notes_on(stored, known, own=grey_range is None))
    return replace(
        listing, records=tuple(_read_by(known, one) for one in listing.records), notes=notes
    ), known


def _surveyed(record: Record) -> tuple[str, Stored] | None:
    try:
        return (record.file, survey(record.path)) if record.path else None
    except DataError:  # told where it is decoded
        return None


def _read_by(known: GreyRange, record: Record) -> Record:
    if record.path is None:
        return record
    frame = partial(record.frame, grey_range=known) if record.frame else None
    return replace(record, decode=partial(record.decode, grey_range=known), frame=frame)


def to_eight_bits(image: Image.Image, path: Path, grey_range: GreyRange | None = BYTES) -> Image.Image:
    """Mode L or RGB. Raises `DataError` for an image that the range would make mostly black or white."""
    if not _deep(image):
        return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    values = np.asarray(image)
    if grey_range is None:
        grey_range = _guess(values, path)
    else:
        refuse_mostly_beyond(Extent.of(values), grey_range, path)
    scaled = grey_range.to_bytes(values)
    return Image.fromarray(255 - scaled if image.info[TURNED] else scaled)


def _guess(values: np.ndarray, path: Path) -> GreyRange:
    """The smallest depth of 8, 12 and 16 bits that holds the largest value."""
    depth = next((bits for bits in (8, 12, 16) if values.max() < 2**bits), None)
    if depth is None or values.min() < 0:
        raise DataError(
            f"{path}: values {values.min():g} to {values.max():g}, expected 0 to 65535, as the model keeps "
            "no range for others; save it with 8 bits, or train the model anew"
        )
    return GreyRange(0, 2**depth - 1)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let whatever is wrong with a file be a `DataError` that names it."""
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


def _opened(path: Path) -> Image.Image:
    """The file's picture, its head alone read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
        try:
            image = Image.open(path, formats=FORMATS)
        except UnidentifiedImageError:
            if path.suffix.lower() not in DICOM_SUFFIXES:
                raise
            raise DataError(
                f"{path}: begins neither as DICOM does (DICM after 128 bytes) nor as an image; "
                "export it again"
            ) from None
    _find_page(image, path)
    if image.width * image.height > MOST_PIXELS:
        raise DataError(
            f"{path}: {image.width} x {image.height} pixels, expected {MOST_PIXELS:,} at most; crop the "
            "lesion, or save it smaller"
        )
    if image.mode == "F":
        raise DataError(f"{path}: floating-point pixels have no fixed range; save it with 8 or 16 bits")
    if not _deep(image) and any(re.search(";16[BLN]", str(tile.args)) for tile in image.tile):
        raise DataError(
            f"{path}: 16 bits a channel, in colour or with alpha, of which Pillow keeps the higher 8 alone, "
            "often a few levels of grey; save it with 8 bits a channel, or as grey without alpha"
        )
    return image


def _find_page(image: Image.Image, path: Path) -> None:
    """Turn to the one picture of a file; raises `DataError` where it holds more."""
    pages = list(range(getattr(image, "n_frames", 1)))
    if (
        len(pages) == 1 or image.format == "MPO"
    ):  # a photograph; what follows it are previews, or another eye's
        return
    if image.format == "TIFF":
        pages = [page for page in pages if not (_tag(image, _SUBFILE, page) or 0) & _REDUCED]
    if len(pages) != 1:
        raise DataError(
            f"{path}: holds {len(pages)} pictures ({image.format}: pages, slices or frames), expected one; "
            "save the one that shows the lesion best as a file of its own"
        )
    image.seek(pages[0])


def _tag(image: Image.Image, number: int, page: int | None = None) -> int | None:
    """A TIFF's tag, of a page or of where it is; None: it has none, or it is no TIFF."""
    if page is not None:
        image.seek(page)
    found: int | None = getattr(image, "tag_v2", {}).get(number)
    return found


def _deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def image_digest(pixels: np.ndarray) -> str:
    """First 16 hex digits of the SHA-256 of the decoded pixels and their shape."""
    header = "x".join(map(str, pixels.shape)).encode()
    return hashlib.sha256(header + b":" + pixels.tobytes()).hexdigest()[:16]
