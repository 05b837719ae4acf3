"""DICOM files are read as pictures, and nothing but the picture is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    RLELossless,
)

from tests.helpers.images import Picture, write_dicom
from trials.data.files.decoding import decode
from trials.data.files.grey_range import GreyRange
from trials.data.files.image_file import SUFFIXES
from trials.data.load import load
from trials.errors import DataError


def test_stored_greys_are_kept_and_inverted_ones_restored(tmp_path: Path, picture: Picture) -> None:
    grey = picture(1)
    np.testing.assert_array_equal(decode(write_dicom(tmp_path / "a.dcm", grey)), grey)
    np.testing.assert_array_equal(decode(write_dicom(tmp_path / "b.dcm", grey, "MONOCHROME1")), 255 - grey)


def test_a_window_is_applied_where_the_file_has_one(tmp_path: Path) -> None:
    deep = np.array([[0, 1000], [4095, 2048]], dtype=np.uint16)
    window = {
        "WindowCenter": ["1000", "9"],
        "WindowWidth": ["401", "9"],
    }  # the first of several: 799.5 to 1199.5
    path = write_dicom(tmp_path / "a.dcm", deep, bits=12, **window)
    np.testing.assert_array_equal(decode(path), [[0, 128], [255, 255]])
    path = write_dicom(tmp_path / "b.dcm", deep, "MONOCHROME1", bits=12, **window)
    np.testing.assert_array_equal(decode(path), [[255, 127], [0, 0]])
    path = write_dicom(tmp_path / "c.dcm", deep, bits=12, WindowCenter="", WindowWidth="")  # blank: none
    np.testing.assert_array_equal(decode(path, grey_range=GreyRange(0, 4095)), [[0, 62], [255, 128]])
    sigmoid = write_dicom(tmp_path / "d.dcm", deep, bits=12, VOILUTFunction="SIGMOID", **window)
    np.testing.assert_array_equal(decode(sigmoid), [[0, 128], [255, 255]])


def test_a_window_is_of_rescaled_values(tmp_path: Path) -> None:
    stored = np.array([[0, 1024], [1064, 1224]], dtype=np.uint16)  # -1024, 0, 40 and 200 Hounsfield units
    hounsfield = {"RescaleSlope": "1", "RescaleIntercept": "-1024"}
    tissue = {"WindowCenter": "40", "WindowWidth": "80"}
    path = write_dicom(tmp_path / "a.dcm", stored, bits=16, **hounsfield, **tissue)
    np.testing.assert_array_equal(decode(path), [[0, 0], [129, 255]])
    signed = (stored.astype(np.int16) - 1024).astype(np.int16)
    path = write_dicom(tmp_path / "b.dcm", signed, bits=16, RescaleSlope="1", RescaleIntercept="0", **tissue)
    np.testing.assert_array_equal(decode(path), [[0, 0], [129, 255]])
    path = write_dicom(tmp_path / "c.dcm", signed, bits=16)
    np.testing.assert_array_equal(decode(path, grey_range=GreyRange(-1024, 1023)), [[0, 128], [133, 152]])
    falling = {"RescaleSlope": "-1", "RescaleIntercept": "1024"}
    path = write_dicom(tmp_path / "d.dcm", stored, bits=12, **falling, WindowCenter="0", WindowWidth="2048")
    assert np.diff(decode(path).ravel().astype(int)).max() < 0  # more stored is less shown


def test_a_table_is_applied_where_the_file_has_one(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 10, 8], [0, 7, 100, 255]
    table["LUTData"].VR = "US"
    deep = np.array([[0, 10], [11, 500]], dtype=np.uint16)
    path = write_dicom(tmp_path / "a.dcm", deep, bits=16, VOILUTSequence=[table])
    np.testing.assert_array_equal(decode(path), [[0, 0], [7, 255]])


@pytest.mark.parametrize("kind", ["US", "OW"])
@pytest.mark.parametrize("packed", [False, True], ids=["one a word", "two a word"])
def test_a_table_of_bytes_shows_deep_pixels(tmp_path: Path, kind: str, packed: bool) -> None:
    entries = (np.arange(4096) * 255 // 4095).astype(np.uint8)
    words = entries.view("<u2") if packed else entries.astype("<u2")
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table.add_new("LUTData", kind, words.tobytes() if kind == "OW" else words.tolist())
    deep = np.array([[0, 255, 256], [384, 2048, 4095]], dtype=np.uint16)
    path = write_dicom(tmp_path / "a.dcm", deep, bits=12, VOILUTSequence=[table])
    np.testing.assert_array_equal(decode(path), [[0, 15, 15], [23, 127, 255]])


def test_a_modality_table_shows_every_signed_pixel(tmp_path: Path) -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "SS", [0, -(2**15), 16])  # 0: 65536 entries
    table.add_new("LUTData", "OW", np.arange(2**16, dtype="<u2").tobytes())
    signed = np.array([[-(2**15), -1], [0, 2**15 - 1]], dtype=np.int16)
    path = write_dicom(tmp_path / "a.dcm", signed, bits=16, ModalityLUTSequence=[table])
    np.testing.assert_array_equal(decode(path, grey_range=GreyRange(0, 2**16 - 1)), [[0, 127], [128, 255]])


@pytest.mark.parametrize(
    ("descriptor", "said"), [([9, 0, 16], "4 entries of 16"), ([4, 0, 0], "4 entries of 0")]
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, descriptor: list[int], said: str) -> None:
    table = Dataset()
    table.LUTDescriptor = descriptor
    table.add_new("LUTData", "US", [0, 7, 100, 255])
    deep = np.array([[0, 10], [11, 500]], dtype=np.uint16)
    path = write_dicom(tmp_path / "a.dcm", deep, bits=16, VOILUTSequence=[table])
    with pytest.raises(DataError, match=f"{path}: .*{said} bits, expected {descriptor[0]} of 8 to 16"):
        decode(path)


def test_every_colour_encoding_becomes_rgb(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path = write_dicom(tmp_path / "rgb.dcm", colour, "RGB")
    np.testing.assert_array_equal(decode(path), colour)
    stored = pydicom.dcmread(path)
    stored.compress(RLELossless)
    stored.save_as(tmp_path / "rle.dcm")
    np.testing.assert_array_equal(decode(tmp_path / "rle.dcm"), colour)
    ybr = np.asarray(Image.fromarray(colour).convert("YCbCr"))
    given = decode(write_dicom(tmp_path / "ybr.dcm", ybr, "YBR_FULL")).astype(int)
    assert np.abs(given - colour).max() <= 3
    palette = {
        f"{name}PaletteColorLookupTable{what}": value
        for number, name in enumerate(("Red", "Green", "Blue"))
        for what, value in (
            ("Descriptor", [4, 0, 16]),
            ("Data", (np.arange(4, dtype="<u2") * 257 * 20 * (number + 1)).tobytes()),
        )
    }
    indices = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    path = write_dicom(tmp_path / "palette.dcm", indices, "MONOCHROME2", **palette)
    stored = pydicom.dcmread(path)
    stored.PhotometricInterpretation = "PALETTE COLOR"
    stored.save_as(path)
    np.testing.assert_array_equal(decode(path)[..., 2], indices * 60)


def test_elements_that_name_the_patient_are_not_read(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Dataset] = []
    dcmread = pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda *a, **k: read.append(dcmread(*a, **k)) or read[-1])
    decode(write_dicom(tmp_path / "a.dcm", picture(1)))
    (stored,) = read
    assert "Rows" in stored and not any("Patient" in element.keyword for element in stored)


def test_dicom_files_are_read_in_folders_and_manifests(tmp_path: Path, picture: Picture) -> None:
    for seed, name in enumerate(("benign/1.dcm", "benign/2.png", "malignant/1.DCM")):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("png"):
            Image.fromarray(picture(seed)).save(tmp_path / "data" / name)
        else:
            write_dicom(tmp_path / "data" / name, picture(seed))
    data = load(tmp_path / "data")
    assert data.files == ("benign/1.dcm", "benign/2.png", "malignant/1.DCM")
    np.testing.assert_array_equal(data.images[0], picture(0))
    (tmp_path / "data" / "manifest.csv").write_text(
        "file,label,patient\nbenign/1.dcm,benign,1\nmalignant/1.DCM,malignant,2\n"
    )
    np.testing.assert_array_equal(load(tmp_path / "data").images[1], picture(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"NumberOfFrames": 2}, "holds 2 frames"),
        ({"WindowCenter": "40", "WindowWidth": "0"}, "a window of centre 40.0 and width 0.0 shows nothing"),
        ({"Rows": 60_000, "Columns": 60_000}, "60000 x 60000 pixels"),
        ({"PixelData": b"12"}, "cannot be read as an image"),
    ],
)
def test_files_without_a_single_picture_are_refused_by_name(
    tmp_path: Path, picture: Picture, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=rf"a\.dcm: .*{message}"):
        decode(write_dicom(tmp_path / "a.dcm", picture(1), **change))


def test_a_deflated_file_is_refused_unread(tmp_path: Path, picture: Picture) -> None:
    stored = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", picture(1)))
    stored.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    stored.save_as(tmp_path / "b.dcm")
    with pytest.raises(DataError, match="is deflated"):
        decode(tmp_path / "b.dcm")


def test_without_pydicom_the_error_says_how_to_install_it(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dicom(tmp_path / "a.dcm", picture(1))
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(DataError, match=r"\[dicom\]"):
        decode(path)
    assert ".dcm" in SUFFIXES
