"""A hook of MkDocs that shows notebooks as pages: their text, code and stored outputs, pictures included.

`tutorial/x.ipynb` becomes the page `tutorial/x.md`. Nothing is executed; `docs/notebooks.py` does that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put a page in place of each notebook."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        text = markdown(Path(config.docs_dir, file.src_uri))
        files.append(File.generated(config, file.src_uri.replace(".ipynb", ".md"), content=text))
    return files


def on_page_markdown(text: str, **_: Any) -> str:
    """Let links to a notebook lead to its page."""
    return text.replace(".ipynb)", ".md)")


def markdown(path: Path) -> str:
    """Return a notebook as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _parts(cell)) + "\n"


def _parts(cell: Mapping[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            yield f"```text\n{''.join(output['text']).rstrip()}\n```"
        else:
            picture = "".join(output["data"]["image/png"]).replace("\n", "")
            yield f"![what the cell draws](data:image/png;base64,{picture})"
