"""The command: exit status, what goes to which stream, and never a bare traceback."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from search_space import Architecture
from trials.cli import build_parser, main
from trials.commands.base import outline
from trials.data.phantoms import make_phantoms
from trials.data.split import Split
from trials.errors import in_words
from trials.methods.build import BUILDERS
from trials.methods.registry import METHODS
from trials.settings.schema import Settings

WITNESS = "0 0 1 0 0 0 1 0 0 1 1 1 0 1 1 1 2 2 1 4", "0 0 1 0 0 0 1 0 0 1 1 1 0 4 1 2 2 3 1 3"
TINY = ["--profile", "quick", "--set", "data.image_size=24", "--set", "retrain.epochs=1"]
TINY += ["--set", "retrain.filters=2"]


def retrain_arguments(lesions: Path, architecture: Path, out: Path, *more: str) -> list[str]:
    paths = ["--data", str(lesions), "--architecture", str(architecture), "--out", str(out)]
    return ["retrain", *paths, "--layout", "enas3", *TINY, *more]


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    cells = ([int(digit) for digit in cell.split()] for cell in WITNESS)
    (tmp_path / "witness.json").write_text(Architecture.from_fixed_arc(*cells).to_json())
    return tmp_path / "witness.json"


def test_json_is_alone_on_standard_output(
    lesions: Path, architecture_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = retrain_arguments(lesions, architecture_file, tmp_path / "out", "--folds", "2", "--fold", "0")
    assert main([*arguments, "--json"]) == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out) == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "epoch 1" in captured.err


def test_what_is_tried_untested_says_how_it_did_without_a_test_image(
    lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--data", str(lesions), "--fold", "0", "--method", "geometry", "--untested"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["test"] is None and metrics["validation"]["n"] > 0
    assert (tmp_path / "out" / "predictions.csv").read_text().count("\n") == 1  # its header
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert "None" not in capsys.readouterr().out  # a method without a network has no parameters
    with pytest.raises(SystemExit):
        main([*arguments, "--out", str(tmp_path / "other"), "--external", str(lesions)])
    assert "not allowed with" in capsys.readouterr().err


def test_an_external_test_says_where_its_answers_are(
    lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_phantoms(tmp_path / "elsewhere", 20, side=40, seed=9)
    arguments = ["train", "--data", str(lesions), "--fold", "0", "--method", "geometry"]
    out = tmp_path / "out"
    assert main([*arguments, "--external", str(tmp_path / "elsewhere"), "--out", str(out)]) == 0
    assert f"answers in {out / 'external_predictions.csv'}" in capsys.readouterr().out


def test_what_libraries_print_does_not_mix_with_json(
    lesions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def chatty(*_: Any, **__: Any) -> dict[str, int]:
        print("a library says hello")
        return {"done": 1}

    monkeypatch.setattr("trials.pipeline.train.run_retrain", chatty)
    assert main([*retrain_arguments(lesions, tmp_path, tmp_path), "--dry-run", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"done": 1}
    assert "hello" in captured.err


def test_a_candidate_of_several_classes_is_told_by_its_macro_auc(
    lesions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = {
        "candidate": {"place": 3},
        "proxies": {"synflow": 20.5},
        "classes": ["a", "b", "c"],
        "positive": None,
        "validation": {"auc_macro": 0.8},
    }
    monkeypatch.setattr("trials.pipeline.ranking.run_rank", lambda *_, **__: done)
    place = ["--data", str(lesions), "--out", str(tmp_path), "--profile", "quick"]
    assert main(["rank", "--index", "1", *place]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1:] == ["candidate.place = 3", "proxies.synflow = 20.5", "validation.auc_macro = 0.8"]


@pytest.mark.parametrize(("layout", "published"), [("enas17", 4_251_780), ("enas7", 2_342_484)])
def test_architecture_verb_gives_the_posters_parameter_counts(
    witness: Path, layout: str, published: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["architecture", str(witness), "--layout", layout, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"] == published
    assert [" ".join(map(str, told["fixed_arc"][kind])) for kind in ("normal", "reduce")] == list(WITNESS)
    assert all(len(told["loose_ends"][kind]) == 4 for kind in ("normal", "reduce"))
    assert told["macs"] > published


@pytest.mark.usefixtures("drawn")
def test_architecture_verb_draws(witness: Path, tmp_path: Path) -> None:
    assert main(["architecture", str(witness), "--draw", str(tmp_path / "cells.svg")]) == 0
    assert "<svg" in (tmp_path / "cells.svg").read_text()


def test_verify_says_yes_or_no(lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(lesions), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main(["verify", str(tmp_path / "nothing"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"]
    assert main(["verify", str(lesions), "--positive", "cyst"]) == 1
    assert "cyst" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "retrain.epoch=3"], "nearest: retrain.epochs"),
        (["--set", "retrain.epochs"], "key=value"),
        (["--set", "retrain.epochs=none"], "retrain.epochs = 'none'"),
        (["--profile", "paperr"], "invalid choice"),
        (["--folds", "5"], "--folds needs --fold"),
        (["--fold", "5"], "there are 5 folds"),
        (["--seed", "-1"], "a whole number from 0"),
        (["--layers", "5"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_ends_with_2(
    tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(retrain_arguments(tmp_path / "data", tmp_path, tmp_path / "out", *more))
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_command_without_verb_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 2
    assert "VERB" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert (left.value.code, capsys.readouterr().out) == (0, f"lesion-nas {version('lesion-nas')}\n")


def bad_input(name: str, tmp_path: Path, lesions: Path, architecture: Path) -> list[str]:
    out = tmp_path / "out"
    (tmp_path / "other.json").write_text('{"normal/op_2_0": "conv_7x7"}')
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    return {
        "no data": retrain_arguments(tmp_path / "nowhere", architecture, out),
        "no architecture": retrain_arguments(lesions, tmp_path / "nowhere.json", out),
        "not this space's": retrain_arguments(lesions, tmp_path / "other.json", out),
        "unknown layout": retrain_arguments(lesions, architecture, out, "--layout", "enas2"),
        "too many folds": retrain_arguments(lesions, architecture, out, "--folds", "30", "--fold", "0"),
        "no such class": retrain_arguments(lesions, architecture, out, "--positive", "cyst"),
        "folder taken": retrain_arguments(lesions, architecture, tmp_path / "taken"),
        "folder is a file": retrain_arguments(lesions, architecture, tmp_path / "other.json"),
        "no model": ["predict", str(tmp_path), str(next(lesions.glob("*.png")))],
        "no runs": ["evaluate", str(tmp_path), "--out", str(out)],
        "no such run": ["evaluate", str(tmp_path / "nowhere"), "--out", str(out)],
        "nothing to prepare": ["prepare", str(lesions), str(out)],
    }[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no data", "nowhere"),
        ("no architecture", "nowhere.json"),
        ("not this space's", "other.json"),
        ("unknown layout", "enas2"),
        ("too many folds", "fewer folds"),
        ("no such class", "cyst"),
        ("folder taken", "name a new folder"),
        ("folder is a file", "found a file"),
        ("no model", "model.json"),
        ("no runs", "finished run"),
        ("no such run", "check the name"),
        ("nothing to prepare", "prepar"),
    ],
)
def test_bad_input_ends_with_1_and_one_clear_message(
    tmp_path: Path,
    lesions: Path,
    architecture_file: Path,
    name: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*bad_input(name, tmp_path, lesions, architecture_file), "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "lesion-nas: error: " in captured.err and message in captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.positive=malignnt", "no class is named 'malignnt'"),
        ("data.ordered=benign,cyst", "data.ordered names benign, cyst, but the classes are 'benign'"),
        ("data.covariates=age", "no column 'age' for data.covariates"),
        ("protocol.sensitivity=cyst=0.9", "protocol names the class 'cyst'"),
    ],
)
def test_settings_that_name_what_the_images_lack_are_refused_before_an_experiment(
    lesions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started: list[Any] = []
    monkeypatch.setattr("trials.nni_host.launch.launch", lambda *_, **named: started.append(named) or [])
    arguments = ["launch", "pipeline", "--data", str(lesions), "--out", str(tmp_path / "out")]
    with suppress(SystemExit):  # of wrong settings, as of any wrong usage
        assert main([*arguments, "--set", setting]) == 1
    assert message in capsys.readouterr().err and not started
    main([*arguments, "--set", "data.positive=benign", "--set", "data.covariates=width"])
    assert started


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (KeyboardInterrupt(), "the same command goes on"),
        (SystemExit(1), "the same command goes on"),
        (
            OSError(28, "No space left on device", "out/last.ckpt"),
            "out/last.ckpt: the disk is full; free some",
        ),
        (OSError(28, "No space left on device", "out/last.ckpt"), "the same command goes on from there"),
        (TypeError("a defect"), "TypeError: a defect"),
    ],
)
def test_interruption_and_defect_end_with_1_and_a_message(
    lesions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr("trials.pipeline.train.run_retrain", fail)
    arguments = retrain_arguments(lesions, tmp_path, tmp_path / "out")
    assert main(arguments) == 1
    captured = capsys.readouterr().err
    assert message in captured and "Traceback" not in captured
    assert main([*arguments, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_settings_file_set_and_named_options_override_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def split(path: Path, settings: Settings, **place: Any) -> None:
        given.update(place, settings=settings)

    monkeypatch.setattr(Split, "load", split)
    monkeypatch.setattr(
        "trials.pipeline.train.run_retrain", lambda *_, **options: given.update(options) or {}
    )
    (tmp_path / "mine.yml").write_text("retrain: {epochs: 9, batch_size: 9}\ndata: {positive: cyst}\n")
    more = ["--settings", str(tmp_path / "mine.yml"), "--set", "retrain.batch_size=4", "--dry-run"]
    assert (
        main(["retrain", "--data", "d", "--architecture", "a", "--layout", "enas7", "--out", "o", *more]) == 0
    )
    settings = given["settings"]
    assert (settings.profile, settings.retrain.epochs, settings.retrain.batch_size) == ("cpu", 9, 4)
    assert settings.data.positive == "cyst"
    assert (given["folds"], given["fold"], given["seed"], given["dry_run"]) == (5, None, 0, True)


def test_dry_run_lists_settings_data_and_cost(
    lesions: Path, architecture_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(retrain_arguments(lesions, architecture_file, tmp_path / "out", "--dry-run")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "settings.retrain.epochs = 1" in lines
    assert "data.images.malignant = 20" in lines
    assert any(line.startswith("estimate.seconds = ") for line in lines)
    assert not (tmp_path / "out").exists()


def test_lists_of_objects_are_counted_where_json_lists_them() -> None:
    assert outline({"data": {"left_out": [{"file": "a.png"}], "notes": []}}) == (
        "data.left_out = 1, listed with --json\ndata.notes = []"
    )


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = "import sys; from trials.cli import build_parser; build_parser(); print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


WRONG_NAMES = [
    ("train --data x --out y --method hogg", "no method 'hogg' (nearest: hog)"),
    ("train --data x --out y --method hog --profile papr", "invalid choice: 'papr'"),
    ("contend --data x --out y --contestant hog --set retrain.epoch=1", "nearest: retrain.epochs"),
    ("search --data x --out y --set search.epoch=1", "nearest: search.epochs"),
    ("retrain --data x --out y --architecture z --layout enas2", "unknown layout 'enas2'"),
    ("rank --data x --out y --index 0 --layout enas", "unknown layout 'enas'"),
    ("architecture z --layout 7", "unknown layout '7'"),
    ("launch pipelin.yml", "pipelin.yml: there is no such file"),
]
# Exits with the command's status, or with 99 where something heavy is there.
LIGHT = """
import sys
from trials.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
sys.exit(99 if {"torch", "nni", "sklearn", "pytorch_lightning"} & set(sys.modules) else status)
"""


@pytest.mark.parametrize(("arguments", "message"), WRONG_NAMES)
def test_wrong_names_are_refused_before_anything_heavy_is_imported(arguments: str, message: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments.split()], capture_output=True, text=True, timeout=200
    )
    assert ran.returncode in (1, 2) and message in ran.stderr


def test_every_method_has_cells_members_or_a_builder() -> None:
    others = {name for name, entry in METHODS.items() if not (entry.cells or entry.members or entry.joins)}
    assert BUILDERS.keys() == others
    assert all(not METHODS[name].members for entry in METHODS.values() for name in entry.members)


def test_a_reader_that_has_seen_enough_ends_it_quietly(architecture_file: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "trials.cli", "architecture", str(architecture_file)],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=200,
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (128 + signal.SIGPIPE, b"")


def test_what_the_terminal_cannot_show_is_escaped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "trials.pipeline.publish.run_publish", lambda *_: {"out": "\udcff", "runs": 1, "bytes": 0}
    )
    assert main(["publish", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "\\udcff: 1 runs, 0.0 MB\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            FileNotFoundError(2, "No such file or directory", "a.json"),
            "a.json: there is no such file or folder",
        ),
        (OSError(39, "Directory not empty", "out"), "out: is a folder that holds something; name another"),
        (IsADirectoryError(21, "Is a directory", "a.json"), "a.json: is a folder, expected a file"),
        (
            PermissionError(13, "Permission denied", "out"),
            "out: may not be used by you; change its permissions",
        ),
        (UnicodeEncodeError("utf-8", "a\udcff.png", 1, 2, "surrogates"), "'a\\udcff.png': not UTF-8; rename"),
        (ModuleNotFoundError("No module named 'skimage'", name="skimage"), "package skimage is missing"),
        (KeyError("method"), "please report it"),
    ],
)
def test_errors_of_others_name_the_place_and_a_way_out(error: Exception, said: str) -> None:
    assert said in in_words(error)
    assert "goes on" not in in_words(error) and "Errno" not in in_words(error)


def test_only_what_resumes_is_said_to_go_on() -> None:
    full = OSError(28, "No space left on device", "out")
    assert "goes on" in in_words(full, resumes=True) and "goes on" not in in_words(full, resumes=False)


@pytest.fixture
def damaged(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A run of a time before there were digests, some of whose files were changed."""
    shutil.copytree(finished[0], tmp_path / "damaged")
    state = json.loads((tmp_path / "damaged" / "run.json").read_text())
    state.pop("sha256")
    (tmp_path / "damaged" / "run.json").write_text(json.dumps(state))
    return tmp_path / "damaged"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics.json", b"{}", "metrics.json: no method"),
        ("predictions.csv", b"a,b\n1,2\n", "predictions.csv: no column "),
        ("predictions.csv", b"\xff\xfe\x00", "predictions.csv: not readable as CSV in UTF-8"),
        (
            "predictions.csv",
            b"file,label,group,fold,probability,log_odds\na,benign,1\n",
            "predictions.csv: rows of other",
        ),
        (
            "predictions.csv",
            b"file,label,group,fold,probability,log_odds\na,benign,1,0,x,0\n",
            "predictions.csv, line 2: probability = ",
        ),
        (
            "predictions.csv",
            b"file,label,group,fold,probability,log_odds\na,benign,1,0,nan,0\n",
            "predictions.csv, line 2: probability = ",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["evaluate", "report"])
def test_damaged_results_are_refused_by_name_and_with_a_way_out(
    damaged: Path, file: str, content: bytes, message: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (damaged / file).write_bytes(content)
    assert main([verb, str(damaged), "--out", str(damaged.parent / "out")]) == 1
    said = capsys.readouterr().err
    assert message in said and "repeat the run in a new folder" in said


@pytest.mark.parametrize("verb", ["verify", "train"])
def test_data_of_which_nothing_is_left_are_refused_by_name(
    lesions: Path, tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("benign", "malignant"):  # every image under both names
        shutil.copytree(lesions, tmp_path / "data" / label, ignore=shutil.ignore_patterns("*.csv", "*.txt"))
    run = ["--method", "hog", "--out", str(tmp_path / "out")] if verb == "train" else []
    assert main([verb, *(["--data"] if run else []), str(tmp_path / "data"), *run]) == 1
    said = "".join(capsys.readouterr())
    assert "no image of class benign is left" in said and str(tmp_path / "data") in said


def test_a_drawing_in_a_missing_folder_names_that_folder(
    architecture_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["architecture", str(architecture_file), "--draw", str(tmp_path / "gone" / "x.svg")]) == 1
    assert f"{tmp_path / 'gone'}: there is no such file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "verify d",
        "search --data d --out o",
        "retrain --data d --out o --architecture a --layout enas7",
        "train --data d --out o --method hog",
        "rank --data d --out o --index 1",
        "launch quickstart --data d",
        "evaluate r --data d --out o",
    ],
)
def test_every_verb_that_takes_data_takes_its_group_column(words: str) -> None:
    arguments = build_parser().parse_args(
        [*words.split(), "--group-column", "case", "--accept", "labels,groups"]
    )
    assert (arguments.group_column, arguments.accept) == ("case", ["labels", "groups"])
