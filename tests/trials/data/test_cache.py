"""What is kept of large data sets for later runs."""

from __future__ import annotations

import json
import os
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.patches import write_patches
from trials.cli import main
from trials.data import cache, storage
from trials.data.dataset import LesionData
from trials.data.images import to_array
from trials.data.load import load
from trials.data.readers import patch_camelyon
from trials.data.readers.base import Options
from trials.data.readers.patch_camelyon import BLOCK
from trials.errors import SettingsError

CHUNK = 4


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, empty; ten images are a large data set."""
    monkeypatch.setenv("LESION_NAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(storage, "IN_MEMORY", 10)
    return tmp_path / "cache"


@pytest.fixture(params=["chunked", "contiguous"])
def patches(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """PatchCamelyon's files, one way or the other."""
    options = {"chunks": (CHUNK, 96, 96, 3), "compression": "gzip"} if request.param == "chunked" else {}
    return write_patches(tmp_path / "pcam", {"train": 150, "valid": 6, "test": 8}, **options)


def read(path: Path) -> LesionData:
    return load(path, positive="1", group_column="none")


def of(data: LesionData) -> list[object]:
    """All that the pixels say."""
    return [
        *(data.digest, data.image_digests, data.copy_digests, data.notes, data.left_out),
        *(image.tobytes() for image in data.images),
    ]


def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[int]]]:
    """Return a list that grows by the file and the chunks of each later reading of patches."""
    h5py = pytest.importorskip("h5py")
    found, whole = [], h5py.Dataset.__getitem__

    def noted(dataset: object, key: object, **options: object) -> np.ndarray:
        values = whole(dataset, key, **options)
        if dataset.ndim == 4 and dataset.shape[1] == 96:
            rows = np.arange(len(dataset))[key]
            found.append((dataset.file.filename, set((np.atleast_1d(rows) // CHUNK).tolist())))
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", noted)
    return found


def test_each_chunk_is_unpacked_once_and_never_again(
    patches: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as whole:
        whole.setattr(storage, "IN_MEMORY", 1000)
        expected = of(read(patches))
    unpacked = reads(monkeypatch)
    data = read(patches)
    assert of(data) == expected and all(map(storage.is_mapped, data.images))
    chunks = [(file, chunk) for file, some in unpacked for chunk in some]
    assert len(chunks) == len(set(chunks)) == (42 if unpacked else 0)
    assert str(folder) in (said := capsys.readouterr().err) and "cache --clear" in said
    unpacked.clear()
    assert of(read(patches)) == expected and not unpacked
    assert str(folder) not in capsys.readouterr().err


def test_a_chunk_is_unpacked_once_in_whatever_order_threads_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunked = {"chunks": (CHUNK, 96, 96, 3), "compression": "gzip"}
    counts = {"train": 3 * BLOCK, "valid": CHUNK, "test": CHUNK}
    listing = patch_camelyon.read(write_patches(tmp_path / "pcam", counts, **chunked), Options())
    unpacked = reads(monkeypatch)
    for place in (0, 2 * BLOCK, BLOCK, 1):  # the last is of a thread that was kept waiting
        listing.records[place].decode()
    assert len(unpacked) == 3


def test_squares_are_made_once_for_the_same_pixels(patches: Path, folder: Path) -> None:
    data = read(patches)
    squares = [to_array(data, 32), to_array(data, 32), to_array(data, 32, channels=1)]
    assert storage.is_mapped(squares[0]) and squares[2].shape[1] == 1
    np.testing.assert_array_equal(squares[0], to_array(list(data.images), 32))
    np.testing.assert_array_equal(squares[0], squares[1])
    assert sorted(name.split("-")[0] for name in cache.entries()) == ["decoded", "squares", "squares"]


@pytest.mark.parametrize("patches", ["chunked"], indirect=True)
@pytest.mark.parametrize("fault", ["cut short", "written to", "half made", "gone", "no contents"])
def test_what_is_damaged_is_made_anew(fault: str, patches: Path, folder: Path) -> None:
    expected = of(read(patches))
    (name,) = cache.entries()
    pixels = folder / name / storage.PIXELS
    if fault == "cut short":
        os.truncate(pixels, 1000)
    elif fault == "written to":
        with pixels.open("r+b") as file:
            file.write(bytes(1000))
    elif fault == "gone":
        pixels.unlink()
    elif fault == "no contents":
        (folder / name / "contents.json").write_text("{")
    else:
        (folder / name).rename(folder / f".{name}.partial")
    assert of(read(patches)) == expected
    assert [place.name for place in folder.iterdir() if place.is_dir()] == [name]


@pytest.mark.parametrize("patches", ["chunked"], indirect=True)
def test_other_files_are_another_entry(patches: Path, folder: Path) -> None:
    before = read(patches)
    path = patches / "camelyonpatch_level_2_split_test_x.h5"
    write_patches(patches, {"test": 8}, seed=1, chunks=(CHUNK, 96, 96, 3), compression="gzip")
    os.utime(path, ns=(1, 1))
    after = read(patches)
    assert after.digest != before.digest and after.files == before.files and len(cache.entries()) == 2


@pytest.mark.parametrize("patches", ["chunked"], indirect=True)
@pytest.mark.parametrize("fault", ["read-only", "a file", "a limit"])
def test_where_nothing_can_be_kept_a_temporary_file_serves(
    fault: str,
    patches: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if fault == "a limit":
        monkeypatch.setenv("LESION_NAS_CACHE_GB", "0.001")
    elif fault == "a file":
        folder.write_text("")
    else:
        monkeypatch.setenv("LESION_NAS_CACHE", "/proc/cache")  # where root cannot write either
    data = read(patches)
    assert all(map(storage.is_mapped, data.images)) and not cache.entries()
    words = "LESION_NAS_CACHE_GB" if fault == "a limit" else "nothing is kept"
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("patches", ["chunked"], indirect=True)
def test_a_damaged_patch_is_named_as_without_a_cache(patches: Path, folder: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = patches / "camelyonpatch_level_2_split_valid_x.h5"
    with h5py.File(path, "r+") as file:
        place = file["x"].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(100))
    with pytest.raises(Exception, match=r"valid_x\.h5: patch 0 cannot be read"):
        read(patches)
    assert not cache.entries()


def put(name: str, size: int) -> bool:
    """Keep so many bytes; return whether they are kept."""

    def make(folder: Path) -> None:
        (folder / "bytes").write_bytes(bytes(size))

    return bool(cache.kept(name, size, make, lambda folder: (folder / "bytes").exists()))


def test_the_least_recently_used_leaves_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESION_NAS_CACHE_GB", "0.00001")
    assert all(put(name, 4000) for name in "abac")
    assert list(cache.entries()) == ["a", "c"]
    assert not put("d", 20_000) and list(cache.entries()) == ["a", "c"]
    monkeypatch.setenv("LESION_NAS_CACHE_GB", "some")
    with pytest.raises(SettingsError, match="LESION_NAS_CACHE_GB=some"):
        put("e", 1)


def test_the_command_lists_and_clears(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0 and f"{folder}: empty" in capsys.readouterr().out
    put("a", 4000)
    (folder / ".b.partial").mkdir()
    (folder / ".b.lock").touch()
    assert main(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"].keys() == {"a"}
    assert main(["cache", "--clear"]) == 0
    assert "a" not in cache.entries() and list(folder.iterdir()) == []


def _make_slowly(name: str, at_once: object, made: object) -> None:
    def make(folder: Path) -> None:
        with made.get_lock():
            made.value += 1
        (folder / "bytes").write_bytes(b"all")

    at_once.wait()
    assert cache.kept(name, 3, make, lambda folder: (folder / "bytes").read_bytes()) == b"all"


def test_two_processes_at_once_make_one_entry(folder: Path) -> None:
    context = get_context("fork")
    at_once, made = context.Barrier(2), context.Value("i", 0)
    two = [context.Process(target=_make_slowly, args=("a", at_once, made)) for _ in range(2)]
    for process in two:
        process.start()
    for process in two:
        process.join(20)
    assert [process.exitcode for process in two] == [0, 0] and made.value == 1
