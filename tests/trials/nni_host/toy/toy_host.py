"""A resumable trial on any host: leaves a line for every step, and goes on once the folder says `go`."""

import os
import time
from pathlib import Path

import nni

from trials.nni_host.parameters import trial_parameters
from trials.nni_host.paths import on_another_host
from trials.runs.folder import RunFolder

x = trial_parameters()["x"]
out, host = Path(os.environ["LESION_NAS_OUT"]), Path.home().name
with RunFolder(out / f"run{x}", {"x": x}, wait=on_another_host()) as folder:
    log = folder.path / "steps"
    done = len(log.read_text().splitlines()) if log.exists() else 0
    for step in range(done, int(os.environ["LESION_NAS_STEPS"])):
        with log.open("a") as steps:
            steps.write(f"{step} {host}\n")
        nni.report_intermediate_result(x)
        time.sleep(0.5)
        while not (out / "go").exists():
            time.sleep(0.1)
    folder.finish()
    nni.report_final_result(x)
