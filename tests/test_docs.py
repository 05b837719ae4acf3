"""README and docs say what happens: their commands and their Python run as written, only smaller."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.speed.table import table
from docs.generate import pages
from search_space import EnasNetwork
from strategies.testing.searches import UserSpace, evaluator
from tests.helpers.images import rings
from trials.cli import build_parser, main
from trials.data.phantoms import make_phantoms
from trials.nni_host.launch import find_config

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
STEPS = ROOT / "docs" / "tutorial" / "step-by-step.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(ROOT.glob("docs/**/*.md"))]
GUIDES = [  # in this order, in one folder: a page uses what the pages before it made
    ROOT / "docs" / "how-to" / f"{name}.md"
    for name in ("own-images", "classes", "settings", "use-a-model", "compare-methods")
]
SMALLER = {
    "search": ["search.epochs=1", "search.filters=2", "search.nodes=2", "search.final_samples=3"],
    "retrain": ["retrain.epochs=1", "retrain.filters=2"],
    "train": ["retrain.epochs=1"],
}
STUDY = ["--methods", "hog", "--seeds", "2", "--folds", "2"]  # of the README's study, which is run under NNI
NEVER_RUN = {"docker", "ssh", "nnictl", "kubectl", "git", "pip", "source", "export", "python3"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command in a page's shell blocks; of a loop those of its first round."""
    for block in blocks(page, "bash[a-z ]*"):
        names: dict[str, str] = {}
        for line in block.replace("\\\n", " ").splitlines():
            if loop := re.fullmatch(r"for (\w+) in (\S+).*; do", line):
                names[loop[1]] = loop[2]
            elif words := command_words(Template(line).safe_substitute(names)):
                yield words


def command_words(line: str) -> list[str]:
    """The words of a line, without the variables before its command; none of a loop's end."""
    words = shlex.split(line, comments=True)
    while words and re.match(r"\w+=", words[0]):
        words.pop(0)
    return [] if words == ["done"] else words


def smaller(arguments: list[str]) -> list[str]:
    changes = SMALLER.get(arguments[0], [])
    profile = [] if "--profile" in arguments or not changes else ["--profile", "quick"]
    size = ["--set", "data.image_size=16"] if changes else []
    return [*arguments, *profile, *size, *(word for change in changes for word in ("--set", change))]


def test_what_the_tour_writes_is_no_part_of_the_repository() -> None:
    """Else `make check` would lint the exported network."""
    outs = [words[words.index("--out") + 1] for words in commands(README) if "--out" in words]
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {f"/{out.split('/')[0]}/" for out in outs} <= set(ignored)


def stand_in(arguments: list[str]) -> list[str]:
    """A command, or in place of an experiment one run of it; tests/trials/nni_host runs experiments."""
    if arguments[0] == "study":
        return [*arguments, *STUDY]
    if arguments[0] != "launch":
        return arguments
    options = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    run = f"{options['--out']}/fold0/hog"
    return ["train", "--data", options["--data"], "--fold", "0", "--method", "hog", "--out", run]


def run_commands(page: Path, done: set[str]) -> None:
    """Run a page's commands, smaller, each once."""
    for command, *arguments in commands(page):
        words = smaller(stand_in(arguments))
        if command == "lesion-nas" and str(words) not in done:
            assert main(words) == 0, shlex.join(words)
            done.add(str(words))


def make_frames(folder: Path) -> None:
    """Full frames with masks, as BUSI has them."""
    random = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (folder / name).mkdir(parents=True)
        for number in range(1, 7):
            mask = np.zeros((64, 80), np.uint8)
            mask[20:44, 30 - number : 60] = 255
            frame = random.integers(1, 255, mask.shape, np.uint8)
            Image.fromarray(frame).save(folder / name / f"{name} ({number}).png")
            Image.fromarray(mask).save(folder / name / f"{name} ({number})_mask.png")


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every command of the README's tour has been run."""
    folder = tmp_path_factory.mktemp("tour")
    make_phantoms(folder / "my-lesions", count=40, side=32)
    shutil.copy(next((folder / "my-lesions").glob("*.png")), folder / "my-lesions" / "a.png")
    make_phantoms(folder / "others", count=20, seed=1, side=32)
    make_frames(folder / "busi")
    rings(folder / "my-grades", ["low", "middle", "high"], 12)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("NNI_PLATFORM", raising=False)
        for page in (README, STEPS):
            run_commands(page, set())
    return folder


def test_the_tour_leaves_what_it_names(toured: Path) -> None:
    for name in ("runs/search/architecture.json", "runs/enas7/model.onnx", "runs/evaluation/evaluation.csv"):
        assert (toured / name).stat().st_size > 0
    heading, *_ = (toured / "runs" / "evaluation" / "evaluation.txt").read_text().splitlines()
    assert heading in STEPS.read_text(encoding="utf-8")  # the output that it shows
    assert (toured / "report" / "report.html").exists() and (toured / "enas7-model" / "model.onnx").exists()


def test_the_study_leaves_a_report_and_a_model_that_loads_as_the_readme_says(
    toured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toured)
    study = toured / "experiments" / "study"
    assert (study / "report" / "report.html").exists() and (study / "model" / "model.onnx").exists()
    names: dict[str, Any] = {}
    exec(blocks(README, "python")[0], names)
    assert names["probabilities"].shape == (1, 2) and 0 < names["threshold"] < 1


def test_the_strategy_runs_in_nnis_experiment_as_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    names: dict[str, Any] = {"space": UserSpace(), "evaluator": evaluator(epochs=1)}
    exec(blocks(README, "python")[1], names)
    assert len(names["best"]) == 3 and "first" in names["best"][0]
    names["experiment"].stop()


def test_a_model_and_an_architecture_load_as_the_page_about_models_says(
    toured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toured)
    page = ROOT / "docs" / "how-to" / "use-a-model.md"
    names: dict[str, Any] = {}
    for kind in ("model", "sample", "architecture"):
        [block] = blocks(page, f"python {kind}")
        exec(block.replace("classes=2", "classes=2, nodes=2"), names)  # the tour's search was made smaller
    assert isinstance(names["network"], EnasNetwork) and names["network"].architecture is not None
    assert set(names["architecture"].fixed_arc) == {"normal", "reduce"}


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


def test_the_commands_of_the_how_to_guides_run(toured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toured)
    done = {str(smaller(words)) for program, *words in commands(STEPS) if program == "lesion-nas"}
    for page in GUIDES:
        run_commands(page, done)


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
