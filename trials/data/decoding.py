"""Image files to bytes: any of 1, 8 or 16 bit, grey, RGB(A) or palette, DICOM too, to uint8 grey or RGB.

Rules of ours: alpha and EXIF orientation are ignored; a colour image whose three channels are equal is
grey; a 16-bit grey image is mapped linearly to 8 bits, 255 being the largest value of its depth; an image
is reduced (bicubic) so that its longer side is at most 512 pixels, which bounds the memory that a data set
of photographs takes.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from search_space.files import not_a_file
from trials.data.dicom import is_dicom, read_dicom
from trials.data.records import DataError

LONGEST_SIDE = 512
MOST_PIXELS = 100_000_000  # 20,000 x 5,000; what claims more would fill the memory
# Pillow goes by content, not by name: any other format, such as PostScript, which it would hand to a program
# that runs it, is refused.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".dcm"})


def open_image(path: Path) -> Image.Image:
    """The file, wholly read. Raises `DataError` where it is missing, empty, cut short, huge or no image."""
    try:
        if said := not_a_file(path):
            raise DataError(f"{path}: {said}")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty")
        if is_dicom(path):
            return read_dicom(path, MOST_PIXELS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            image = Image.open(path, formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise DataError(
                f"{path}: {image.width} x {image.height} pixels, expected {MOST_PIXELS:,} at most; crop the "
                "lesion, or save it smaller"
            )
        image.load()
    except DataError:
        raise
    except Exception as error:  # for damaged files Pillow's many readers raise nearly anything
        raise DataError(f"{path}: cannot be read as an image ({error}); replace it or take it out") from error
    return image


def decode(path: Path, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """The image, or its half-open `box` (x0, y0, x1, y1), as uint8 [h, w] if grey, else [h, w, 3]."""
    image = to_eight_bits(open_image(path), path)
    image = image.crop(box) if box else image
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)


def to_eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """Mode L or RGB.

    A 16-bit grey image is taken to have the smallest depth of 8, 12 and 16 bits that holds its largest
    value, as 12-bit scanners store their values in 16-bit files unscaled; Pillow itself cuts 16-bit colour
    to its high byte.
    """
    if image.mode == "F":
        raise DataError(f"{path}: floating-point pixels have no fixed range; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        depth = next((bits for bits in (8, 12, 16) if values.max() < 2**bits), None)
        if depth is None or values.min() < 0:
            raise DataError(f"{path}: values {values.min()} to {values.max()}, expected 0 to 65535 at most")
        return Image.fromarray(np.round(values * (255 / (2**depth - 1))).astype(np.uint8))
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def image_digest(pixels: np.ndarray) -> str:
    """First 16 hex digits of the SHA-256 of the decoded pixels and their shape."""
    header = "x".join(map(str, pixels.shape)).encode()
    return hashlib.sha256(header + b":" + pixels.tobytes()).hexdigest()[:16]
