"""A trial that shows itself as real ones do; a search goes on once it has been looked at (`OUT/seen`)."""

import os
import time
from pathlib import Path

import nni

from trials.nni_host.parameters import trial_parameters

FINAL = {"enas7": 0.75, "enas17": 0.625, "evaluation": 0.6875}

stage = trial_parameters()
if stage["stage"] == "search":
    from trials.runs.reporter import Reporter  # here, because importing torch takes seconds

    out = Path(os.environ["LESION_NAS_OUT"])
    with Reporter(out, default="reward") as reporter:
        for epoch, reward in enumerate((0.125, 0.25, 0.375, 0.5)):
            while epoch == 2 and not (out / "seen").exists():
                time.sleep(0.1)
            reporter.epoch(epoch, {"reward": reward, "train_loss": 1 - reward})
        reporter.final({"score": 0.5})
else:
    nni.report_final_result({"default": FINAL[stage.get("layout", "evaluation")]})
