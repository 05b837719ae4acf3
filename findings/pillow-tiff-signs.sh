#!/usr/bin/env bash
# Pillow reads a TIFF of bytes with a sign as if they had none, so that -1 is 255, and one of 32 bits without a sign as if they had one, so that
# the largest value is -1. The file's tag SampleFormat tells them apart; of 16 bits Pillow reads both correctly. One would expect the values that
# were stored, or an error, which a file of 32 bits without a sign gives if its bytes are big-endian.
set -euo pipefail
pins=(pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
int8: stored [-128, -1, 127], read [128, 255, 127]
int16: stored [-32768, -1, 32767], read [-32768, -1, 32767]
uint16: stored [0, 32767, 65535], read [0, 32767, 65535]
int32: stored [-2147483648, -1, 2147483647], read [-2147483648, -1, 2147483647]
uint32: stored [0, 2147483647, 4294967295], read [0, 2147483647, -1], big-endian error: cannot identify image file
END
venv/bin/python -W ignore > now <<'END'
import numpy
import tifffile
from PIL import Image, UnidentifiedImageError


def read(values, byteorder):
    """Write values of one line, and return what Pillow reads."""
    tifffile.imwrite("image.tif", values[None], photometric="minisblack", byteorder=byteorder)
    try:
        return numpy.asarray(Image.open("image.tif"))[0].tolist()
    except UnidentifiedImageError:
        return "error: cannot identify image file"


for dtype in ("int8", "int16", "uint16", "int32", "uint32"):
    limits = numpy.iinfo(dtype)
    stored = numpy.array([limits.min, -1 if limits.min else limits.max // 2, limits.max], dtype)
    little, big = (read(stored, byteorder) for byteorder in "<>")
    told = f"{little}" if little == big else f"{little}, big-endian {big}"
    print(f"{dtype}: stored {stored.tolist()}, read {told}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: pillow-tiff-signs"; exit 1; }
