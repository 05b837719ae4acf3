#!/usr/bin/env bash
# An array whose memory is in columns (Fortran order) comes back from a file of safetensors 0.8 with its numbers in other places, without an
# error. scikit-learn makes such arrays, and a model that is saved by them says other things when it is loaded. The documentation asks for contiguous
# arrays, which these are; 0.7 saved them correctly, and `safetensors.torch` refuses them. Known: safetensors' issue 825.
set -euo pipefail
pins=(safetensors==0.8.0 numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] in rows: comes back as [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] in columns: comes back as [[0.0, 3.0, 1.0], [4.0, 2.0, 5.0]]
axes of a PCA, in columns: True: come back equal: False
END
venv/bin/python -W ignore > now <<'END'
import numpy
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA


def saved_and_loaded(array):
    save_file({"array": array}, "file.safetensors")
    return load_file("file.safetensors")["array"]


rows = numpy.arange(6.0).reshape(2, 3)
for name, array in (("rows", rows), ("columns", numpy.asfortranarray(rows))):
    print(f"{array.tolist()} in {name}: comes back as {saved_and_loaded(array).tolist()}")

axes = PCA(2).fit(numpy.random.default_rng(0).normal(size=(50, 4))).components_
print(f"axes of a PCA, in columns: {axes.flags.f_contiguous}: come back equal: {numpy.array_equal(saved_and_loaded(axes), axes)}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: safetensors-numpy-order"; exit 1; }
