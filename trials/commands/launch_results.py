"""What an experiment leaves for a reader: the trials' outcomes, the evaluation, the findings in the data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from trials.data.findings import findings_of
from trials.nni_host.launch import Trial, describe, read, summary
from trials.runs.folder import read_json
from trials.runs.layout import EVALUATION, EVALUATION_TEXT, RECORD, SEARCH_FILE


def results(trials: Sequence[Trial], out: Path) -> str:
    """Return every trial's outcome and where the results lie, in lines to read."""
    lines = ["results"]
    for trial in map(summary, trials):
        result = trial["status"] if trial["result"] is None else describe(trial["result"])
        lines.append(f"  {describe(trial['parameters'])}: {result}")
    table = read(out / EVALUATION / EVALUATION_TEXT)
    found = [f"data: {line}" for line in findings_below(out)]
    return "\n".join([*lines, *(line for line in found if line not in table), table, f"in {out}"])


def findings_below(out: Path) -> list[str]:
    """Return what the runs below a folder have skipped, joined or doubted in their data, each line once."""
    lines: dict[str, None] = {}
    for file in sorted(file for name in (SEARCH_FILE, RECORD) for file in out.rglob(name)):
        with suppress(ValueError):  # a run under way, or one that its readers will refuse
            record = read_json(file)
            for described in (record.get("data"), record.get("external_data")):
                lines |= dict.fromkeys(findings_of(described))
    return list(lines)
