#!/usr/bin/env bash
# Pillow turns a TIFF by its orientation as it loads it, and no other format. Where the orientation exchanges width and height, a grey file that
# is not compressed comes out scrambled if it is opened by its name, and correct from a file object. One would expect the same pixels of both.
# By its name Pillow maps such a file into memory, and takes the width that the image is to have for that of the rows that are stored.
set -euo pipefail
pins=(pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
stored [[0, 1, 2], [3, 4, 5]], orientation 6: to be shown turned clockwise
PNG, by name:                           size (3, 2), pixels [[0, 1, 2], [3, 4, 5]]
TIFF, compressed, by name:              size (2, 3), pixels [[3, 0], [4, 1], [5, 2]]
TIFF, not compressed, as a file object: size (2, 3), pixels [[3, 0], [4, 1], [5, 2]]
TIFF, not compressed, by name:          size (2, 3), pixels [[4, 2, 0], [5, 3, 1]]
END
venv/bin/python -W ignore > now <<'END'
from pathlib import Path

import numpy
import tifffile
from PIL import Image

ORIENTATION, TURNED = 274, 6
stored = numpy.arange(6, dtype=numpy.uint8).reshape(2, 3)
exif = Image.Exif()
exif[ORIENTATION] = TURNED
Image.fromarray(stored).save("image.png", exif=exif)
for name, compression in (("compressed.tif", "zlib"), ("plain.tif", None)):
    tifffile.imwrite(name, stored, compression=compression, extratags=[(ORIENTATION, "H", 1, TURNED, True)])

print(f"stored {stored.tolist()}, orientation 6: to be shown turned clockwise")
for said, file in (
    ("PNG, by name:                          ", "image.png"),
    ("TIFF, compressed, by name:             ", "compressed.tif"),
    ("TIFF, not compressed, as a file object:", Path("plain.tif").open("rb")),
    ("TIFF, not compressed, by name:         ", "plain.tif"),
):
    with Image.open(file) as image:
        print(f"{said} size {image.size}, pixels {numpy.asarray(image).tolist()}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: pillow-tiff-orientation"; exit 1; }
