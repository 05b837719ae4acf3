"""Classical models on disk: arrays that say in NumPy what scikit-learn's classifiers say."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.special import logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.helpers.images import write_table
from tests.helpers.runs import train_on
from trials.data.load import load
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.data.task import Task
from trials.errors import DataError, ModelError
from trials.evaluation.decisions import log_odds_of
from trials.inference.predict import run_predict
from trials.inference.views import VIEWS
from trials.methods.classical import MOST_BYTES, ClassicalMethod, Seen
from trials.methods.learners import Fitted, LogisticLearner, Samples, SVMLearner
from trials.models.classical import ClassicalDescription, ClassicalModel, save_classical
from trials.models.classifiers import SupportVectors
from trials.models.features import FEATURES
from trials.models.model_file import load_model
from trials.pipeline.evaluate import run_evaluate
from trials.runs.finished import read_run
from trials.runs.folder import RunFolder
from trials.runs.predictions import read_predictions
from trials.runs.reporter import Reporter
from trials.settings.load import load_settings

RANDOM = np.random.default_rng(0)
NEAR_OPTIMUM = 5e-3  # libsvm stops within 1e-3 of it, where depends on the rounding of the kernel
IMAGES = [RANDOM.integers(0, 256, (40 + i, 50), dtype=np.uint8) for i in range(3)]


def patients(classes: int, count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two images each of patients: features, truth, groups."""
    groups = np.repeat(np.arange(count // 2), 2)
    labels = groups % classes
    features = RANDOM.normal(size=(count, 5)) + labels[:, None]
    return features, labels == 1 if classes == 2 else labels, groups.astype(str)


def scaled(machine: SVC, first: slice) -> object:
    parts = [("box", StandardScaler(), first)]
    return make_pipeline(ColumnTransformer(parts, remainder="passthrough"), machine)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_an_svm_says_what_scikit_learns_says(classes: int) -> None:
    features, truth, groups = patients(classes)
    first = slice(3)
    fitted = SVMLearner(cs=(1.0,))(Samples(features, truth, groups, first), 0)
    splits = list(StratifiedGroupKFold(3, shuffle=True, random_state=0).split(features, truth, groups))
    theirs = CalibratedClassifierCV(scaled(SVC(C=1), first), cv=splits, ensemble=False).fit(features, truth)
    asked = RANDOM.normal(size=(40, 5)) + 1
    shares = theirs.predict_proba(asked)
    expected = logit(shares[:, 1]) if classes == 2 else np.log(shares)
    np.testing.assert_allclose(fitted.classifier.scores(asked), expected, atol=NEAR_OPTIMUM, rtol=0)


@pytest.mark.parametrize("classes", [2, 3])
def test_an_uncalibrated_svm_and_a_logistic_regression_do_so_too(classes: int) -> None:
    features, truth, _ = patients(classes)
    one_each = np.where(truth == truth.min(), "all", "others")  # too few groups to calibrate
    few = SVMLearner()(Samples(features, truth, one_each), 0)
    assert not few.calibrated
    theirs = SVC(C=1).fit(features, truth).decision_function(features)
    np.testing.assert_allclose(few.classifier.scores(features), theirs, atol=NEAR_OPTIMUM, rtol=0)
    linear = LogisticLearner()(Samples(features, truth, one_each), 0)
    theirs = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, truth)
    np.testing.assert_allclose(
        linear.classifier.scores(features), theirs.decision_function(features), atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_as_many_as_the_table_says(name: str) -> None:
    make, count = FEATURES[name]
    assert make([*IMAGES, np.stack([IMAGES[0]] * 3, 2)]).shape == (4, count)


def model_of(classes: int, *, mirror: bool = False) -> ClassicalModel:
    """An SVM of gradients, fitted to noise."""
    features = np.concatenate([FEATURES["gradients"][0](IMAGES)] * 20) + RANDOM.normal(size=(60, 1))
    truth = np.arange(60) % classes if classes > 2 else np.arange(60) % 2 == 1
    fitted = SVMLearner()(Samples(features, truth, np.arange(60).astype(str), slice(features.shape[1])), 0)
    names = tuple("abcd"[:classes])
    two = {"positive": "b", "threshold": 0.5} if classes == 2 else {}
    card = ClassicalDescription.model_validate(
        {"classes": names, "classifier": "svm", "features": ["gradients"], "mirror": mirror, **two}
    )
    return ClassicalModel(fitted.classifier, card)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_loaded_model_says_the_same_with_vectors_of_half_the_size(classes: int, tmp_path: Path) -> None:
    model = model_of(classes)
    save_classical(tmp_path, model)
    loaded = load_model(tmp_path)
    assert loaded.description == model.description
    np.testing.assert_allclose(loaded.logits(IMAGES), model.logits(IMAGES), atol=1e-6, rtol=0)
    np.testing.assert_allclose(loaded.probabilities(IMAGES).sum(1), 1)
    assert load_file(tmp_path / "model.safetensors")["vectors"].dtype == np.float32


def test_vectors_of_earlier_files_keep_their_64_bits(tmp_path: Path) -> None:
    model = model_of(2)
    save_classical(tmp_path, model)
    arrays = load_file(tmp_path / "model.safetensors")
    assert isinstance(model.classifier, SupportVectors)
    save_file({**arrays, "vectors": model.classifier.vectors}, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path).logits(IMAGES), model.logits(IMAGES))


def test_a_mirroring_model_says_the_same_of_a_mirror_image() -> None:
    mirrored = [image[:, ::-1] for image in IMAGES]
    plain, both = model_of(2), model_of(2, mirror=True)
    assert np.abs(plain.logits(IMAGES) - plain.logits(mirrored)).max() > 1e-6
    np.testing.assert_allclose(both.logits(IMAGES), both.logits(mirrored), atol=1e-12)


def test_views_are_of_images_in_their_own_size() -> None:
    model = model_of(2)
    coloured = [np.stack([image] * 3, 2) for image in IMAGES]
    for images in (IMAGES, coloured):
        plain, *moved = (model.logits(images, view) for view in VIEWS)
        np.testing.assert_array_equal(plain, model.logits(images))
        assert all(np.abs(one - plain).max() > 1e-6 for one in moved)


def without(name: str) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda arrays: arrays.pop(name)


@pytest.mark.parametrize(
    "damage",
    [
        without("vectors"),
        without("mean"),
        lambda arrays: arrays.update(gamma=np.array([-1.0])),
        lambda arrays: arrays.update(bias=np.array([np.nan])),
        lambda arrays: arrays.update(mean=arrays["mean"][:3]),
        lambda arrays: arrays.update(vectors=arrays["vectors"][1:]),
        lambda arrays: arrays.update(vectors=arrays["vectors"][0]),
        lambda arrays: arrays.update(scale=np.zeros_like(arrays["scale"])),
        lambda arrays: arrays.update(more=np.zeros(3)),
        lambda arrays: arrays.update(mean=arrays["mean"].astype(np.float32)),
    ],
)
def test_arrays_of_another_classifier_are_refused(
    damage: Callable[[dict[str, np.ndarray]], object], tmp_path: Path
) -> None:
    save_classical(tmp_path, model_of(2))
    arrays = load_file(tmp_path / "model.safetensors")
    damage(arrays)
    save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"not the classifier that model\.json describes"):
        load_model(tmp_path)


# In runs ----------------------------------------------------------------------------------------------------


def train(data: Path, method: str, out: Path) -> Path:
    train_on(data, method, out=out, profile="quick", folds=2, fold=0)
    return out


@pytest.fixture(scope="module")
def boxed(lesions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(lesions, "geometry", tmp_path_factory.mktemp("boxed") / "run")


def test_predict_takes_the_box_as_covariates(boxed: Path, lesions: Path, tmp_path: Path) -> None:
    run, data = read_run(boxed), load(lesions)
    written = read_predictions(boxed / "predictions.csv", run.classes)
    files = [lesions / file for file in written.files]
    at = [data.files.index(file) for file in written.files]
    cells = [(files[n], data.table["width"][i], data.table["height"][i]) for n, i in enumerate(at)]
    write_table(tmp_path / "boxes.csv", ("file", "width", "height"), *cells)
    told = run_predict(boxed, files, covariates=tmp_path / "boxes.csv")
    assert told["predictions"] == run_predict(boxed, files)["predictions"]  # they are the images' own sizes
    assert [row["log_odds"] for row in told["predictions"]] == pytest.approx(
        log_odds_of(written.logits, 1).tolist(), abs=1e-9
    )


def test_an_external_test_reads_the_boxes_of_the_other_data(boxed: Path, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "other", count=12, side=48, seed=7)
    (found,) = run_evaluate([boxed], tmp_path / "out", tmp_path / "other")["external"]["methods"].values()
    assert 0 <= found["frozen"]["auc"] <= 1
    table = tmp_path / "other" / "manifest.csv"
    table.write_text(table.read_text().replace(",width,", ",wide,"))
    with pytest.raises(DataError, match="no column 'width'"):
        run_evaluate([boxed], tmp_path / "again", tmp_path / "other")


def test_cells_do_without_boxes_that_some_images_lack_and_say_so(lesions: Path, tmp_path: Path) -> None:
    make_phantoms(tmp_path / "data", count=40, side=40)
    whole = load_model(train(tmp_path / "data", "hog_cells", tmp_path / "whole")).description
    assert whole.covariates and whole.covariates.names == ("width", "height", "ratio")
    table = tmp_path / "data" / "manifest.csv"
    header, first, *rest = table.read_text().splitlines()
    at = header.split(",").index("width")
    cells = first.split(",")
    cells[at] = ""
    table.write_text("\n".join([header, ",".join(cells), *rest]) + "\n")
    partly = load_model(train(tmp_path / "data", "hog_cells", tmp_path / "partly")).description
    assert partly.covariates is None
    assert any("does without the box" in warning for warning in partly.warnings)


def test_more_images_than_a_fit_can_hold_are_refused_before_it(lesions: Path) -> None:
    class Large(LogisticLearner):
        def memory_bytes(self, images: int) -> int:
            return images * 10**9

    settings = load_settings("quick", {"classical.mirror": True})
    task = Task(Split.load(lesions, settings, folds=2, fold=0), settings)
    images = 2 * len(task.split.development)
    with pytest.raises(DataError, match=rf"{images} images to learn from, mirror images too: .* {images} GB"):
        ClassicalMethod(task, Seen(("statistics",)), Large())
    assert SVMLearner().memory_bytes(22_000) < MOST_BYTES < SVMLearner().memory_bytes(23_000)
    assert ClassicalMethod(task, Seen(("statistics",)), SVMLearner()).memory_bytes == 8 * images**2


def test_mirror_images_are_learned_from_in_their_group(lesions: Path, tmp_path: Path) -> None:
    given: list[Sequence[np.ndarray]] = []

    class Learner(LogisticLearner):
        def __call__(self, samples: Samples, seed: int) -> Fitted:
            given.append(samples[:3])
            return super().__call__(samples, seed)

    for mirror in (False, True):
        settings = load_settings("quick", {"classical.mirror": mirror})
        task = Task(Split.load(lesions, settings, folds=2, fold=0), settings)
        method = ClassicalMethod(task, Seen(("statistics",)), Learner())
        assert ("classical" in method.sections) == mirror
        with RunFolder(tmp_path / str(mirror), {}) as folder, Reporter(folder.path) as reporter:
            method.fit(folder, reporter)
        assert method.model.description.mirror == mirror
    (plain, truth, groups), (both, truths, both_groups) = given
    assert len(both) == 2 * len(plain)
    np.testing.assert_array_equal(both[: len(plain)], plain)
    assert (both[len(plain) :] != plain).any()
    assert (both_groups == np.tile(groups, 2)).all() and (truths == np.tile(truth, 2)).all()
