#!/usr/bin/env bash
# Pillow inverts a TIFF whose 0 is white when it has 8 bits, and does not when it has 16: the same picture is read as its negative.
# Nothing but the tag PhotometricInterpretation says so afterwards; the mode is I;16 as for any other.
set -euo pipefail
pins=(pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
stored 0 (white) to the largest (black), read by Pillow:
uint8: L [[255, 128, 0]]
uint16: I;16 [[0, 32767, 65535]]
END
venv/bin/python -W ignore > now <<'END'
import numpy
import tifffile
from PIL import Image

print("stored 0 (white) to the largest (black), read by Pillow:")
for dtype in (numpy.uint8, numpy.uint16):
    largest = numpy.iinfo(dtype).max
    tifffile.imwrite("image.tif", numpy.array([[0, largest // 2, largest]], dtype), photometric="miniswhite")
    image = Image.open("image.tif")
    print(f"{dtype.__name__}: {image.mode} {numpy.asarray(image).tolist()}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: pillow-white-is-zero"; exit 1; }
