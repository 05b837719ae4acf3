"""What trains has mimalloc as its allocator, whoever starts it; the user's own allocator stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trials.nni_host.allocator import LIBRARY, with_mimalloc

RESTARTING = """
import sys
from trials.nni_host.allocator import restart_with_mimalloc
restart_with_mimalloc()
print(sys.argv[1:], open("/proc/self/maps").read().count("libmimalloc") > 0)
"""


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return subprocess.run(
        [sys.executable, *words], env=known | variables, capture_output=True, text=True, check=False
    )


def test_a_process_starts_again_with_mimalloc_and_the_same_words() -> None:
    done = run("-c", RESTARTING, "a word", "--other")
    assert (done.stdout, done.stderr) == ("['a word', '--other'] True\n", "")


@pytest.mark.parametrize("preloaded", ["", "libm.so.6"])
def test_what_the_user_preloads_stays_alone(preloaded: str) -> None:
    done = run("-c", RESTARTING, LD_PRELOAD=preloaded)
    assert (done.stdout, done.stderr) == ("[] False\n", "")


def test_without_the_package_all_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.nni_host.allocator.PACKAGE", "no-such-package")
    assert with_mimalloc() == {}


def test_the_library_is_the_installed_one() -> None:
    assert Path(with_mimalloc()["LD_PRELOAD"]).name == LIBRARY


@pytest.mark.parametrize(
    ("words", "trains"),
    [
        (("-m", "trials.stage", "--help"), True),
        (("-m", "trials.cli", "train", "--data", "missing", "--out", "OUT", "--method", "hog"), True),
        (("-m", "trials.cli", "verify", "missing"), False),
    ],
)
def test_trials_and_the_verbs_that_train_have_it(
    words: tuple[str, ...], trains: bool, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    done = run(*(out if word == "OUT" else word for word in words), MIMALLOC_VERBOSE="1")
    assert ("mimalloc: process init" in done.stderr + done.stdout) is trains
