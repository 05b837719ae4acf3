"""The example of a data format passes the conformance suite, and keeps the images of a lesion together."""

from __future__ import annotations

import csv
from pathlib import Path

from docs.examples import ham10000
from docs.examples.ham10000 import HAM10000
from trials.data.readers.testing import ReaderTests, save_picture


class TestHam10000(ReaderTests):
    reader = HAM10000
    positive = "mel"

    def write_data(self, folder: Path) -> Path:
        with (folder / "HAM10000_metadata.csv").open("w", newline="") as lines:
            table = csv.writer(lines)
            table.writerow(("lesion_id", "image_id", "dx", "age"))
            for number in range(12):
                name = f"ISIC_{number:07d}"
                table.writerow((f"HAM_{number // 2}", name, ("mel", "nv")[number // 2 % 2], 50))
                save_picture(folder / f"HAM10000_images_part_{1 + number % 2}" / f"{name}.jpg", number)
        return folder

    def test_images_of_one_lesion_are_one_group(self, path: Path) -> None:
        data = self.load(path)
        assert data.group_source == "column lesion_id" and len(set(data.groups)) == 6


def test_it_is_one_small_file() -> None:
    assert len(Path(ham10000.__file__).read_text(encoding="utf-8").splitlines()) < 80
