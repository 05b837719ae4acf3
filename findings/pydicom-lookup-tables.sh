#!/usr/bin/env bash
# pydicom looks grey values up in a file's table in too small a type, without a warning. Through a VOI LUT with entries of 8 bits each pixel is
# looked up modulo 256: a 12-bit image comes out striped. Through a Modality LUT of all signed 16-bit values, all from 0 up are the first entry.
# A place in the table is kept in the type of the entries by the one, in that of the pixels by the other. Entries of 8 bits are here a word
# each, as pydicom reads them; two in a word, as the standard has them since its correction CP-522, raise an error.
set -euo pipefail
pins=(pydicom==3.0.2 numpy==2.4.6)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
pixels of 12 bits                       [0, 128, 255, 256, 384, 2048, 4095]
VOI LUT, entries of 16 bits             [0, 7, 15, 15, 23, 127, 255]
VOI LUT, entries of 8 bits, one a word  [0, 7, 15, 0, 7, 0, 15]
VOI LUT, entries of 8 bits, two a word  error: unpack_from requires a buffer of at least 8192
signed pixels of 16 bits                [-32768, -1024, -1, 0, 1, 1024, 32767]
Modality LUT that adds 32768            [0, 31744, 32767, 0, 0, 0, 0]
END
venv/bin/python -W ignore > now <<'END'
import struct

import numpy
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage


def shown(pixels, bits, sequence, descriptor, words):
    """Write an image of one line with a table, read it, and return what it shows."""
    table = Dataset()
    table.add_new("LUTDescriptor", "SS" if descriptor[1] < 0 else "US", descriptor)
    table.add_new("LUTData", "OW", words.astype("<u2").tobytes())
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.set_pixel_data(pixels[None], "MONOCHROME2", bits)
    setattr(image, sequence, [table])
    image.save_as("image.dcm", enforce_file_format=True)
    read = dcmread("image.dcm")
    try:
        return apply_voi_lut(apply_modality_lut(read.pixel_array, read), read).ravel().tolist()
    except struct.error as error:
        return f"error: {str(error)[:46]}"


unsigned = numpy.array([0, 128, 255, 256, 384, 2048, 4095], numpy.uint16)
entries = numpy.arange(4096) * 255 // 4095  # one for each value of 12 bits
packed = entries.astype(numpy.uint8).view("<u2")
print(f"pixels of 12 bits                       {unsigned.tolist()}")
for said, bits, words in (("16 bits           ", 16, entries), ("8 bits, one a word", 8, entries), ("8 bits, two a word", 8, packed)):
    print(f"VOI LUT, entries of {said}  {shown(unsigned, 12, 'VOILUTSequence', [4096, 0, bits], words)}")

signed = numpy.array([-32768, -1024, -1, 0, 1, 1024, 32767], numpy.int16)
every = [0, -32768, 16]  # 0: 65536 entries
print(f"signed pixels of 16 bits                {signed.tolist()}")
print(f"Modality LUT that adds 32768            {shown(signed, 16, 'ModalityLUTSequence', every, numpy.arange(2**16))}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: pydicom-lookup-tables"; exit 1; }
