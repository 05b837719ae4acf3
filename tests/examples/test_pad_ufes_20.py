"""The example of a data format passes the conformance suite, and keeps the images of a patient together."""

from __future__ import annotations

from pathlib import Path

from docs.examples import pad_ufes_20
from docs.examples.pad_ufes_20 import PAD_UFES_20
from tests.helpers.images import write_table
from trials.data.readers.testing import ReaderTests, save_picture


class TestPadUfes20(ReaderTests):
    reader = PAD_UFES_20
    positive = "MEL"

    def write_data(self, folder: Path) -> Path:
        rows: list[tuple[object, ...]] = [("patient_id", "lesion_id", "age", "diagnostic", "img_id")]
        for number in range(12):
            patient, name = f"PAT_{number // 2}", f"PAT_{number // 2}_{number}_1.png"
            rows.append((patient, number, 50, ("MEL", "NEV")[number // 2 % 2], name))
            save_picture(folder / f"imgs_part_{1 + number % 3}" / name, number)
        write_table(folder / "metadata.csv", *rows)
        return folder

    def test_images_of_one_patient_are_one_group(self, path: Path) -> None:
        data = self.load(path)
        assert data.group_source == "column patient_id" and len(set(data.groups)) == 6


def test_it_is_one_small_file() -> None:
    assert len(Path(pad_ufes_20.__file__).read_text(encoding="utf-8").splitlines()) < 80
