"""Maps show what the decision depends on, and depend on what was learned."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from search_space import Architecture
from tests.helpers.models import CLASSES, RULES, pictures, save_untrained
from trials.cli import main
from trials.data.files.decoding import decode
from trials.inference.attributions import grad_cam, last_map, occlusion
from trials.inference.explain import explain, run_explain
from trials.inference.map_pictures import overlay
from trials.inference.predict import run_predict
from trials.models.inference import InferenceModel
from trials.models.model_file import load_model
from trials.models.network import NetworkDescription, TrainedModel
from trials.report.report import run_report


def description(kind: str = "cells", side: int = 32, **changes: object) -> NetworkDescription:
    network: dict[str, object] = {"kind": kind}
    if kind == "cells":
        network |= {"architecture": Architecture.random(3).to_sample(), "layout": "enas3", "filters": 4}
    return NetworkDescription.model_validate(
        {"network": network, "channels": 3, "classes": ("benign", "malignant"), "positive": "malignant"}
        | {"image_size": side, "fit": "stretch", "mean": (0.4,), "std": (0.2,), "threshold": 0.5}
        | changes
    )


class BrightCorner(nn.Module):
    """Calls images malignant that are bright in the upper left quarter, so the right map is known."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.map.weight, 1 / 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.map(images)
        side = found.shape[-1] // 2
        score = found[..., :side, :side].mean((1, 2, 3))
        return torch.stack([-score, score], 1)


@pytest.fixture
def bright_corner() -> TrainedModel:
    return TrainedModel(BrightCorner().eval(), description())


def test_both_maps_find_what_the_decision_depends_on(bright_corner: TrainedModel) -> None:
    malignant = torch.tensor([1])
    image = torch.full((1, 3, 32, 32), 102, dtype=torch.uint8)  # the mean: covering it changes nothing
    image[..., 4:12, 4:12] = 255  # bright where it counts, and as bright where it does not
    image[..., 20:28, 20:28] = 255
    covered = occlusion(bright_corner, image, malignant)[0]
    assert covered[4:12, 4:12].min() > 0 and np.abs(covered[20:, 20:]).max() < 1e-6
    cam = grad_cam(bright_corner, image, malignant)[0]
    assert cam[6, 6] > 0 and abs(cam[0, 31]) < 1e-6
    assert (
        occlusion(bright_corner, 204 - image.clamp(max=204), malignant)[0][4:12, 4:12].max() < 0
    )  # dark speaks against


def test_a_mirroring_models_maps_mirror_with_the_image() -> None:
    torch.manual_seed(0)
    card = description(side=36, mirror=True, per_image=True)  # a side that the squares fit evenly
    model = TrainedModel(card.build().eval(), card)
    image = torch.randint(0, 256, (1, 3, 36, 36), dtype=torch.uint8)
    for method in (grad_cam, occlusion):
        found, mirrored = (method(model, one, torch.tensor([1])) for one in (image, image.flip(-1)))
        assert np.ptp(found) > 0
        np.testing.assert_allclose(found, mirrored[..., ::-1], atol=1e-4 * np.abs(found).max())


@pytest.mark.parametrize(
    ("kind", "side", "layer"),
    [("cells", 32, "cells.2"), ("cnn3", 64, "11"), ("alexnet", 131, "features"), ("resnet18", 64, "layer4")],
)
def test_the_map_is_of_the_last_cell_or_what_comes_last_elsewhere(kind: str, side: int, layer: str) -> None:
    torch.manual_seed(0)
    card = description(kind, side)
    model = TrainedModel(card.build().eval(), card)
    example = torch.zeros(1, 3, side, side, dtype=torch.uint8)
    assert last_map(model.network, InferenceModel(model), example) is model.network.get_submodule(layer)
    images = [np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)]
    (one,) = explain(model, images, ["grad_cam"])
    assert one.maps["grad_cam"].shape == (side, side) and np.ptp(one.maps["grad_cam"]) > 0


def test_random_weights_change_the_map_and_its_sanity_shows_it(bright_corner: TrainedModel) -> None:
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (32, 32), dtype=np.uint8) for _ in range(4)]
    for one in explain(bright_corner, images):
        assert all(abs(correlation) < 0.95 for correlation in one.sanity.values()), one.sanity
    # the network that the check compares with: nothing is learned, and the number says so
    torch.manual_seed(0)
    unlearned = TrainedModel(bright_corner.description.build().eval(), bright_corner.description)
    for one in explain(unlearned, images):
        assert all(correlation == pytest.approx(1) for correlation in one.sanity.values())


def test_the_drawing_is_red_for_and_blue_against_and_leaves_the_rest(bright_corner: TrainedModel) -> None:
    pixels = np.full((32, 32), 102, dtype=np.uint8)
    pixels[4:12, 4:8], pixels[4:12, 8:12] = 255, 0
    (one,) = explain(bright_corner, [pixels])
    drawn = overlay(one.seen, one.maps["occlusion"]).astype(int)
    assert drawn[8, 4, 0] > drawn[8, 4, 2] and drawn[8, 11, 2] > drawn[8, 11, 0]
    assert (drawn[28, 28] == 102).all() and (one.seen == pixels).all()


def test_command_writes_a_picture_of_each_image_and_overwrites_nothing(
    finished: tuple[Path, Path], lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "few").mkdir()
    images = [
        Path(shutil.copy(one, tmp_path / "few" / one.name)) for one in sorted(lesions.glob("*.png"))[:2]
    ]
    places = [str(tmp_path / "few"), str(images[1])]  # each image once
    arguments = ["explain", str(finished[0]), *places, "--out", str(tmp_path / "out")]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in told["explanations"]] == list(map(str, images))
    for row in told["explanations"]:
        assert Image.open(tmp_path / "out" / row["picture"]).width > 300
        assert set(row["sanity"]) == {"grad_cam", "occlusion"}
    assert json.loads((tmp_path / "out" / "maps.json").read_text())["explanations"] == told["explanations"]
    assert main(arguments) == 1
    assert "not an empty folder" in capsys.readouterr().err


def test_a_file_that_is_no_image_leaves_nothing(finished: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="cannot be read as an image"):
        run_explain(finished[0], [tmp_path / "a.png"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_report_shows_where_the_network_looked_if_its_weights_are_there(
    finished: tuple[Path, Path], lesions: Path, tmp_path: Path
) -> None:
    run_report(finished, tmp_path / "with", data=lesions)
    page = (tmp_path / "with" / "report.html").read_text()
    assert page.count('alt="Grad-CAM"') >= 6 and "No Grad-CAM maps" not in page
    published = [tmp_path / "published" / folder.name for folder in finished]
    for folder, copy in zip(finished, published, strict=True):
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("model*", ".lock"))
    run_report(published, tmp_path / "without", data=lesions)
    page = (tmp_path / "without" / "report.html").read_text()
    assert 'Grad-CAM"' not in page
    assert "No Grad-CAM maps: no weights lie beside these runs" in page


def test_maps_of_more_classes_speak_for_the_called_one_unless_told(tmp_path: Path) -> None:
    folder = save_untrained(tmp_path / "model", **RULES["sensitivity"])
    model, files = load_model(folder), pictures(tmp_path, 7)[4:]
    images = [decode(file) for file in files]
    called = model.description.frozen.decision.call(model.logits(images))
    assert len(set(called.tolist())) > 1
    told = run_explain(folder, files, tmp_path / "called")
    names = [CLASSES[index] for index in called]
    assert [row["class"] for row in told["explanations"]] == names
    assert [row["called"] for row in told["explanations"]] == names
    for one, image, name in zip(explain(model, images), images, names, strict=True):
        (alone,) = explain(model, [image], class_name=name)
        assert one.speaks_for == alone.speaks_for == name
        for method, found in one.maps.items():
            np.testing.assert_allclose(found, alone.maps[method], atol=1e-4 * np.abs(found).max())
    told = run_explain(folder, files[:1], tmp_path / "normal", "normal")
    assert json.loads((tmp_path / "normal" / "maps.json").read_text())["explanations"][0]["class"] == "normal"
    share = run_predict(folder, files[:1])["predictions"][0]["calibrated:normal"]
    assert told["explanations"][0]["calibrated"] == pytest.approx(share, abs=1e-6)


def test_of_two_classes_the_other_map_is_the_opposite_one(
    finished: tuple[Path, Path], lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(min(lesions.glob("*.png")))
    (one, other) = (
        explain(load_model(finished[0]), [decode(Path(image))], class_name=name)[0]
        for name in ("malignant", "benign")
    )
    for method, found in one.maps.items():
        np.testing.assert_allclose(found, -other.maps[method], atol=1e-4 * np.abs(found).max())
    arguments = ["explain", str(finished[0]), image, "--out", str(tmp_path / "out")]
    assert main([*arguments, "--class", "benign", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["explanations"]
    probability = run_predict(finished[0], image)["predictions"][0]["probability"]
    assert row["class"] == "benign" and row["probability"] == pytest.approx(1 - probability, abs=1e-6)


def test_a_class_that_the_model_does_not_know_is_refused_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, (file, *_) = save_untrained(tmp_path / "model"), pictures(tmp_path)
    arguments = ["explain", str(folder), str(file), "--out", str(tmp_path / "out"), "--class", "malign"]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "no class is named 'malign', only benign, malignant, normal; did you mean 'malignant'?" in said
    assert str(folder) in said and not (tmp_path / "out").exists()
