#!/usr/bin/env bash
# Pillow brings 16 bits to 8 in two ways: in a grey image all above 255 becomes white, in one of colour the low byte is cut off.
# The same values are saved as grey and as RGB; convert("L") and convert("RGB") of the grey one clip without a warning, and the one of
# colour has lost its depth when it is opened.
set -euo pipefail
pins=(pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
stored: [0, 100, 256, 1000, 30000, 65535]
grey, opened as I;16, as L: [0, 100, 255, 255, 255, 255]
colour, opened as RGB, its red: [0, 0, 1, 3, 117, 255]
END
venv/bin/python -W ignore > now <<'END'
import numpy
import tifffile
from PIL import Image

VALUES = numpy.array([[0, 100, 256, 1000, 30000, 65535]], numpy.uint16)
print(f"stored: {VALUES[0].tolist()}")
tifffile.imwrite("grey.tif", VALUES, photometric="minisblack")
tifffile.imwrite("colour.tif", numpy.repeat(VALUES[..., None], 3, axis=2), photometric="rgb")
grey, colour = Image.open("grey.tif"), Image.open("colour.tif")
print(f"grey, opened as {grey.mode}, as L: {numpy.asarray(grey.convert('L'))[0].tolist()}")
print(f"colour, opened as {colour.mode}, its red: {numpy.asarray(colour)[0, :, 0].tolist()}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: pillow-sixteen-bits"; exit 1; }
