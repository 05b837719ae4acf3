"""Run the notebooks of docs/ and keep what they print and draw: python -m docs.notebooks

Jupyter does the same; this needs none of its packages. A cell's output is what it prints, then the figures
that it leaves open.
"""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib

NOTEBOOKS = sorted(Path(__file__).parent.glob("**/*.ipynb"))


def run(path: Path) -> dict[str, Any]:
    """Run a notebook's cells in an empty folder; return it with their outputs."""
    matplotlib.use("Agg")
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for count, cell in enumerate((c for c in notebook["cells"] if c["cell_type"] == "code"), start=1):
            cell["execution_count"], cell["outputs"] = count, list(_outputs("".join(cell["source"]), names))
    return notebook


def _outputs(source: str, names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    import matplotlib.pyplot as plt  # after the backend is chosen

    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(source, "cell", "exec"), names)
    if text := printed.getvalue():
        yield {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}
    for number in plt.get_fignums():
        picture = io.BytesIO()
        plt.figure(number).savefig(
            picture, format="png", dpi=80, bbox_inches="tight", metadata={"Software": None}
        )
        data = {"image/png": base64.b64encode(picture.getvalue()).decode()}
        yield {"output_type": "display_data", "data": data, "metadata": {}}
    plt.close("all")


def main() -> None:
    """Renew the outputs of every notebook."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for path in NOTEBOOKS:
        path.write_text(json.dumps(run(path), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
