"""DICOM files as people have them: without a suffix, and compressed."""

from __future__ import annotations

from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import MPEG2MPML

from tests.helpers.images import Picture, write_dicom
from trials.data.files.decoding import decode
from trials.data.files.grey_range import GreyRange
from trials.data.load import load
from trials.errors import DataError

SYNTAXES = (
    "JPEGLosslessProcess14_1",
    "JPEGLosslessProcess14",
    "JPEGLSLossless",
    "JPEG2000Lossless",
    "RLELossless",
)


def compress(path: Path, syntax: str) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("bits", [8, 12])
def test_compressed_files_are_read(tmp_path: Path, picture: Picture, syntax: str, bits: int) -> None:
    path = write_dicom(tmp_path / "a.dcm", picture(1) if bits == 8 else picture(1).astype(np.uint16) * 16)
    raw = path.read_bytes()
    compress(path, syntax)
    assert path.read_bytes() != raw
    np.testing.assert_array_equal(decode(path, grey_range=GreyRange(0, 255 * 16)), picture(1))


def test_without_a_decoder_the_transfer_syntax_and_the_extra_are_named(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dicom(tmp_path / "a.dcm", picture(1))
    compress(path, "JPEGLosslessProcess14_1")
    decoder = get_decoder(pydicom.dcmread(path).file_meta.TransferSyntaxUID)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(DataError, match=r"a\.dcm: its transfer syntax, JPEG Lossless, .*\[dicom\]"):
        decode(path)


def test_a_transfer_syntax_that_nothing_decodes_is_named(tmp_path: Path, picture: Picture) -> None:
    stored = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", picture(1)))
    stored.file_meta.TransferSyntaxUID = MPEG2MPML
    stored.PixelData = pydicom.encaps.encapsulate([b"1234"])
    stored["PixelData"].is_undefined_length = True
    stored.save_as(tmp_path / "b.dcm")
    with pytest.raises(DataError, match=r"b\.dcm: its transfer syntax, MPEG2"):
        decode(tmp_path / "b.dcm")


def test_files_without_a_suffix_or_with_another_are_read(tmp_path: Path, picture: Picture) -> None:
    names = (
        "benign/IM0001",
        "benign/1.2.840.113619.2.55",
        "malignant/IM0002.IMA",
        "malignant/series/a.dicom",
    )
    for seed, name in enumerate(names):
        write_dicom(tmp_path / name, picture(seed))
    write_dicom(tmp_path / "benign/DICOMDIR", picture(9))
    (tmp_path / "benign/notes").write_text("no image")
    data = load(tmp_path)
    assert set(data.files) == set(names)
    np.testing.assert_array_equal(data.images[data.files.index("benign/IM0001")], picture(0))
    assert any("2 files skipped" in note for note in data.notes)
    rows = [f"{name},{name.partition('/')[0]}" for name in names]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,label", *rows]))
    assert set(load(tmp_path).files) == set(names)


def test_a_dicom_suffix_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"\x08\x00\x05\x00" + bytes(300))
    with pytest.raises(DataError, match=r"a\.dcm: begins neither as DICOM does"):
        decode(tmp_path / "a.dcm")
