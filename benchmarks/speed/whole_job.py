"""The whole job: `pipeline.yml` on a data set, five searches and ten retrainings: make bench-job DATA=BUSI

Its time is that of the launcher, NNI's start and stop included, on an otherwise idle machine, taken once.
Raises SystemExit where OUT exists, and CalledProcessError where the experiment fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, median_and_range, row, save, two_threads

LIMIT = 3.0  # hours


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the results of the pipeline")
    arguments = parser.parse_args()
    if arguments.out.exists():
        raise SystemExit(
            f"{arguments.out}: exists; what is done already would not be timed, name a new folder"
        )
    two_threads()
    command = [sys.executable, "-m", "trials.cli", "launch", "nni_config/pipeline.yml"]
    command += ["--data", str(arguments.data.absolute()), "--out", str(arguments.out.absolute())]
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True)
    hours = (time.perf_counter() - start) / 3600
    save("whole-job", [hours_row(arguments.data.name, hours)], "make bench-job")


def hours_row(data: str, hours: float) -> dict[str, Any]:
    question = f"the whole job on {data}, 5 searches and 10 retrainings"
    return row(question, median_and_range([hours]), "h", f"< {LIMIT:g} h", hours < LIMIT)


if __name__ == "__main__":
    main()
