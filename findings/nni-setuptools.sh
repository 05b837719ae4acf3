#!/usr/bin/env bash
# NNI 3.0 installs beside setuptools 82 without a word, and then none of its commands starts: `nnictl` imports pkg_resources,
# which setuptools 82 has no more, and NNI asks for no setuptools at all, in no version. setuptools below 82 mends it.
set -euo pipefail
pins=(nni==3.0 setuptools==82.0.0)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
NNI asks for: []
nnictl --version, setuptools 82.0.0: status 1, ModuleNotFoundError: No module named 'pkg_resources'
END
venv/bin/python -W ignore > now <<'END'
import subprocess
from importlib.metadata import requires, version

print(f"NNI asks for: {[one for one in requires('nni') if one.startswith('setuptools')]}")
run = subprocess.run(["venv/bin/nnictl", "--version"], capture_output=True, text=True)
print(f"nnictl --version, setuptools {version('setuptools')}: status {run.returncode}, {run.stderr.splitlines()[-1]}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: nni-setuptools"; exit 1; }
