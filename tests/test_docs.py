"""README and docs name commands, settings, files and pages that are there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from benchmarks.speed.table import table
from docs.generate import pages
from tests.helpers.pages import README, ROOT, blocks, commands
from trials.cli import build_parser
from trials.nni_host.launch import find_config

PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(ROOT.glob("docs/**/*.md"))]
NEVER_RUN = {"docker", "ssh", "nnictl", "kubectl", "git", "pip", "source", "export", "python3"}


def test_what_the_tour_writes_is_no_part_of_the_repository() -> None:
    """Else `make check` would lint the exported network."""
    outs = [words[words.index("--out") + 1] for words in commands(README) if "--out" in words]
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {f"/{out.split('/')[0]}/" for out in outs} <= set(ignored)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_is_one(page: Path) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for command, *arguments in commands(page):
        if command == "lesion-nas":
            parsed = build_parser().parse_args(arguments)  # SystemExit where it is none
            if arguments[0] == "launch":
                assert find_config(ROOT / parsed.config if parsed.config.suffix else parsed.config).exists()
        elif command == "make":
            assert {word for word in arguments if "=" not in word} <= set(targets)
        elif command == "python":
            assert arguments[0] == "-m" and importlib.util.find_spec(arguments[1])
        else:
            assert command in NEVER_RUN, command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_compiles(page: Path) -> None:
    for block in blocks(page, "python[a-z ]*"):
        compile(block, str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_folders_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / name).exists(), name
    folders = "nni_config|results|docs|benchmarks|strategies|search_space|trials|tests|findings"
    for name in re.findall(rf"`((?:{folders})/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def test_every_page_is_named_in_the_index_and_in_the_navigation() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in [*ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.ipynb")]:
        name = str(page.relative_to(ROOT / "docs"))
        assert name == "index.md" or name in index, name
        assert name.replace(".ipynb", ".md") in navigation, name


def test_the_readme_is_one_page() -> None:
    assert README.stat().st_size < 9_000


@pytest.mark.parametrize(("path", "text"), pages().items(), ids=lambda value: getattr(value, "stem", ""))
def test_generated_pages_are_current(path: Path, text: str) -> None:
    # python -m docs.generate renews them
    assert path.read_text(encoding="utf-8") == text


def test_the_reference_names_every_verb_and_setting() -> None:
    commands, settings = pages().values()
    assert all(
        f"## {verb}\n" in commands for verb in ("verify", "search", "launch", "report", "architecture")
    )
    assert "`--fold FOLD`" in commands and "| `retrain.epochs` | 100 | cpu: 40; patches: 15;" in settings


def test_the_speeds_in_the_docs_are_those_in_results() -> None:
    page = (ROOT / "docs" / "explanation" / "speed.md").read_text(encoding="utf-8")
    for line in table():
        assert line in page
