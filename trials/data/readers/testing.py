"""The conformance suite for readers of data formats: inherit it in a test file of yours.

.. code-block:: python

    from trials.data.readers.testing import ReaderTests, picture

    class TestMyFormat(ReaderTests):
        reader = MY_FORMAT

        def write_data(self, folder):
            ...  # a small data set in this folder, of eight or more pictures of two classes
            return folder

Needs pytest, which nothing else in this package does.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from trials.data.dataset import LesionData
from trials.data.load import load
from trials.data.readers import choose
from trials.data.readers.base import Options, Reader
from trials.data.readers.folders import CLASS_FOLDERS
from trials.data.records import SPLITS, Listing, Record
from trials.data.tables.columns import NONE
from trials.errors import DataError

STRAYS = (".DS_Store", "Thumbs.db", "__MACOSX/._data", ".cache/thumbnail.png")


def picture(seed: int, height: int = 40, width: int = 50) -> np.ndarray:
    """Return a random image, uint8 [height, width], that no hash takes for that of another seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def save_picture(path: Path, seed: int) -> None:
    """Write an image file with the picture of a seed, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(path)


class ReaderTests:
    """The suite: inherit it in a class whose name starts with ``Test``; set `reader`, define `write_data`.

    `positive` is the class that sensitivity is about.
    """

    reader: ClassVar[Reader]
    positive: ClassVar[str] = "malignant"

    def write_data(self, folder: Path) -> Path:
        """Write a small data set of the format into an empty folder; return the path that a user names."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the reader known, as installing its package does."""
        known = choose.readers()
        monkeypatch.setattr(choose, "READERS", [*known])
        if self.reader not in (*known, CLASS_FOLDERS):
            choose.register(self.reader)

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """The data set."""
        folder = tmp_path / "data"
        folder.mkdir()
        return self.write_data(folder)

    @pytest.fixture
    def elsewhere(self, path: Path, tmp_path: Path) -> Path:
        """A copy of the data set in another place."""
        shutil.copytree(tmp_path / "data", tmp_path / "other" / "data", symlinks=True)
        return tmp_path / "other" / path.relative_to(tmp_path)

    def listing(self, path: Path, **options: Any) -> Listing:
        """Return what the reader lists."""
        return self.reader.read(path, Options(**options))

    def load(self, path: Path, **options: Any) -> LesionData:
        """Decode the data set as a run does."""
        return load(path, positive=self.positive, **options)

    def image_files(self, path: Path) -> list[Record]:
        """Return the records that have an image file of their own; skip the test if there are none."""
        records = [record for record in self.listing(path).records if record.path]
        if not records:
            pytest.skip("this format has no file for each image")
        return records

    # What is listed

    def test_the_reader_holds_its_data_and_no_other_folder(self, path: Path, tmp_path: Path) -> None:
        other = tmp_path / "letters"
        other.mkdir()
        assert self.reader.holds(path) and not self.reader.holds(other)
        (other / "letter.txt").write_text("no image")
        assert not self.reader.holds(other)

    def test_a_run_reads_the_data_by_this_reader(self, path: Path) -> None:
        assert _facts(choose.read(path, Options())) == _facts(self.listing(path))

    def test_records_have_a_name_a_label_and_no_problem(self, path: Path) -> None:
        listing = self.listing(path)
        files = [record.file for record in listing.records]
        assert not listing.problems and listing.layout and listing.name
        assert len(set(files)) == len(files) >= 8
        assert len({record.label for record in listing.records}) >= 2
        assert all(record.label.strip() == record.label != "" for record in listing.records)
        assert all(_is_relative(file) for file in files)

    def test_a_split_names_a_part_for_each_image_or_for_none(self, path: Path) -> None:
        parts = {record.split for record in self.listing(path).records}
        assert parts == {None} or parts <= set(SPLITS)

    def test_the_listing_is_the_same_again_and_elsewhere(self, path: Path, elsewhere: Path) -> None:
        assert _facts(self.listing(path)) == _facts(self.listing(path)) == _facts(self.listing(elsewhere))

    def test_listing_decodes_no_image(self, path: Path) -> None:
        before = [record.file for record in self.image_files(path)]
        for record in self.image_files(path):
            assert record.path
            record.path.write_bytes(b"")
        assert [record.file for record in self.image_files(path)] == before

    def test_strays_change_nothing(self, path: Path) -> None:
        before = self.load(path).digest
        folder = path if path.is_dir() else path.parent
        for name in STRAYS:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"stray")
        after = self.load(path)
        assert after.digest == before and not any(name in after.files for name in STRAYS)

    # What is decoded

    def test_images_are_bytes_of_grey_or_colour_each_time_the_same(self, path: Path) -> None:
        for record in self.listing(path).records:
            image = record.decode()
            assert image.dtype == np.uint8 and image.ndim in (2, 3) and image.shape[2:] in ((), (3,))
            np.testing.assert_array_equal(record.decode(), image)

    def test_the_digest_is_the_same_again_and_elsewhere(self, path: Path, elsewhere: Path) -> None:
        assert self.load(path).digest == self.load(path).digest == self.load(elsewhere).digest

    def test_reading_writes_nothing(self, path: Path, tmp_path: Path) -> None:
        def state() -> Iterator[tuple[Path, int]]:
            return ((file, file.stat().st_mtime_ns) for file in sorted((tmp_path / "data").rglob("*")))

        before = list(state())
        self.load(path)
        assert list(state()) == before

    # What is refused

    def test_a_damaged_image_is_named(self, path: Path) -> None:
        first = self.image_files(path)[0]
        assert first.path
        first.path.write_bytes(first.path.read_bytes()[:20])
        with pytest.raises(DataError) as raised:
            self.load(path)
        assert first.path.name in str(raised.value)

    def test_a_missing_image_is_named_where_the_format_names_its_images(self, path: Path) -> None:
        first = self.image_files(path)[0]
        assert first.path
        first.path.unlink()
        listing = self.listing(path)
        if listing.problems or first.file in [record.file for record in listing.records]:
            with pytest.raises(DataError) as raised:
                self.load(path)
            assert first.path.name in str(raised.value)

    def test_a_link_that_leads_out_of_the_data_is_not_followed(self, path: Path, tmp_path: Path) -> None:
        first = self.image_files(path)[0]
        assert first.path
        outside = tmp_path / "outside" / first.path.name
        outside.parent.mkdir()
        first.path.rename(outside)
        first.path.symlink_to(outside)
        with pytest.raises(DataError, match="link") as raised:
            self.load(path)
        assert first.path.name in str(raised.value)

    def test_an_option_without_use_is_refused(self, path: Path) -> None:
        if not self.reader.group_columns:
            with pytest.raises(DataError, match="group column"):
                self.load(path, group_column="patient")
        if not self.reader.class_names:
            with pytest.raises(DataError, match=r"data\.classes"):
                self.load(path, classes=["benign", "malignant"])

    def test_groups_can_be_left_out(self, path: Path) -> None:
        assert {record.group for record in self.listing(path, group_column=NONE).records} == {None}


def _facts(listing: Listing) -> list[tuple[object, ...]]:
    """Return all that identifies the records, in their order."""
    return [
        (record.file, record.label, record.group, record.split, record.lesion, record.box, record.cells)
        for record in listing.records
    ]


def _is_relative(file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in file
