"""Whole experiments under a real nnictl, with trials of a second, in a home of their own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from trials.cli import main
from trials.commands.launch_results import results
from trials.errors import ExperimentError, SettingsError
from trials.nni_host.experiment import Manager, check_home, end, free_port, no_proxy, started_for
from trials.nni_host.launch import find_config, launch, profile_of

TOY = Path(__file__).parent / "toy"


def start(config: Path, home: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trials.cli", "launch", str(config), "--out", str(home / "out"), *arguments],
        cwd=home,
        env={**os.environ, "HOME": str(home), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def own_addresses() -> list[str]:
    """This machine's IPv4 addresses, without loopback: asking one is asking as others do."""
    found = [one for addresses in psutil.net_if_addrs().values() for one in addresses]
    return [one.address for one in found if one.family == socket.AF_INET and one.address[:4] != "127."]


def answers(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return connection.recv(4) == b"HTTP"
    return False


def press_the_tensorboard_button(manager: Manager, trial: str) -> int:
    """Start TensorBoard as the web UI does; return its port, at which it answers."""
    asked = urllib.request.Request(
        f"{manager.address}/api/v1/nni/tensorboard",
        data=json.dumps({"trials": trial}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        port = int(json.load(answer)["port"])
    end = time.monotonic() + 200
    while not answers("127.0.0.1", port):
        assert time.monotonic() < end, "TensorBoard does not start"
        time.sleep(0.2)
    return port


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty home; whatever NNI left running in it would be a failure of the launcher."""
    yield tmp_path
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline"])
        if any(str(tmp_path) in word for word in process.info["cmdline"] or [])
    ]
    assert not left


def test_pipeline_under_nnictl_ends_after_a_failed_search_and_gives_the_reason(home: Path) -> None:
    process = start(TOY / "toy_pipeline.yml", home)
    said, errors = process.communicate(timeout=400)
    assert process.returncode == 1, errors
    assert "search  fold 0  folds 3  seed 0: of_fold 0" in said
    assert "search  fold 1  folds 3  seed 0: failed" in said
    assert "retrain  fold 0  layout enas7  folds 3  seed 0: of_fold 0" in said
    assert "retrain  fold 1" not in said
    assert "evaluate  layouts ['enas7']  failed ['fold1/search']" in said
    assert str(home / "out") in said
    assert errors.count("trial 0 started") == 1
    assert "fold 1 has no malignant image" in errors


@pytest.fixture
def slow(home: Path) -> Path:
    """An experiment that takes its time."""
    config = home / "slow.yml"
    config.write_text(
        json.dumps(
            {
                "searchSpace": {"x": {"_type": "choice", "_value": [1, 2]}},
                "trialCommand": "sleep 600",
                "trialConcurrency": 1,
                "tuner": {"name": "GridSearch"},
                "trainingService": {"platform": "local"},
            }
        )
    )
    return config


def ask(port: int, path: str, method: str = "GET", **headers: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    return connection.getresponse().status


def test_a_running_experiment_answers_its_own_pages_on_this_machine_alone_until_it_is_interrupted(
    home: Path, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"), "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    port = free_port(0)
    process = start(slow, home, "--port", str(port), "--allow-host", "nas.example", **nobody)
    assert process.stderr is not None
    assert f"http://127.0.0.1:{port}" in process.stderr.readline()
    assert "trial 0 started" in process.stderr.readline()
    manager = Manager(port)
    [trial] = manager.get("trial-jobs")
    board = press_the_tensorboard_button(manager, trial["trialJobId"])
    for server in (port, board):
        assert answers("127.0.0.1", server)
        assert not any(answers(address, server) for address in own_addresses())
    api = "/api/v1/nni/trial-jobs"
    said = {
        (server, name): ask(server, path, Host=name)
        for server, path in ((port, api), (board, "/"))
        for name in ("localhost:9000", "nas.example", "evil.example")
    }
    assert {status for (_, name), status in said.items() if name == "evil.example"} == {403}
    assert {status for (_, name), status in said.items() if name != "evil.example"} == {200}
    assert ask(port, api, "POST", Origin="http://evil.example", Content_Type="application/json") == 403
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=200)
    assert process.returncode == 1
    with pytest.raises(ExperimentError):
        manager.get("check-status")
    assert not answers("127.0.0.1", board)
    if not own_addresses():
        pytest.skip("this machine has no address but loopback: nobody could ask from another")


def test_what_a_killed_launcher_leaves_running_is_ended_and_a_living_one_lets_no_other_in(
    home: Path, slow: Path
) -> None:
    first = start(slow, home)
    assert first.stderr is not None
    first.stderr.readline()
    first.stderr.readline()  # the first trial has started
    second = start(slow, home)
    _, errors = second.communicate(timeout=200)
    assert second.returncode == 1
    assert "another launcher runs an experiment there" in errors
    first.kill()
    first.communicate(timeout=200)
    left = started_for(home / "out")
    assert {"sleep", "node"} <= {process.name() for process in left}
    assert end(home / "out") == len(left)
    assert not started_for(home / "out") and not any(process.is_running() for process in left)


def refused(home: Path, patch: pytest.MonkeyPatch, config: Path, *arguments: str) -> None:
    """Assert that an experiment is refused, here in this process, before NNI has kept anything."""
    patch.setenv("HOME", str(home))
    patch.chdir(home)
    assert main(["launch", str(config), "--out", str(home / "out"), *arguments]) == 1
    assert not (home / "nni-experiments").exists()


def test_a_taken_port_is_an_error_before_anything_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(home, monkeypatch, TOY / "toy_pipeline.yml", "--port", str(port))
    assert f"port {port} is taken" in capsys.readouterr().err


def test_a_broken_experiment_file_is_refused_in_nnis_words(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = home / "broken.yml"
    broken.write_text((TOY / "toy_pipeline.yml").read_text().replace("trialConcurrency", "concurrency"))
    refused(home, monkeypatch, broken)
    assert "concurrency" in capsys.readouterr().err


def test_an_experiment_on_own_images_asks_for_their_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(home, monkeypatch, Path("pipeline"))
    assert "--data FOLDER" in capsys.readouterr().err


def test_an_address_of_another_machine_is_refused_before_anything_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(home, monkeypatch, TOY / "toy_pipeline.yml", "--listen", "192.0.2.254")
    assert "192.0.2.254: not an IPv4 address of this machine" in capsys.readouterr().err


def test_of_two_that_start_together_each_has_its_port_and_a_trial_that_is_ended_early_is_no_failure(
    home: Path,
) -> None:
    command = [sys.executable, "-m", "trials.cli", "launch", str(TOY / "toy_tuned.yml"), "--json"]
    both = [
        subprocess.Popen(
            [*command, "--out", str(home / name)],
            cwd=home,
            env={**os.environ, "HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    ports = set()
    for process in both:
        said, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
        assert [
            (trial["parameters"], trial["status"], trial["result"]) for trial in json.loads(said)["trials"]
        ] == [
            ({"x": 2}, "succeeded", 2),
            ({"x": 1}, "ended early", None),
        ]
        ports |= set(re.findall(r"web UI: http://127\.0\.0\.1:(\d+)", errors))
    assert len(ports) == 2


@pytest.mark.parametrize("name", ["toy_curves.yml", "toy_curves"])
def test_an_experiments_file_is_found_by_path_with_or_without_its_ending(name: str) -> None:
    assert find_config(TOY / name) == TOY / "toy_curves.yml"


@pytest.mark.parametrize("name", ["pipeline.yml", "pipeline"])
def test_our_experiments_are_found_by_name_from_any_folder_and_ones_own_come_first(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline").mkdir()  # of results, say
    found = find_config(Path(name))
    assert found.is_absolute() and "PipelineTuner" in found.read_text()
    assert (found.parent / "../strategies/tuner.py").is_file()
    (tmp_path / "pipeline.yml").touch()
    assert find_config(Path(name)).resolve() == tmp_path / "pipeline.yml"


def test_a_missing_experiment_is_refused_with_the_names_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"pipelin\.yml: there is no such file.*pipeline\.yml"):
        find_config(Path("pipelin.yml"))
    with pytest.raises(ExperimentError, match="is a folder, expected a file"):
        find_config(tmp_path)


@pytest.mark.parametrize("home_folder", ["/dev/null/home", "", "gone"])
def test_a_home_that_nni_cannot_use_is_said_before_anything_starts(
    home_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "gone") if home_folder == "gone" else home_folder)
    with pytest.raises(ExperimentError, match="export HOME=FOLDER"):
        launch(Path("quickstart"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_home_that_nni_can_use_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    check_home()
    assert not list(tmp_path.iterdir())
    (tmp_path / "nni-experiments").touch()
    with pytest.raises(ExperimentError, match="nni-experiments: NNI keeps"):
        check_home()


def test_no_proxy_keeps_what_was_named_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "intranet.example")
    monkeypatch.setenv("NO_PROXY", "localhost,*.example")
    assert no_proxy("192.0.2.7") == dict.fromkeys(
        ("NO_PROXY", "no_proxy"), "localhost,*.example,intranet.example,127.0.0.1,::1,192.0.2.7"
    )


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(ExperimentError, match=f"--port {port}: ports are 1 to 65535"):
        free_port(port)


def test_a_group_column_that_an_experiment_would_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="does not read LESION_NAS_GROUP_COLUMN; add it to its"):
        launch(Path("quickstart"), tmp_path / "out", group_column="case")
    with pytest.raises(ExperimentError, match="does not read LESION_NAS_ACCEPT; add it to its"):
        launch(Path("quickstart"), tmp_path / "out", accept=["labels"])


@pytest.mark.parametrize(
    ("experiment", "ours", "profile"),
    [
        ("pipeline", None, "cpu"),
        ("pipeline", "paper", "paper"),
        ("quickstart", "paper", "quick"),
        ("boosted_efficientnet", None, "patches_pretrained"),
        ("boosted_efficientnet", "patches", "patches"),
    ],
)
def test_settings_are_checked_over_the_profile_of_the_experiments_trials(
    experiment: str, ours: str | None, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LESION_NAS_PROFILE", raising=False)
    if ours is not None:
        monkeypatch.setenv("LESION_NAS_PROFILE", ours)
    assert profile_of(find_config(Path(experiment))) == profile


def test_images_that_no_trial_would_look_at_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="names other images than --data"):
        launch(Path("quickstart"), tmp_path / "out", data=tmp_path)
    for name in ("pipeline", "search", "retrain", "rank", "enas_b"):
        with pytest.raises(ExperimentError, match="none of its stages tests on --external"):
            launch(Path(name), tmp_path / "out", data=tmp_path, external=tmp_path)
    assert not (tmp_path / "out").exists()


def test_settings_that_cannot_be_or_contradict_the_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no setting 'data\.orderd'"):
        launch(Path("pipeline"), tmp_path, data=tmp_path, settings={"data.orderd": "a,b"})
    with pytest.raises(SettingsError, match="cross_fit = 3: retrain trains once"):
        launch(Path("pipeline"), tmp_path, data=tmp_path, settings={"protocol.cross_fit": 3})
    with pytest.raises(ExperimentError, match="does not read LESION_NAS_SETTINGS"):
        launch(Path("quickstart"), tmp_path, settings={"data.positive": "x"})
    (tmp_path / "settings.json").write_text('{"data.positive": "x"}')
    with pytest.raises(ExperimentError, match="have the settings"):
        launch(Path("pipeline"), tmp_path, data=tmp_path, settings={"data.positive": "y"})


def test_what_runs_found_in_their_data_is_said_at_the_end_once(tmp_path: Path) -> None:
    found = {
        "left_out": [{"file": "a.png", "label": "x", "group": "1", "reason": "why"}],
        "notes": ["a note"],
    }
    for name in ("search/search.json", "enas7/retrain.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(json.dumps({"data": found}))
    (tmp_path / "enas17").mkdir()
    (tmp_path / "enas17" / "retrain.json").write_text("{")
    text = results([], tmp_path)
    assert text.count("data: 1 images left out: why (a.png)") == text.count("data: a note") == 1
