"""Which reader reads a path: their order, folders around a data set, readers of other packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.images import Picture, save
from trials.cli import main
from trials.data.checks import verify
from trials.data.files.decoding import decode
from trials.data.load import load
from trials.data.readers import choose
from trials.data.readers.base import Options, Reader
from trials.data.readers.choose import refuse_inside
from trials.data.records import Listing, Record
from trials.errors import DataError

LIST = "labels.txt"


@pytest.mark.parametrize("place", ["runs/search", "benign/maps", "."])
def test_results_among_images_are_refused(place: str, classes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="where each folder is a class"):
        refuse_inside(classes, classes / place)
    refuse_inside(classes, tmp_path / "elsewhere")


@pytest.mark.parametrize("nested", [False, True])
def test_every_command_refuses_results_among_images(
    nested: bool, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.yml").write_text("LESION_NAS_DATASET")
    data, out = tmp_path if nested else classes, str(classes / "runs" / "x")
    verbs = [
        ["search", "--data", str(data), "--out", out, "--dry-run"],
        ["train", "--data", str(data), "--out", out, "--method", "hog", "--dry-run"],
        ["evaluate", str(tmp_path), "--data", str(data), "--out", out],
        ["launch", str(tmp_path / "e.yml"), "--data", str(data), "--out", out],
        ["prepare", str(data), out],
    ]
    for verb in verbs:
        assert main(verb) == 1
        assert "where each folder is a class" in capsys.readouterr().err
    assert not Path(out).parent.exists()


def test_launch_chooses_no_folder_among_images(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.yml").write_text("LESION_NAS_DATASET")
    monkeypatch.chdir(classes)
    assert main(["launch", str(tmp_path / "e.yml"), "--data", "."]) == 1
    assert "where each folder is a class" in capsys.readouterr().err


def test_results_beside_a_manifest_or_a_nested_set_do_no_harm(classes: Path, tmp_path: Path) -> None:
    refuse_inside(tmp_path, tmp_path / "runs")  # the images lie in tmp_path/lesions
    (classes / "manifest.csv").write_text("file,label\n")
    refuse_inside(classes, classes / "runs")


def test_a_path_that_is_not_utf8_is_refused(classes: Path) -> None:
    other = classes.parent / os.fsdecode(b"l\xe9sions")
    classes.rename(other)
    assert not verify(other).ok and r"l\xe9sions: the path is not UTF-8" in verify(other).text()


@pytest.mark.parametrize("inner", ["Dataset_BUSI_with_GT", "archive/Dataset_BUSI_with_GT"])
def test_busi_one_folder_too_deep_is_read(inner: str, busi_folder: Path, tmp_path: Path) -> None:
    digest = load(busi_folder).digest
    place = tmp_path / "unpacked" / inner
    place.parent.mkdir(parents=True)
    busi_folder.rename(place)
    data = load(tmp_path / "unpacked")
    assert data.digest == digest and data.root == place
    assert data.notes[0] == f"read from the only data set in unpacked, {inner}"


@pytest.mark.parametrize("layout", ["manifest", "split"])
def test_other_layouts_one_folder_too_deep_are_read(
    layout: str, classes: Path, tmp_path: Path, picture: Picture
) -> None:
    if layout == "manifest":
        (classes / "manifest.csv").write_text(
            "file,label\nbenign/00.png,benign\nmalignant/01.png,malignant\n"
        )
    else:
        for number, split in enumerate(("train", "valid", "test")):
            for label in ("benign", "malignant"):
                for seed in range(4):
                    file = classes / split / label / f"{seed}.png"
                    save(picture(hash((number, label == "benign", seed)) % 10**6), file)
        for label in ("benign", "malignant"):
            for file in (classes / label).iterdir():
                file.unlink()
            (classes / label).rmdir()
    assert load(tmp_path).digest == load(classes).digest


def test_two_data_sets_in_a_folder_are_named(classes: Path, tmp_path: Path, busi_folder: Path) -> None:
    for root in (classes, busi_folder):
        (root / "manifest.csv").write_text("file,label\n")
    with pytest.raises(DataError, match="the folders busi, lesions hold a data set each; name one"):
        load(tmp_path)


def test_folds_beside_a_nested_data_set_are_a_problem(classes: Path, tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("file,fold\n")
    with pytest.raises(DataError, match=r"folds\.csv: the images lie in lesions; move the file there"):
        load(tmp_path)


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


@pytest.mark.parametrize("what", ["missing", "empty folder", "text file"])
def test_unknown_layouts_are_refused_with_the_known_ones(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if what == "empty folder":
        path.mkdir()
    elif what == "text file":
        path.write_text("nothing")
    with pytest.raises(DataError, match=r"expected a folder with manifest\.csv"):
        load(path)


def test_a_folder_of_what_is_not_read_is_refused_by_what_it_holds(tmp_path: Path) -> None:
    for name in ("benign/1.GIF", "benign/2.gif", "benign/notes"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"known here, its files end in \.gif \(2\); expected a folder"):
        load(tmp_path)
