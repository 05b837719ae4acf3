"""The configuration: what the papers say, what a user may change, what is refused."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from trials.errors import SettingsError
from trials.settings.load import (
    load_settings,
    parse_assignment,
    profiles,
    read_overrides,
    with_changes,
    with_defaults,
    without,
)
from trials.settings.schema import KEYS, require_one_training_of_cells


def test_paper_profile_is_the_paper_on_the_defaults_of_enas() -> None:
    settings = load_settings("paper")
    assert (settings.data.image_size, settings.data.expand, settings.data.augmentation) == (100, True, "none")
    assert settings.data.balanced_draw == 262
    assert all(
        load_settings(profile).data.balanced_draw is None for profile in profiles() if profile != "paper"
    )
    search, retrain = settings.search, settings.retrain
    assert (search.batch_size, search.epochs, search.filters, search.layout) == (8, 150, 20, "enas8")
    assert (retrain.batch_size, retrain.epochs, retrain.filters) == (8, 100, 36)
    assert (search.weight_decay, retrain.weight_decay) == (2 * 1e-4, 2 * 2e-4)  # lambda * sum of squares
    assert (search.learning_rate, search.learning_rate_min) == (0.05, 0.0005)
    assert (retrain.learning_rate, retrain.learning_rate_min) == (0.05, 0.0001)
    assert (search.dropout, retrain.dropout, retrain.drop_path) == (0.1, 0.2, 0.4)
    assert search.auxiliary and retrain.auxiliary
    assert (search.reward, search.reward_images, search.reward_dropout) == ("accuracy", None, True)
    assert (search.reward_shared, search.baseline) == (False, "moving_average")
    assert {(part.schedule, part.t0, part.t_mul) for part in (search, retrain)} == {("restarts", 10, 2)}


@pytest.mark.parametrize("profile", profiles())
def test_every_profile_is_valid(profile: str) -> None:
    assert load_settings(profile).profile == profile


def test_profiles_change_known_settings_to_values_of_the_right_kind() -> None:
    for profile, values in profiles().items():
        settings = load_settings(profile)
        for key, value in values.items():
            section, name = key.split(".")
            assert getattr(getattr(settings, section), name) == value, f"{profile}: {key}"


def test_every_setting_says_what_it_is() -> None:
    assert all(KEYS.values())


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("retrain.epoch", "retrain.epochs"),
        ("retain.filters", "retrain.filters"),
        ("fit", "data.fit"),
        ("search.controler_updates", "search.controller_updates"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_known_one(key: str, nearest: str) -> None:
    with pytest.raises(SettingsError, match=f"{key}.*nearest: {nearest}"):
        load_settings("cpu", {key: 1})


def test_unknown_profile_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(SettingsError, match="nearest: paper"):
        load_settings("papers")


@pytest.mark.parametrize(
    ("key", "value"),
    [("data.fit", "zoom"), ("retrain.epochs", 0), ("data.channels", 2), ("search.filters", "many")],
)
def test_impossible_value_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{key} = {value!r}"):
        load_settings("cpu", {key: value})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"search.most_parameters": 9, "search.most_milliseconds": 1},
            "^search.most_parameters and search.most_milliseconds: a search keeps one limit",
        ),
        ({"search.limit_layout": "enas2"}, "search.limit_layout = 'enas2'"),
        ({"search.reward": "auc"}, "^search.reward = auc: a batch of 16 images may lack a class"),
        (
            {"search.baseline": "leave_one_out", "search.controller_samples": 1},
            "^search.baseline = leave_one_out is a mean of an update's other samples",
        ),
        (
            {"search.epochs": 60},
            "^search.warmup_epochs = 60 leaves none of 60 epochs, by search.epochs and search.max_steps, for",
        ),
        ({"search.max_steps": 50}, "^search.warmup_epochs = 60 leaves none of 50 epochs"),
        ({"search.population": 20}, "^search.tournament = 25 is above search.population = 20: lower it"),
        (
            {"search.strategy": "evolution", "search.epochs": 61},
            "^search.population = 100: no member has a child within 80 rewards, by search.epochs",
        ),
        (
            {"data.augmentation": "poses", "data.augmentation_strength": 0.5},
            "^data.augmentation_strength = 0.5 changes ultrasound and histology alone, and data.augmentation "
            "is poses",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings("cpu", changes)


@pytest.mark.parametrize("profile", ["cpu", "patches_pretrained"])
def test_a_profiles_strength_is_that_of_its_own_augmentation(profile: str) -> None:
    assert load_settings(profile).data.augmentation_strength != 1
    assert load_settings(profile, {"data": {"augmentation": "poses"}}).data.augmentation_strength == 1


def test_dotted_and_nested_overrides_mean_the_same() -> None:
    dotted = load_settings("cpu", {"retrain.epochs": 7, "data.fit": "pad"})
    assert dotted == load_settings("cpu", {"retrain": {"epochs": 7}, "data": {"fit": "pad"}})
    assert dotted.retrain.epochs == 7


def test_settings_do_not_change_once_read() -> None:
    settings = load_settings("cpu")
    with pytest.raises(ValidationError):
        settings.retrain.epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("retrain.epochs=3", ("retrain.epochs", 3)),
        ("data.expand=false", ("data.expand", False)),
        ("search.max_steps=null", ("search.max_steps", None)),
        ("data.fit=pad", ("data.fit", "pad")),
        ("data.positive=a=b", ("data.positive", "a=b")),
    ],
)
def test_assignments_read_json_values_and_plain_words(text: str, expected: tuple[str, object]) -> None:
    assert parse_assignment(text) == expected


def test_assignment_without_value_is_refused() -> None:
    with pytest.raises(SettingsError, match="key=value"):
        parse_assignment("retrain.epochs")


def test_json_and_yaml_files_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"retrain.epochs": 4}))
    (tmp_path / "b.yml").write_text("retrain:\n  epochs: 4\n")
    first, second = (load_settings("cpu", read_overrides(tmp_path / name)) for name in ("a.json", "b.yml"))
    assert first == second


@pytest.mark.parametrize("content", ["- 1", "a: [", "\xff"])
def test_file_without_settings_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.yml").write_text(content, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"bad\.yml"):
        read_overrides(tmp_path / "bad.yml")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.json", '{"retrain.epochs": 2, "retrain.epochs": 3}'),
        ("s.yml", "retrain:\n  epochs: 2\n  epochs: 3\n"),
        ("s.yml", "retrain.epochs: 2\nretrain:\n  epochs: 3\n"),
    ],
)
def test_a_setting_that_is_there_twice_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=r"epochs'? is there twice"):
        read_overrides(tmp_path / name)


def test_settings_know_what_was_given_over_their_profile() -> None:
    given = load_settings("cpu", {"retrain": {"epochs": 7}, "data.classes": "a,b"})
    assert given.given == {"retrain.epochs": 7, "data.classes": ("a", "b")}
    assert load_settings("cpu").given == {} and "given" not in str(given.model_dump())
    assert with_changes(given, {"retrain.epochs": 8}).retrain.epochs == 8
    beneath = with_defaults(given, {"retrain.epochs": 9, "retrain.filters": 9}).retrain
    assert (beneath.epochs, beneath.filters) == (7, 9)
    without_epochs = without(given, ["retrain.epochs"])
    assert without_epochs.retrain.epochs == load_settings("cpu").retrain.epochs
    assert without_epochs.data.classes == ("a", "b")


def test_a_profiles_strength_of_augmentation_stays_its_own_through_changes() -> None:
    given = load_settings("cpu", {"data.augmentation": "poses"})
    assert with_changes(given, {"retrain.epochs": 3}).data.augmentation_strength == 1.0
    with pytest.raises(SettingsError, match=r"retrain\.epoch.*nearest: retrain\.epochs"):
        with_changes(given, {"retrain.epoch": 3})


def test_a_value_within_a_list_is_refused_by_the_settings_name() -> None:
    with pytest.raises(SettingsError, match=r"^data\.accept = 'nothing': .*'left_out'"):
        load_settings("quick", {"data.accept": ["labels", "nothing"]})


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"protocol.cross_fit": 3}, "cross_fit = 3: retrain trains once"),
        ({"search.space": "boosted"}, "retrain is of cells"),
    ],
)
def test_one_training_of_cells_refuses_settings_of_more(changes: dict[str, object], match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        require_one_training_of_cells(load_settings("cpu_pretrained", changes), "retrain")
