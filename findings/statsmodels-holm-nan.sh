#!/usr/bin/env bash
# statsmodels' Holm and Holm-Sidak corrections reject the hypothesis of a test whose p is NaN, if they reject all others: "significant" beside a
# corrected p of NaN. SciPy's paired t-test gives such a p for two methods of the same score on each fold, which is as equal as they can be.
# Both stop at the first p above its limit, and NaN is above none; Bonferroni and Sidak, which ask for a p below, keep the hypothesis.
set -euo pipefail
pins=(statsmodels==0.15.0 scipy==1.17.1 numpy==2.4.6 pandas==3.1.1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${pins[@]}"
cd "$folder"

cat > seen <<'END'
p of a better method and of an equal one: 0.001, nan
holm: corrected 0.002, nan, rejected True, True
holm-sidak: corrected 0.002, nan, rejected True, True
bonferroni: corrected 0.002, nan, rejected True, False
sidak: corrected 0.002, nan, rejected True, False
END
venv/bin/python -W ignore > now <<'END'
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

method = [0.80, 0.82, 0.79, 0.90, 0.85]  # AUC on five folds
better, equal = [0.85, 0.85, 0.85, 0.94, 0.89], list(method)
p = [ttest_rel(method, other).pvalue for other in (better, equal)]
print("p of a better method and of an equal one: " + ", ".join(f"{one:.3f}" for one in p))
for name in ("holm", "holm-sidak", "bonferroni", "sidak"):
    rejected, corrected, *_ = multipletests(p, method=name)
    numbers = ", ".join(f"{one:.3f}" for one in corrected)
    print(f"{name}: corrected {numbers}, rejected {', '.join(map(str, rejected.tolist()))}")
END

echo "${pins[*]}"
cat now
diff -u seen now || { echo "CHANGED: statsmodels-holm-nan"; exit 1; }
