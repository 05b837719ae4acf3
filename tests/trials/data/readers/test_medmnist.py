"""MedMNIST's files, and files of their form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from trials.cli import main
from trials.data.checks import verify
from trials.data.load import load, load_data
from trials.data.readers.medmnist import CLASSES, classes_elsewhere
from trials.errors import DataError, SettingsError
from trials.settings.load import load_settings

PARTS = ("train", "val", "test")


def write_npz(path: Path, labels: Sequence[int], side: int = 28, **changed: np.ndarray) -> Path:
    """Random images; each part has all of `labels`."""
    images = np.random.default_rng(0).integers(0, 256, (3 * len(labels), side, side), dtype=np.uint8)
    arrays = {f"{part}_labels": np.array(labels)[:, None] for part in PARTS}
    arrays |= {f"{part}_images": images[i :: len(PARTS)] for i, part in enumerate(PARTS)}
    np.savez(path, **(arrays | changed))
    return path


def test_breastmnist_zero_is_malignant_and_its_split_is_not_kept(tmp_path: Path) -> None:
    data = load(write_npz(tmp_path / "breastmnist_28.npz", [0, 1, 1]))
    assert data.classes == ("benign-or-normal", "malignant") and data.positive == "malignant"
    assert data.labels.tolist() == [1, 0, 0] * 3
    assert data.files[3] == "breastmnist_28.npz#3"
    assert data.splits is None and "is not kept" in data.notes[0]


ORGANS = [
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver"),
    *("lung-left", "lung-right", "pancreas", "spleen"),
]
NAMES = {  # by label number, as `medmnist.INFO` has them, but for BreastMNIST's second
    "breastmnist": ["malignant", "benign-or-normal"],
    "pathmnist": [
        *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa"),
        *("cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
    ],
    "dermamnist": [
        *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma"),
        *(
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
    ],
    "octmnist": ["choroidal neovascularization", "diabetic macular edema", "drusen", "normal"],
    "pneumoniamnist": ["normal", "pneumonia"],
    "retinamnist": ["0", "1", "2", "3", "4"],
    "bloodmnist": [
        *("basophil", "eosinophil", "erythroblast"),
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
        *("lymphocyte", "monocyte", "neutrophil", "platelet"),
    ],
    "tissuemnist": [
        *("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells"),
        *("Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments"),
        "Thick Ascending Limb",
    ],
    **{name: ORGANS for name in ("organamnist", "organcmnist", "organsmnist")},
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("ending", "side"), [("", 28), ("_64", 64), ("_128", 128), ("_224", 224), (" (1)", 28)]
)
def test_medmnist_sets_have_their_names_and_split(name: str, ending: str, side: int, tmp_path: Path) -> None:
    names = NAMES[name]
    path = write_npz(tmp_path / f"{name}{ending}.npz", list(range(len(names))), side)
    data = load(path, positive=names[0])
    assert [data.classes[label] for label in data.labels] == names * 3
    assert data.files[-1] == f"{path.name}#{3 * len(names) - 1}" and data.images[0].shape == (side, side)
    parts = tuple(part for part in ("training", "validation", "test") for _ in names)
    assert data.splits == (None if name == "breastmnist" else parts)
    assert verify(path, positive=names[-1]).ok or name == "breastmnist"


def test_the_table_has_all_2d_sets_with_one_class_an_image() -> None:
    assert {name for name in CLASSES if "_" not in name} == set(NAMES)
    assert all(len(set(names)) == len(names) for names in CLASSES.values())


def test_colour_images_and_a_last_axis_of_one_are_read(tmp_path: Path) -> None:
    for shape, expected in (((2, 9, 8, 3), (9, 8, 3)), ((2, 9, 8, 1), (9, 8))):
        random = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
        images = {f"{part}_images": random[i] for i, part in enumerate(PARTS)}
        data = load(write_npz(tmp_path / "pneumoniamnist.npz", [0, 1], **images), positive="pneumonia")
        assert {image.shape for image in data.images} == {expected}


def test_other_files_need_their_classes_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_npz(tmp_path / "mine.npz", [0, 1, 1])
    with pytest.raises(DataError, match=r"numbers 0 to 1, not names.*--set data\.classes=NAME0,NAME1"):
        load(path)
    settings = load_settings("quick", {"data.classes": "normal, ill", "data.positive": "ill"})
    data = load_data(path, settings)
    assert data.classes == ("ill", "normal") and data.labels.tolist() == [1, 0, 0] * 3
    assert main(["verify", str(path), "--positive", "ill", "--set", "data.classes=normal,ill"]) == 0
    with pytest.raises(SystemExit):
        main(["verify", str(path), "--positive", "ill", "--set", 'data.classes=["normal"]'])
    assert "data.classes = ['normal']: expected two names or more" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["normal", ["a", "a"], ["a", ""], [], 3])
def test_at_least_two_classes_are_named(value: object) -> None:
    with pytest.raises(SettingsError, match=r"data\.classes.*two names or more"):
        load_settings("cpu", {"data.classes": value})


def test_numbers_can_be_names() -> None:
    assert load_settings("cpu", {"data.classes": [0, 1, 2]}).data.classes == ("0", "1", "2")


def test_classes_of_anything_but_npz_are_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,label\n")
    with pytest.raises(DataError, match=r"names the label numbers of an \.npz, and this is none"):
        load(tmp_path, classes=("normal", "ill"))


def test_other_data_use_medmnists_names_first() -> None:
    names = ("normal", "ill")
    assert classes_elsewhere(Path("mine.npz"), names) == names
    assert classes_elsewhere(Path("PneumoniaMNIST_64.npz"), names) is None
    assert classes_elsewhere(Path("folder"), names) is None


def test_more_labels_than_names_are_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "pneumoniamnist.npz", [0, 1, 2])
    with pytest.raises(DataError, match="labels 0 to 2, but 2 classes are named: normal, pneumonia"):
        load(path, positive="pneumonia")


def test_multi_label_files_and_volumes_are_refused_with_the_reason(tmp_path: Path) -> None:
    findings = {f"{part}_labels": np.zeros((2, 14), np.uint8) for part in PARTS}
    with pytest.raises(
        DataError, match=r"several for each image \(multi-label, as ChestMNIST.*Save one finding alone"
    ):
        load(write_npz(tmp_path / "chestmnist.npz", [0, 1], **findings))
    volumes = {f"{part}_images": np.zeros((2, 28, 28, 28), np.uint8) for part in PARTS}
    with pytest.raises(DataError, match=r"volumes .* cannot be read"):
        load(write_npz(tmp_path / "organmnist3d.npz", [0, 1], **volumes))


def test_files_without_images_are_refused(tmp_path: Path) -> None:
    empty = {
        f"{part}_{what}": np.zeros((0, 9, 9)[: 3 if what == "images" else 1], np.uint8)
        for part in PARTS
        for what in ("images", "labels")
    }
    with pytest.raises(DataError, match="holds no image"):
        load(write_npz(tmp_path / "octmnist.npz", [0], **empty))


def test_npz_files_are_never_unpickled(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "breastmnist.npz", [0, 1, 1], test_images=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="allow_pickle"):
        load(path)
