"""Images of more than 8 bits: one range for a data set, chosen from all its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, TiffImagePlugin

from tests.helpers.images import Picture, write_dicom
from trials.data.dataset import LesionData
from trials.data.files.decoding import decode, decode_all
from trials.data.files.grey_range import Extent, GreyRange, Stored, common_range
from trials.data.files.image_file import open_image
from trials.data.load import load
from trials.errors import DataError

WHITE_IS_ZERO = {262: 0}


def save(path: Path, values: np.ndarray) -> None:
    if path.suffix == ".dcm":
        write_dicom(path, values)
    else:
        Image.fromarray(values).save(path)


@pytest.fixture
def stored_as(tmp_path: Path) -> Callable[[Mapping[str, np.ndarray]], LesionData]:
    """Load images by name and stored values; every other one is malignant."""

    def read(images: Mapping[str, np.ndarray]) -> LesionData:
        root = tmp_path / "lesions"
        root.mkdir()
        lines = ["file,label,patient"]
        for number, (name, values) in enumerate(images.items()):
            save(root / name, values)
            lines.append(f"{name},{('benign', 'malignant')[number % 2]},{number}")
        (root / "manifest.csv").write_text("\n".join(lines))
        return load(root)

    return read


@pytest.mark.parametrize("suffix", ["png", "tif", "dcm"])
def test_images_of_one_scale_are_read_alike_whatever_their_brightest_pixel(
    stored_as: Callable[..., LesionData], picture: Picture, suffix: str
) -> None:
    deep = [picture(seed).astype(np.uint16) * 16 for seed in range(6)]
    deep[2][0, 0] = 65535  # a hot pixel
    deep[3] //= 32  # a dark exposure, below 256
    data = stored_as({f"{seed}.{suffix}": values for seed, values in enumerate(deep)})
    assert data.grey_range == (0, 4095)
    for values, pixels in zip(deep, data.images, strict=True):
        expected = np.round(np.minimum(values.astype(float), 4095) * 255 / 4095)
        np.testing.assert_array_equal(pixels, expected)
    assert data.notes == (
        "6 images store more than 8 bits: 0 to 4095 become black to white, the range of all of them",
        f"1 images keep fewer than 16 of 256 levels in that range, such as 3.{suffix} "
        "(0 to 127): scale them like the others if they were recorded otherwise",
    )


def test_sixteen_bits_stored_with_small_values_keep_their_greys(
    stored_as: Callable[..., LesionData], picture: Picture
) -> None:
    """As MR scanners store: 16 bits, values to about 2000; the same as DICOM and as PNG."""
    deep = {f"{seed}.dcm": picture(seed).astype(np.uint16) * 8 for seed in range(4)}
    data = stored_as(deep)
    assert data.grey_range == (0, 2047)
    for (name, values), pixels in zip(deep.items(), data.images, strict=True):
        assert len(np.unique(pixels)) >= len(np.unique(values)) - 1, name
        save(path := data.root / "same.png", values)
        np.testing.assert_array_equal(decode(path, grey_range=data.grey_range), pixels)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 65535, (0, 65535)),
        (0, 4095, (0, 4095)),
        (0, 4000, (0, 4095)),
        (0, 1023, (0, 1023)),
        (0, 16000, (0, 16383)),
        (0, 3000, (0, 3071)),
        (0, 200, (0, 255)),
        (-1024, 3000, (-1024, 3071)),
        (-1000, 1500, (-1024, 1535)),
        (30000, 34000, (29696, 34303)),
        (7, 7, (0, 255)),
        (-5, -5, (-32, 223)),
    ],
)
def test_a_range_holds_the_values_in_eighths_of_a_power_of_two(
    low: int, high: int, expected: tuple[float, float]
) -> None:
    assert common_range([Stored(Extent(low, low, high, True)), Stored()]) == expected


def test_a_range_of_fractions_is_as_wide_as_they_need() -> None:
    """As DICOM's rescaling gives."""
    assert common_range([Stored(Extent(0.0, 0.01, 0.03, False))]) == (0, 0.03125)
    known = common_range([Stored(Extent(0.0, 0.0, 0.0, False))])
    assert known.black <= 0 < known.white
    assert common_range([]) == (0, 255)


@pytest.mark.parametrize("kind", [np.uint16, ">u2", np.int32, np.float32, np.float64])
@pytest.mark.parametrize("span", [4000, 60_000])
def test_every_kind_of_number_gives_the_same_bytes(kind: type, span: int) -> None:
    values = np.random.default_rng(0).integers(0, span, (30, 40)).astype(kind)
    expected = np.round(np.clip((values.astype(float) - 100) * (255 / 3995), 0, 255))
    np.testing.assert_array_equal(GreyRange(100, 4095).to_bytes(values), expected)


def test_values_of_32_bits_need_no_table(tmp_path: Path) -> None:
    values = np.array([[-(2**31), 0], [2**30, 2**31 - 1]], dtype=np.int32)
    np.testing.assert_array_equal(GreyRange(0, 2**31 - 1).to_bytes(values), [[0, 0], [128, 255]])


def test_signed_values_are_read_by_the_range_of_the_set(
    stored_as: Callable[..., LesionData], picture: Picture
) -> None:
    data = stored_as({f"{n}.dcm": picture(n).astype(np.int16) * 12 - 1000 for n in range(4)})
    assert data.grey_range.black == -1024 and 2000 < data.grey_range.white < 2600
    np.testing.assert_array_equal(data.images[0], data.grey_range.to_bytes(picture(0) * 12.0 - 1000))


def test_data_sets_of_8_bits_are_unchanged(stored_as: Callable[..., LesionData], picture: Picture) -> None:
    data = stored_as({f"{n}.{('png', 'dcm', 'tif')[n % 3]}": picture(n) for n in range(6)})
    assert data.grey_range == (0, 255) and data.notes == ()
    for number, pixels in enumerate(data.images):
        np.testing.assert_array_equal(pixels, picture(number))


def test_8_bits_beside_16_get_a_note(stored_as: Callable[..., LesionData], picture: Picture) -> None:
    deep = picture(1).astype(np.uint16) * 257
    data = stored_as(
        {"0.png": picture(0), "1.png": deep, "2.png": picture(2) * np.uint16(257), "3.png": picture(3)}
    )
    np.testing.assert_array_equal(data.images[0], picture(0))
    np.testing.assert_array_equal(data.images[1], picture(1))
    assert any("2 images store 8 bits and are taken as they are" in note for note in data.notes)


def test_a_range_that_few_images_widen_gets_a_note(
    stored_as: Callable[..., LesionData], picture: Picture
) -> None:
    deep = {f"{n}.png": picture(n).astype(np.uint16) * 4 for n in range(30)}
    deep["7.png"] *= 60
    notes = stored_as(deep).notes
    assert any("because of 2 of 30 images, such as 7.png (values to 61" in note for note in notes)


def test_windows_are_applied_and_differences_get_a_note(tmp_path: Path, picture: Picture) -> None:
    (tmp_path / "manifest.csv").write_text(
        "file,label,patient\na.dcm,benign,1\nb.dcm,malignant,2\nc.dcm,benign,3\nd.dcm,malignant,4\n"
    )
    windows = ((1020, 2041), (1020, 2041), (510, 1021), None)
    for seed, (name, window) in enumerate(zip("abcd", windows, strict=True)):
        more = {"WindowCenter": str(window[0]), "WindowWidth": str(window[1])} if window else {}
        write_dicom(tmp_path / f"{name}.dcm", picture(seed).astype(np.uint16) * 8, **more)
    data = load(tmp_path)
    assert abs(data.images[0].astype(int) - picture(0)).max() <= 1
    assert abs(data.images[2].astype(int) - np.minimum(picture(2) * 2.0, 255)).max() <= 1
    deep_note, windowed, others = data.notes
    assert deep_note.startswith("1 images store more than 8 bits")
    assert windowed.startswith("3 DICOM images are shown through the window in their file")
    assert "centre 1020, width 2041, centre 510, width 1021" in windowed and "not one grey in all" in windowed
    assert others.startswith("1 other images have no window")


def test_images_whose_zero_is_white_are_inverted(tmp_path: Path, picture: Picture) -> None:
    Image.fromarray(picture(1)).save(tmp_path / "8.tif", tiffinfo=WHITE_IS_ZERO)  # Pillow turns them round
    write_dicom(tmp_path / "8.dcm", 255 - picture(1), "MONOCHROME1")
    deep = (255 - picture(1)).astype(np.uint16) * 16
    Image.fromarray(deep).save(tmp_path / "16.tif", tiffinfo=WHITE_IS_ZERO)  # and stores these as they are
    write_dicom(tmp_path / "16.dcm", deep, "MONOCHROME1")
    for name in ("8.tif", "8.dcm", "16.tif", "16.dcm"):
        np.testing.assert_array_equal(decode(tmp_path / name, grey_range=GreyRange(0, 255 * 16)), picture(1))


def test_a_text_in_a_png_does_not_invert_it(tmp_path: Path, picture: Picture) -> None:
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    said.add_text("white is zero", "yes")
    Image.fromarray(picture(1).astype(np.uint16)).save(tmp_path / "a.png", pnginfo=said)
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), picture(1))


@pytest.mark.parametrize("mode", ["RGB", "LA"])
def test_sixteen_bits_in_colour_are_refused(tmp_path: Path, mode: str) -> None:
    (tmp_path / "a.png").write_bytes(colour_png(2 if mode == "RGB" else 4))
    with pytest.raises(DataError, match=r"a\.png: 16 bits a channel"):
        decode(tmp_path / "a.png")


def colour_png(kind: int) -> bytes:
    """A PNG of 2x1 pixels with 16 bits a channel; Pillow writes none."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    channels = {2: 3, 4: 2}[kind]
    row = b"\0" + struct.pack(f">{2 * channels}H", *[1000] * 2 * channels)
    head = struct.pack(">IIBBBBB", 2, 1, 16, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    )


def test_a_bitmap_of_five_and_six_bits_is_no_image_of_16(tmp_path: Path) -> None:
    head = b"BM" + (70).to_bytes(4, "little") + bytes(4) + (66).to_bytes(4, "little")
    info = [(40, 4), (2, 4), (1, 4), (1, 2), (16, 2), (3, 4), (4, 4), (0, 4), (0, 4), (0, 4), (0, 4)]
    masks = [(0xF800, 4), (0x07E0, 4), (0x001F, 4)]
    body = b"".join(value.to_bytes(size, "little") for value, size in info + masks)
    (tmp_path / "a.bmp").write_bytes(head + body + b"\xff\xff\x00\xf8")
    assert decode(tmp_path / "a.bmp").tolist() == [[[255, 255, 255], [255, 0, 0]]]


# A model's range -------------------------------------------------------------------------------------------


def test_a_model_reads_by_its_own_range_and_reports_what_exceeds_it(tmp_path: Path, picture: Picture) -> None:
    values = picture(1).astype(np.uint16) * 16
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values // 32).save(tmp_path / "dark.png")
    paths = [tmp_path / "a.png", tmp_path / "dark.png"]
    (_, dark), notes = decode_all(paths, GreyRange(0, 4095))
    np.testing.assert_array_equal(dark, np.round(values // 32 * (255 / 4095)))
    assert len(notes) == 2 and "dark.png (7 to 127)" in notes[1]
    assert "0 to 4095 become black to white, the range that the model" in notes[0]
    _, notes = decode_all(paths, GreyRange(0, 3071))
    assert any("1 images exceed that range" in note and "a.png" in note for note in notes)
    with pytest.raises(DataError, match=r"a\.png: half of its values lie beyond 0 to 255"):
        decode_all(paths, GreyRange(0, 255))


def test_an_external_set_is_read_by_the_range_it_is_given(tmp_path: Path, picture: Picture) -> None:
    for n, label in enumerate(("benign", "malignant")):
        (tmp_path / label).mkdir()
        Image.fromarray(picture(n).astype(np.uint16) * 2).save(tmp_path / label / "a.png")
    data = load(tmp_path, grey_range=GreyRange(0, 4095))
    assert data.grey_range == (0, 4095) and data.images[0].max() <= 32
    assert load(tmp_path).grey_range == (0, 511)
    with pytest.raises(DataError, match="half of its values lie beyond 0 to 63"):
        load(tmp_path, grey_range=GreyRange(0, 63))


# Files of several pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.webp"])
def test_stacks_and_animations_are_refused(tmp_path: Path, picture: Picture, name: str) -> None:
    pages = [Image.fromarray(picture(n)) for n in range(3)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=rf"{name}: holds 3 pictures .*save the one"):
        decode(tmp_path / name)
    with pytest.raises(DataError, match="holds 3 pictures"):
        open_image(tmp_path / name)  # masks too


def test_a_smaller_copy_in_a_tiff_does_not_count(tmp_path: Path, picture: Picture) -> None:
    whole, reduced = picture(1), Image.fromarray(picture(1)).resize((9, 7))
    for order in ((whole, None), (None, whole)):
        with TiffImagePlugin.AppendingTiffWriter(str(tmp_path / "a.tif"), new=True) as file:
            for page in order:
                image = reduced if page is None else Image.fromarray(page)
                image.save(file, format="TIFF", tiffinfo={254: int(page is None)})
                file.newFrame()
        np.testing.assert_array_equal(decode(tmp_path / "a.tif"), whole)


def test_the_preview_in_a_photograph_is_skipped(tmp_path: Path, picture: Picture) -> None:
    photograph, preview = Image.fromarray(picture(1)), Image.fromarray(picture(1)).resize((9, 7))
    photograph.convert("RGB").save(
        tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview.convert("RGB")]
    )
    with Image.open(tmp_path / "a.jpg") as opened:
        assert opened.n_frames == 2
    assert decode(tmp_path / "a.jpg").shape[:2] == (40, 50)


def test_several_frames_of_dicom_are_refused(tmp_path: Path, picture: Picture) -> None:
    write_dicom(tmp_path / "a.dcm", picture(1))
    stored = pydicom.dcmread(tmp_path / "a.dcm")
    stored.NumberOfFrames = 2
    stored.save_as(tmp_path / "a.dcm")
    with pytest.raises(DataError, match="holds 2 frames"):
        load_one(tmp_path)


def load_one(folder: Path) -> LesionData:
    (folder / "manifest.csv").write_text("file,label\na.dcm,benign\na.dcm,malignant\n")
    return load(folder)
