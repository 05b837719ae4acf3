#!/usr/bin/env bash
# statsmodels' McNemar test by chi-square calls two methods that decide alike on every image different, with p = 0. It subtracts the correction for
# continuity from a difference of zero, which leaves 1, and divides that by no discordant pairs; without the correction p is NaN. One would
# expect p = 1, which its exact test gives. One discordant image gives p = 1 again.
set -euo pipefail
pins=(statsmodels==0.15.0 scipy==1.17.1 numpy==2.4.6 pandas==3.1.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
images on which one method alone is right, p by chi-square, without correction, and exactly
0 and 0: 0.00, nan, 1.00
1 and 0: 1.00, 0.32, 1.00
1 and 1: 0.48, 1.00, 1.00
6 and 0: 0.04, 0.01, 0.03
END
venv/bin/python -W ignore > now <<'END'
from statsmodels.stats.contingency_tables import mcnemar

print("images on which one method alone is right, p by chi-square, without correction, and exactly")
for first, second in ((0, 0), (1, 0), (1, 1), (6, 0)):
    table = [[60, first], [second, 40]]
    tests = ({"exact": False}, {"exact": False, "correction": False}, {"exact": True})
    print(f"{first} and {second}: " + ", ".join(f"{mcnemar(table, **options).pvalue:.2f}" for options in tests))
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: statsmodels-mcnemar-agreement"; exit 1; }
