#!/usr/bin/env bash
# Pillow reads a TIFF of 16 bits a channel as noise if red, green and blue are planes of their own and not compressed: its pixels are the low and
# high bytes, in turn, of the left half of each row. One would expect the high bytes, as of compressed planes, or of colours pixel by pixel.
# Of the layout "RGB;16L" it takes the letter R for that of the red plane, which means 8 bits.
set -euo pipefail
pins=(pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
the high bytes of red, as stored:    [0, 7, 15, 23, 31, 39, 46, 54]
red of pixels, not compressed:       [0, 7, 15, 23, 31, 39, 46, 54]
red of pixels, compressed:           [0, 7, 15, 23, 31, 39, 46, 54]
red of planes, not compressed:       [0, 0, 208, 7, 160, 15, 112, 23]
red of planes, compressed:           [0, 7, 15, 23, 31, 39, 46, 54]
END
venv/bin/python -W ignore > now <<'END'
import numpy
import tifffile
from PIL import Image

planes = numpy.arange(3 * 8, dtype=numpy.uint16).reshape(3, 1, 8) * 2000
print(f"the high bytes of red, as stored:    {(planes[0, 0] >> 8).tolist()}")
for name, layout, stored in (
    ("pixels", "contig", planes.transpose(1, 2, 0)),
    ("planes", "separate", planes),
):
    for said, compression in (("not compressed:", None), ("compressed:    ", "zlib")):
        tifffile.imwrite("image.tif", stored, photometric="rgb", planarconfig=layout, compression=compression)
        red = numpy.asarray(Image.open("image.tif"))[0, :, 0]
        print(f"red of {name}, {said}       {red.tolist()}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: pillow-planar-sixteen-bits"; exit 1; }
