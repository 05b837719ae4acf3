"""Read the picture of a DICOM file, and nothing else of it.

Only the elements that describe pixels are read, so no name, number or date of a patient gets any further.
Names that are burnt into the pixels stay there, and a file's own name is used as it is: crop the lesion, and
name files by numbers of your own.

Grey values are rescaled, then shown through the first window or table of the file if it has one (DICOM PS3.3,
C.11.1 and C.11.2), from the least to the most that it shows. Without one, 8 bits are taken as they are, and
for more bits the data set's range says what is black and white. Colour is scaled by the bits stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trials.data.files.grey_range import Extent, Stored
from trials.errors import DataError, install

_ELEMENTS = [
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
    *("ModalityLUTSequence", "RescaleIntercept", "RescaleSlope", "VOILUTSequence"),
    *("LUTDescriptor", "LUTData", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *(f"{colour}PaletteColorLookupTable{what}" for colour in ("Red", "Green", "Blue")
      for what in ("Descriptor", "Data")),
]  # fmt: skip


def is_dicom(path: Path) -> bool:
    """Return whether a file begins as DICOM's Part 10 says."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom(path: Path, most_pixels: int) -> tuple[np.ndarray, bool]:
    """Return the picture of a file, and whether its lowest values are the white ones.

    It is uint8 [h, w] or [h, w, 3], or int32 or float32 [h, w] where a range must say what is black. Raises
    `DataError` for files of several frames or of more pixels than `most_pixels`, for a transfer syntax that
    nothing here decodes, and without pydicom; for damaged files whatever pydicom raises.
    """
    stored = _read(path, most_pixels)
    from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

    values, bits = pixel_array(stored), stored.BitsStored  # YBR becomes RGB
    if stored.PhotometricInterpretation == "PALETTE COLOR":
        values, bits = apply_color_lut(values, stored), stored.RedPaletteColorLookupTableDescriptor[2]
    inverted = stored.PhotometricInterpretation == "MONOCHROME1"
    if values.ndim == 3 or _is_bytes(stored):
        return _to_bytes(values / (2**bits - 1), inverted), False
    values = apply_modality_lut(values.astype(np.int64), stored)  # as it computes in their type
    if _window(stored, path):
        return _to_bytes(_through_window(values, stored), inverted), False
    return values.astype(np.float32 if (values % 1).any() else np.int32), inverted


def survey_dicom(path: Path, most_pixels: int) -> Stored:
    """Return how a file stores its greys; pixels are read only if that needs them. Raises as `read_dicom`."""
    head = _read(path, most_pixels, pixels=False)
    if head.get("SamplesPerPixel", 1) > 1 or head.PhotometricInterpretation == "PALETTE COLOR":
        return Stored()
    if window := _window(head, path):
        return Stored(window=window)
    return Stored() if _is_bytes(head) else Stored(Extent.of(read_dicom(path, most_pixels)[0]))


def _read(path: Path, most_pixels: int, *, pixels: bool = True) -> Any:
    """Return the elements that describe the picture, with its pixels undecoded or without them."""
    try:
        from pydicom import dcmread
        from pydicom.filereader import read_file_meta_info
    except ImportError:
        raise DataError(f"{path}: reading DICOM needs pydicom: {install('dicom')}") from None
    _refuse_unreadable(read_file_meta_info(path).TransferSyntaxUID, path)
    stored = dcmread(path, specific_tags=_ELEMENTS, stop_before_pixels=not pixels)
    if (frames := int(stored.get("NumberOfFrames") or 1)) != 1:
        raise DataError(
            f"{path}: holds {frames} frames, expected one; save the one that shows the lesion best as a file "
            "of its own"
        )
    if stored.Rows * stored.Columns > most_pixels:
        raise DataError(
            f"{path}: {stored.Columns} x {stored.Rows} pixels, expected {most_pixels:,} at most; crop it"
        )
    return stored


def _refuse_unreadable(syntax: Any, path: Path) -> None:
    """Raise `DataError` for a transfer syntax that nothing here decodes."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if syntax == DeflatedExplicitVRLittleEndian:
        raise DataError(f"{path}: is deflated, to an unknown size; save it uncompressed")
    try:
        known = get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    if not known:
        raise DataError(
            f"{path}: its transfer syntax, {syntax.name}, cannot be decoded here; the extra dicom decodes "
            f"JPEG (lossless too), JPEG-LS, JPEG 2000 and RLE: {install('dicom')}, or save it uncompressed"
        )


def _is_bytes(stored: Any) -> bool:
    """Return whether the values stored are 8 bits at most and nothing but grey."""
    plain = (
        not stored.get("ModalityLUTSequence")
        and (stored.get("RescaleSlope") or 1) == 1
        and not stored.get("RescaleIntercept")
    )
    return bool(
        stored.BitsStored <= 8 and not stored.PixelRepresentation and plain and not _has_window(stored)
    )


def _has_window(stored: Any) -> bool:
    return bool(stored.get("VOILUTSequence")) or None not in _first_window(stored)


def _first_window(stored: Any) -> tuple[float | None, float | None]:
    """Return centre and width of the first window; a blank one is None."""
    found = (stored.get(name) for name in ("WindowCenter", "WindowWidth"))
    first = [next(iter(value), None) if isinstance(value, Sequence) else value for value in found]
    centre, width = (None if value is None else float(value) for value in first)
    return centre, width


def _window(stored: Any, path: Path) -> str | None:
    """Return the file's window in words; None: it has none. Raises `DataError` for one that shows nothing."""
    if not _has_window(stored):
        return None
    if stored.get("VOILUTSequence"):
        return "a table"
    centre, width = _first_window(stored)
    if centre is None or width is None or not np.isfinite(centre) or not 0 < width < np.inf:
        raise DataError(
            f"{path}: a window of centre {centre} and width {width} shows nothing; expected a width of 1 or "
            "more: correct it, or take it out of the file"
        )
    return f"centre {centre:g}, width {width:g}"


def _through_window(values: np.ndarray, stored: Any) -> np.ndarray:
    """Return what the window shows, from 0, the least that it can show, to 1, the most."""
    from pydicom.pixels import apply_windowing

    if stored.get("VOILUTSequence"):
        return _through_table(values, stored.VOILUTSequence[0], little_endian=stored.original_encoding[1])
    with np.errstate(over="ignore"):  # the ends of a sigmoid
        shown = apply_windowing(values, stored)
        least, most = apply_windowing(np.array([-1e9, 1e9]), stored).tolist()
    share: np.ndarray = (shown - least) / (most - least)
    return share


def _through_table(values: np.ndarray, table: Any, *, little_endian: bool) -> np.ndarray:
    """Return what a table shows, as `_through_window` does; raises ValueError for one of too few entries.

    With entries of 8 bits pydicom's `apply_voi` takes pixels modulo 256: `findings/pydicom-lookup-tables.sh`.
    """
    count, first, bits = table.LUTDescriptor
    count = count or 2**16  # which 16 bits cannot say
    entries = _entries(table.LUTData, count, bits, "<u2" if little_endian else ">u2")
    if not 8 <= bits <= 16 or len(entries) < count:
        raise ValueError(f"its table has {len(entries)} entries of {bits} bits, expected {count} of 8 to 16")
    places = np.clip(np.round(values).astype(np.int64) - first, 0, count - 1)
    shown: np.ndarray = entries[places] / (2**bits - 1)
    return shown


def _entries(data: Any, count: int, bits: int, word: str) -> np.ndarray:
    """Return a table's entries: of 8 bits two a word, as PS3.3 has them, or in some files one."""
    words = np.frombuffer(data, word) if isinstance(data, bytes) else np.atleast_1d(data)
    packed = bits == 8 and len(words) < count
    return words.astype("<u2").view(np.uint8) if packed else words


def _to_bytes(share: np.ndarray, inverted: bool) -> np.ndarray:
    """Return shares of white, float, as uint8 of the same shape."""
    scaled = np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return 255 - scaled if inverted else scaled
