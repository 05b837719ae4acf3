"""The picture of a DICOM file, and nothing else of it.

Only the elements that describe pixels are read, so that no name, number or date of a patient gets any
further. Names that are burnt into the pixels stay there, and a file's own name is used as it is: crop the
lesion, and name files by numbers of your own.

Rules of ours: stored values are mapped linearly to 8 bits, 255 being the largest of the bits stored, as for
other images; a window for a display is not applied, because it is someone's setting and not the picture's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from trials.data.records import DataError

_ELEMENTS = [
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
    *(f"{colour}PaletteColorLookupTable{what}" for colour in ("Red", "Green", "Blue")
      for what in ("Descriptor", "Data")),
]  # fmt: skip


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM's Part 10 says."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom(path: Path, most_pixels: int) -> Image.Image:
    """The picture, mode L or RGB, of a file of one frame.

    Raises `DataError` for other files, for signed values, for more pixels than told, and where pydicom is not
    installed; and for damaged files whatever pydicom raises.
    """
    try:
        from pydicom import dcmread
        from pydicom.filereader import read_file_meta_info
        from pydicom.pixels import apply_color_lut, pixel_array
        from pydicom.uid import DeflatedExplicitVRLittleEndian
    except ImportError:
        raise DataError(
            f"{path}: reading DICOM needs pydicom: pip install -c constraints.txt -e '.[dicom]'"
        ) from None
    if read_file_meta_info(path).TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        raise DataError(f"{path}: is deflated, to who knows what size; save it otherwise")
    stored = dcmread(path, specific_tags=_ELEMENTS)
    if (frames := int(stored.get("NumberOfFrames") or 1)) != 1:
        raise DataError(
            f"{path}: holds {frames} frames, expected one; save the one that shows the lesion best"
        )
    if stored.Rows * stored.Columns > most_pixels:
        raise DataError(
            f"{path}: {stored.Columns} x {stored.Rows} pixels, expected {most_pixels:,} at most; crop it"
        )
    if stored.PixelRepresentation:
        raise DataError(f"{path}: has signed values, so that black is not known; save it with 8 or 16 bits")
    values, bits = pixel_array(stored), stored.BitsStored  # YBR becomes RGB
    if stored.PhotometricInterpretation == "PALETTE COLOR":
        values, bits = apply_color_lut(values, stored), stored.RedPaletteColorLookupTableDescriptor[2]
    scaled = np.round(np.clip(values / (2**bits - 1), 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(255 - scaled if stored.PhotometricInterpretation == "MONOCHROME1" else scaled)
