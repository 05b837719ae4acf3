"""Reading a file of any content raises only the project's own errors, and runs nothing in it."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from safetensors.torch import save

from search_space import Architecture
from trials.data.files.decoding import decode
from trials.data.images import to_tensor
from trials.data.load import examine
from trials.errors import DataError, ModelError, RunFolderError, SettingsError
from trials.evaluation.decisions import probabilities
from trials.models.model_file import load_description, load_model
from trials.models.network import NetworkDescription, save_network
from trials.runs.layout import CHECKPOINT
from trials.settings.load import load_settings, parse_assignment, profiles, read_overrides
from trials.settings.schema import KEYS
from trials.training.checkpoint import resume_from

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # libraries say what is damaged too

fuzzed = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,  # the same cases in every run
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    plain, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=6), part, max_size=3)
)


class Mine:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.trace,))


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes of a file, cut short, with bytes changed, or with others put in."""
    content = bytearray(whole[: draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    for _ in range(draw(st.integers(0, 4)) if content else 0):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    place = draw(st.integers(0, len(content)))
    return bytes(content[:place]) + draw(st.binary(max_size=6)) + bytes(content[place:])


# Architectures ---------------------------------------------------------------------------------------------

SAMPLE = Architecture.random(0, nodes=2).to_sample()


@fuzzed
@given(
    anything
    | st.dictionaries(st.sampled_from(sorted(SAMPLE)), anything).map(lambda changes: SAMPLE | changes)
    | st.sets(st.sampled_from(sorted(SAMPLE))).map(lambda left: {key: SAMPLE[key] for key in left})
)
def test_a_sample_is_an_architecture_or_a_value_error(sample: Any) -> None:
    try:
        architecture = Architecture.from_sample(sample)
    except ValueError as error:
        assert str(error)
    else:
        assert Architecture.from_sample(architecture.to_sample()) == architecture


@fuzzed
@given(damaged(json.dumps(SAMPLE).encode()) | st.binary() | st.just(b"[" * 100_000))
def test_an_architecture_file_is_one_or_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "architecture.json"
    file.write_bytes(content)
    try:
        assert Architecture.load(file).to_sample()
    except ValueError as error:
        assert "architecture.json" in str(error)


# Settings --------------------------------------------------------------------------------------------------


@fuzzed
@given(
    profile=st.sampled_from([*profiles(), "papr"]),
    overrides=st.dictionaries(st.sampled_from(sorted(KEYS)) | st.text(max_size=9), anything, max_size=3)
    | st.dictionaries(st.sampled_from(["data", "search", "retrain"]), anything, max_size=3),
)
@example(profile="cpu", overrides={"retrain.learning_rate": float("inf")})
def test_overrides_are_settings_or_a_settings_error(profile: str, overrides: dict[str, Any]) -> None:
    try:
        found = load_settings(profile, overrides).model_dump()
    except SettingsError as error:
        assert str(error)
    else:
        numbers = [value for part in ("data", "search", "retrain") for value in found[part].values()]
        assert all(np.isfinite(value) for value in numbers if isinstance(value, float))


YAML = b"retrain: {epochs: 9, mirror: true}\ndata.positive: cyst\nwhen: 2026-02-28\n? [a, b]\n: 3\n"


@fuzzed
@given(
    damaged(YAML)
    | st.binary(max_size=40)
    | st.sampled_from(
        [b"a: &a {b: *a}", b"d: 2026-02-30", b"[" * 5000, b"a: 1" + b"0" * 5000, b"!!python/name:os.system"]
    )
)
def test_a_settings_file_is_read_or_a_settings_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.yml"
    file.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.system", lambda _: pytest.fail("a settings file was run"))
        try:
            load_settings("quick", read_overrides(file))
        except SettingsError as error:
            assert str(error)


@fuzzed
@given(st.text(max_size=20) | st.just("a=" + "[" * 100_000) | st.just("a=" + "1" * 5000))
def test_an_assignment_is_read_or_a_settings_error(text: str) -> None:
    try:
        key, _ = parse_assignment(text)
        assert key
    except SettingsError as error:
        assert "key=value" in str(error)


# Images ----------------------------------------------------------------------------------------------------


def picture_bytes(kind: str, mode: str, size: tuple[int, int] = (13, 9), **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, kind, **options)
    return content.getvalue()


def dicom_bytes(bits: int = 8) -> bytes:
    stored = Dataset()
    stored.update({"SOPClassUID": SecondaryCaptureImageStorage, "SOPInstanceUID": "1.2"})
    pixels = np.arange(12, dtype=np.uint8 if bits == 8 else np.uint16).reshape(3, 4)
    stored.set_pixel_data(pixels, "MONOCHROME2", bits)
    content = io.BytesIO()
    stored.file_meta = FileMetaDataset()
    stored.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stored.save_as(content, enforce_file_format=True)
    return content.getvalue()


PICTURES = [
    *(dicom_bytes(bits) for bits in (8, 12)),
    *(picture_bytes("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *(picture_bytes("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
    *(picture_bytes("TIFF", mode) for mode in ("L", "I;16", "F", "CMYK", "LAB", "YCbCr")),
    *(picture_bytes(kind, "RGB") for kind in ("BMP", "WEBP", "PPM")),
    picture_bytes("PNG", "RGB", (1, 1)),
]


@fuzzed
@given(st.sampled_from(PICTURES).flatmap(damaged) | st.binary(max_size=60))
def test_an_image_file_is_pixels_or_a_data_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "image.png"  # whatever it is
    file.write_bytes(content)
    try:
        pixels = decode(file)
    except DataError as error:
        assert "image.png" in str(error)
    else:
        assert pixels.dtype == np.uint8 and pixels.size and pixels.ndim in (2, 3)
        assert to_tensor([pixels], 16, "pad").shape[-2:] == (16, 16)


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (20_000, 10)])
def test_images_of_extreme_shapes_are_reduced(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "image.png").write_bytes(picture_bytes("PNG", "RGB", size))
    pixels = decode(tmp_path / "image.png")
    assert max(pixels.shape[:2]) <= 512 and min(pixels.shape[:2]) >= 1
    for fit in ("stretch", "pad"):
        assert to_tensor([pixels], 16, fit).shape[-2:] == (16, 16)


def test_the_orientation_that_a_camera_noted_is_ignored(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    for name, options in (("plain", {}), ("turned", {"exif": turned})):
        (tmp_path / f"{name}.jpg").write_bytes(picture_bytes("JPEG", "RGB", **options))
    np.testing.assert_array_equal(decode(tmp_path / "turned.jpg"), decode(tmp_path / "plain.jpg"))


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("side", "message"), [(10_001, "10001 x 10001 pixels"), (30_000, "bomb"), (2**31 - 1, "image")]
)
def test_an_image_that_would_fill_the_memory_is_refused_unread(
    tmp_path: Path, side: int, message: str
) -> None:
    (tmp_path / "bomb.png").write_bytes(png_that_claims(side, side))
    with pytest.raises(DataError, match=rf"bomb\.png: .*{message}"):
        decode(tmp_path / "bomb.png")


def test_a_postscript_program_named_as_an_image_is_not_run(tmp_path: Path) -> None:
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "image.png").write_bytes(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("an image was run"))
        patch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("an image was run"))
        with pytest.raises(DataError, match="cannot identify"):
            decode(tmp_path / "image.png")


# Data sets -------------------------------------------------------------------------------------------------

MANIFEST = b"file,label,patient\na.png,benign,1\nb.png,malignant,2\nc.png,benign,3\nd.png,malignant,4\n"
cells = st.sampled_from(
    ["a.png", "b.png", "benign", "malignant", "", "..", "/", ".", "a" * 300, "\0", "ä", '"']
)
tables = st.lists(st.lists(cells | st.text(max_size=5), max_size=4), max_size=5).map(
    lambda rows: "\n".join([draw_header(rows), *(",".join(row) for row in rows)]).encode("utf-8", "ignore")
)


def draw_header(rows: list[list[str]]) -> str:
    """Headers that are right, short, doubled or of other names, by the number of rows."""
    headers = ("file,label,patient", "file,label", "file,file,label", "file", " label , file,group,,")
    return headers[len(rows) % len(headers)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four small images, for manifests of all kinds."""
    root = tmp_path_factory.mktemp("lesions")
    for seed, name in enumerate("abcd"):
        pixels = np.random.default_rng(seed).integers(0, 256, (seed * 7 + 1, 9), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{name}.png")
    return root


@fuzzed
@given(damaged(MANIFEST) | tables | st.binary(max_size=60))
def test_a_manifest_gives_data_or_problems_in_words(folder: Path, content: bytes) -> None:
    (folder / "manifest.csv").write_bytes(content)
    examined = examine(folder)
    assert all(isinstance(problem, str) and problem for problem in examined.problems)
    if examined.data is not None:
        assert len(examined.data.images) == len(examined.data.labels) == len(examined.data.groups)


def npz(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=True, **arrays)
    return content.getvalue()


def medmnist(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    return {
        f"{split}_{what}": values
        for split in ("train", "val", "test")
        for what, values in (("images", images), ("labels", labels))
    }


PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 5), dtype=np.uint8)
ARRAYS = st.sampled_from(
    [
        medmnist(PIXELS, np.array([[0], [1]])),
        medmnist(PIXELS, np.array([0.0, np.nan])),
        medmnist(PIXELS, np.array(["0", "1"])),
        medmnist(PIXELS, np.array([0, 2**62])),
        medmnist(PIXELS[:, :0], np.array([0, 1])),
        medmnist(PIXELS.astype(float), np.array([0, 1])),
        medmnist(np.array(3, dtype=np.uint8), np.array(1)),
        {"train_images": PIXELS},
        {},
    ]
).map(lambda arrays: npz(**arrays))


@fuzzed
@given(ARRAYS | ARRAYS.flatmap(damaged) | st.binary(max_size=60))
def test_an_npz_gives_data_or_problems_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "breastmnist.npz").write_bytes(content)
    examined = examine(tmp_path / "breastmnist.npz")
    assert examined.data is not None or examined.problems
    assert all(isinstance(problem, str) and problem for problem in examined.problems)


def test_labels_that_are_not_integers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz").write_bytes(npz(**medmnist(PIXELS, np.array([0.4, 1.0]))))
    (problem,) = examine(tmp_path / "breastmnist.npz").problems
    assert "labels of float64" in problem


def test_an_npz_that_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "breastmnist.npz", "w") as archive:
        archive.writestr("train_images.npy", b"")
    raw = (tmp_path / "breastmnist.npz").read_bytes()
    claimed = raw.replace(b"\x00" * 8 + b"\x10\x00", struct.pack("<II", 10, 2**32 - 2) + b"\x10\x00")
    assert claimed != raw
    (tmp_path / "breastmnist.npz").write_bytes(claimed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**31))
        (problem,) = examine(tmp_path / "breastmnist.npz").problems
    assert "unpacks to 4.3 GB" in problem


# Pickles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["object array", "bare pickle", "npy"])
def test_data_are_never_unpickled(tmp_path: Path, kind: str) -> None:
    trace, file = tmp_path / "was-run", tmp_path / "breastmnist.npz"
    objects = np.array([Mine(trace)], dtype=object)
    if kind == "object array":
        file.write_bytes(npz(**medmnist(objects, objects)))
    elif kind == "bare pickle":
        file.write_bytes(pickle.dumps(Mine(trace)))
    else:
        with file.open("wb") as stream:
            np.save(stream, objects, allow_pickle=True)
    assert examine(file).problems
    assert not trace.exists()


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_weights_and_checkpoints_are_never_unpickled(tmp_path: Path, model: Path, form: str) -> None:
    trace = tmp_path / "was-run"
    content = io.BytesIO()
    if form == "torch":
        torch.save({"state_dict": Mine(trace)}, content)
    else:
        pickle.dump(Mine(trace), content)
    for name in ("model.safetensors", CHECKPOINT):
        (tmp_path / name).write_bytes(content.getvalue())
    (tmp_path / "model.json").write_bytes((model / "model.json").read_bytes())
    with pytest.raises(ModelError, match="not the weights"):
        load_model(tmp_path)
    with pytest.raises(RunFolderError, match="remove it, and the same command begins"):
        resume_from(tmp_path / CHECKPOINT)
    assert not trace.exists()


# Models ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained model."""
    folder = tmp_path_factory.mktemp("model")
    network = {"kind": "cells", "architecture": SAMPLE, "layout": "enas3", "filters": 2}
    description = NetworkDescription.model_validate(
        {"network": network, "channels": 3, "classes": ["benign", "malignant"], "positive": "malignant"}
        | {"image_size": 16, "fit": "pad", "mean": [0.4], "std": [0.2], "threshold": 0.5}
    )
    save_network(folder, description.build(), description)
    return folder


THREE: dict[str, Any] = {"classes": ["benign", "malignant", "normal"], "positive": None, "threshold": None}
COSTS = [[0.0, 1.0, 1.0], [5.0, 0.0, 5.0], [1.0, 1.0, 0.0]]


@pytest.fixture(scope="module")
def of_three(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained model of three classes."""
    folder = tmp_path_factory.mktemp("of_three")
    description = NetworkDescription.model_validate(json.loads((model / "model.json").read_text()) | THREE)
    save_network(folder, description.build(), description)
    return folder


@fuzzed
@given(
    changes=st.dictionaries(
        st.sampled_from(sorted(NetworkDescription.model_fields)),
        anything | st.lists(st.floats(-1, 1), max_size=4) | st.lists(st.text(max_size=3), max_size=3),
        max_size=2,
    ),
    of_rule=st.fixed_dictionaries(
        {},
        optional={
            "positive": st.none() | st.sampled_from(["normal", "cyst"]),
            "threshold": st.none() | st.floats(-0.1, 1.1),
            "threshold_of": st.none() | st.sampled_from(["normal", "cyst"]),
            "costs": st.just(COSTS)
            | st.lists(st.lists(st.floats(-1, 9), min_size=2, max_size=3), max_size=3),
            "decision": st.sampled_from(["", "argmax", "costs", "sensitivity", "youden", "Argmax"]),
        },
    ),
    of_network=st.dictionaries(
        st.sampled_from(["kind", "layout", "filters", "stem_stride", "architecture", "more"]),
        anything | st.sampled_from(["cells", "alexnet", "enas9999x", "enas4"]) | st.integers(-2, 5),
        max_size=1,
    ),
)
@example(changes={"positive": "cyst"}, of_rule={}, of_network={})
@example(changes={"mean": [0.1, 0.2], "std": [1.0, 1.0]}, of_rule={}, of_network={})
@example(changes={"std": [0.0]}, of_rule={}, of_network={})
@example(changes={"temperature": 5e-324}, of_rule={"costs": COSTS}, of_network={})
def test_a_description_gives_a_working_model_or_a_model_error(
    tmp_path: Path,
    model: Path,
    of_three: Path,
    changes: dict[str, Any],
    of_rule: dict[str, Any],
    of_network: dict[str, Any],
) -> None:
    for folder in (model, of_three):
        values = json.loads((folder / "model.json").read_text())
        values["network"] |= of_network
        (tmp_path / "model.json").write_text(json.dumps(values | of_rule | changes))
        (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
        try:
            found = load_model(tmp_path)
        except ModelError as error:
            assert "model." in str(error)
        else:
            card, logits = found.description, found.logits([PIXELS[0]])
            assert np.isfinite(probabilities(logits, card.temperature)).all()
            assert card.frozen.decision.call(logits)[0] in range(len(card.classes))
            assert np.isfinite(card.frozen.decision.certainty(logits)).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": ["benign", "benign", "normal"]}, "'benign', 'benign', 'normal'.*each name once"),
        ({"ordered": "very"}, "ordered = 'very': Input should be a valid boolean"),
        ({"decision": "Argmax"}, "decision = 'Argmax': Input should be .*'argmax', 'sensitivity' or 'costs'"),
        ({"decision": "costs"}, "decision 'costs': .* those of 'argmax'"),
        ({"threshold_of": "cyst", "threshold": 0.5}, "'cyst'.*: expected two classes or more"),
        ({"threshold_of": "normal"}, "threshold_of 'normal': expected a threshold of that class"),
        (
            {"threshold": 0.5},
            "threshold 0.5 is of None: expected the positive class, or of more than two any",
        ),
        ({"threshold": 1.5, "threshold_of": "normal"}, "threshold = 1.5: .* less than or equal to 1"),
        ({"costs": [[0, 1], [1, 0]]}, r"costs \(\(0.0, 1.0\).*a row and a column for each of 3 classes"),
        ({"costs": [[0, 1, 1], [1, -2, 1], [1, 1, 0]]}, r"costs\.1\.1 = -2: .* greater than or equal to 0"),
        ({"costs": COSTS, "threshold": 0.5, "threshold_of": "normal"}, "costs beside the threshold 0.5"),
        ({"temperature": 0.0}, r"temperature = 0\.0: .* greater than or equal to 0\.001"),
    ],
)
def test_rules_of_a_description_that_cannot_be_are_refused_by_file_value_and_expectation(
    tmp_path: Path, of_three: Path, changes: dict[str, Any], said: str
) -> None:
    values = json.loads((of_three / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(values | changes))
    with pytest.raises(ModelError, match=rf"model\.json: not a description of a model: .*{said}"):
        load_description(tmp_path)


def test_a_threshold_of_two_classes_is_of_the_positive_one(tmp_path: Path, model: Path) -> None:
    values = json.loads((model / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(values | {"threshold_of": "benign"}))
    with pytest.raises(ModelError, match=r"threshold 0\.5 is of benign: expected the positive class"):
        load_description(tmp_path)


@fuzzed
@given(st.data())
def test_model_files_of_any_bytes_are_a_model_or_a_model_error(
    tmp_path: Path, model: Path, data: st.DataObject
) -> None:
    for name in ("model.json", "model.safetensors"):
        whole = (model / name).read_bytes()
        (tmp_path / name).write_bytes(data.draw(st.just(whole) | damaged(whole) | st.binary(max_size=40)))
    try:
        load_model(tmp_path)
    except ModelError as error:
        assert "model." in str(error)


def test_weights_of_another_network_are_refused(tmp_path: Path, model: Path) -> None:
    (tmp_path / "model.json").write_bytes((model / "model.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(save({"stem.0.weight": torch.zeros(2, 3, 3, 3)}))
    assert load_description(tmp_path).image_size == 16
    with pytest.raises(ModelError, match="not the weights"):
        load_model(tmp_path)
