"""A trial of a second: reports the fold it was asked for; the search of fold 1 fails."""

import nni

from trials.nni_host.parameters import trial_parameters

stage = trial_parameters()
if stage["stage"] == "search" and stage["fold"] == 1:
    raise SystemExit("fold 1 has no malignant image")
nni.report_intermediate_result({"default": 0.0, "of_fold": 0.0})
nni.report_final_result({"default": 0.0, "of_fold": stage.get("fold", -1)})
