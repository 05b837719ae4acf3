"""Data formats: the order in which readers are asked, and readers of other packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trials.data.dataset import load
from trials.data.files.decoding import decode
from trials.data.readers import choose
from trials.data.readers.base import Options, Reader
from trials.data.records import Listing, Record
from trials.errors import DataError

LIST = "labels.txt"


def read_list(root: Path, options: Options) -> Listing:
    """Lines of a file name and a label."""
    lines = [line.split() for line in (root / LIST).read_text().splitlines()]
    records = [Record(file, label, partial(decode, root / file), path=root / file) for file, label in lines]
    return Listing(root.name, root, "list", tuple(records))


def has_list(path: Path) -> bool:
    return (path / LIST).is_file()


LISTED = Reader("list", f"a folder with {LIST}", has_list, read_list)


@pytest.fixture
def listed(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Path:
    """A folder of another package's format: eight images in one folder, and their labels."""
    root = tmp_path / "mine"
    (root / "images").mkdir(parents=True)
    for seed in range(8):
        Image.fromarray(picture(seed)).save(root / "images" / f"{seed}.png")
    labels = ("benign", "malignant")
    (root / LIST).write_text("".join(f"images/{seed}.png {labels[seed % 2]}\n" for seed in range(8)))
    return root


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "READERS", [*choose.READERS])
    choose.register(LISTED)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("place", ["itself", "the only folder inside"])
def test_a_registered_reader_reads_its_format(place: str, listed: Path) -> None:
    data = load(listed if place == "itself" else listed.parent)
    assert data.layout == "list" and data.classes == ("benign", "malignant") and len(data.files) == 8


def test_without_its_reader_the_format_is_not_known(listed: Path) -> None:
    with pytest.raises(DataError):
        load(listed)


@pytest.mark.usefixtures("registered")
def test_a_manifest_goes_before_other_formats(listed: Path) -> None:
    (listed / "manifest.csv").write_text("file,label\nimages/0.png,benign\nimages/1.png,malignant\n")
    assert load(listed).layout == "manifest"


@pytest.mark.usefixtures("registered")
def test_messages_name_the_registered_formats(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"a folder with {LIST}, or a folder with one sub-folder"):
        load(tmp_path / "nowhere")


@pytest.mark.usefixtures("registered")
def test_links_that_lead_out_are_a_problem_in_every_format(listed: Path, tmp_path: Path) -> None:
    (listed / "images" / "0.png").rename(tmp_path / "0.png")
    (listed / "images" / "0.png").symlink_to(tmp_path / "0.png")
    with pytest.raises(DataError, match=r"1 links lead out of the folder \(images/0\.png\)"):
        load(listed)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("option", "words"), [({"classes": ["a", "b"]}, "leave it out"), ({"group_column": "case"}, "needs a")]
)
def test_options_that_a_reader_has_no_use_for_are_refused(
    option: dict[str, object], words: str, listed: Path
) -> None:
    with pytest.raises(DataError, match=words):
        load(listed, **option)  # type: ignore[arg-type]


@pytest.mark.usefixtures("registered")
def test_two_readers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="reader list: the name is in use"):
        choose.register(LISTED)


def test_the_reader_of_an_installed_package_is_found(listed: Path, tmp_path: Path) -> None:
    package = tmp_path / "site" / "mine-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[lesion_nas.readers]\nlist = mine_reader:LISTED\n")
    (package.parent / "mine_reader.py").write_text(Path(__file__).read_text())
    program = f"import sys; sys.path.append({str(package.parent)!r}); from trials.cli import main; "
    program += f"sys.exit(main(['verify', {str(listed)!r}, '--folds', '2']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"{listed}: list" in done.stdout, done.stderr
