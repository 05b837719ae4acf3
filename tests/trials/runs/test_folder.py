"""Output folders: one run each, resumed or refused, never half-written."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trials.errors import DamagedError, RunFolderError
from trials.runs.folder import RunFolder, read_json

IDENTITY = {"verb": "retrain", "seed": 0, "settings": {"epochs": 2, "layouts": ("enas7",)}}


def test_new_folder_belongs_to_its_run_until_done(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "out", IDENTITY) as folder:
        assert not folder.done
    with RunFolder(tmp_path / "out", IDENTITY) as again:
        assert not again.done
        again.finish()
    with RunFolder(tmp_path / "out", IDENTITY) as done:
        assert done.done


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({**IDENTITY, "seed": 1}, "seed: 0, not 1"),
        ({**IDENTITY, "settings": {"epochs": 3, "layouts": ("enas7",)}}, "settings.epochs: 2, not 3"),
        ({**IDENTITY, "fold": 0}, "fold: None, not 0"),
    ],
)
def test_folder_of_another_run_is_refused_by_what_differs(
    tmp_path: Path, other: dict[str, object], difference: str
) -> None:
    RunFolder(tmp_path, IDENTITY).__exit__()
    with pytest.raises(RunFolderError, match=difference):
        RunFolder(tmp_path, other)


def test_folder_of_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFolderError, match="name a new folder"):
        RunFolder(tmp_path, IDENTITY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(RunFolderError, match="found a file"):
        RunFolder(tmp_path / "out", IDENTITY)


def test_damaged_identity_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json"):
        RunFolder(tmp_path, IDENTITY)


def test_full_disk_is_noticed_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="MB"):
        RunFolder(tmp_path / "new" / "out", IDENTITY, needed_bytes=10**18)
    assert not (tmp_path / "new").exists()


def test_folder_in_use_is_refused_until_it_is_left(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY), pytest.raises(RunFolderError, match="another process"):
        RunFolder(tmp_path, IDENTITY)
    RunFolder(tmp_path, IDENTITY).__exit__()


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.write_json("metrics.json", {"auc": 0.9})
        before = sorted(tmp_path.iterdir())
        with pytest.raises(ValueError, match="JSON"):
            folder.write_json("metrics.json", {"auc": float("nan")})
        assert read_json(tmp_path / "metrics.json") == {"auc": 0.9}
        assert sorted(tmp_path.iterdir()) == before


def test_tables_are_read_back_as_written(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.write_csv("table.csv", ("file", "fold"), [("a, b.png", None), ("c.png", 1)])
    assert (tmp_path / "table.csv").read_text() == 'file,fold\n"a, b.png",\nc.png,1\n'


def test_who_waits_for_a_folder_gets_it_once_it_is_left_and_only_as_the_same_run(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with RunFolder(tmp_path / "out", {"seed": 0}) as first:
            same, other = (
                pool.submit(
                    lambda seed=seed: RunFolder(tmp_path / "out", {"seed": seed}, wait=True).__enter__()
                )
                for seed in (0, 1)
            )
            with pytest.raises(RunFolderError, match="seed"):
                other.result(timeout=20)
            assert not same.done()
            first.finish()
        with same.result(timeout=20) as second:
            assert second.done


def test_a_finished_run_has_the_digests_of_what_it_leaves_and_nothing_to_go_on_from(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        for name in ("metrics.json", "last.ckpt"):
            folder.write_json(name, {"of": name})
        (tmp_path / "metrics.json").write_text("{}")  # unfinished: nothing is promised yet
        assert read_json(tmp_path / "metrics.json") == {}
        folder.finish("last.ckpt")
        assert read_json(tmp_path / "run.json")["sha256"] == {
            "metrics.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        }
        assert not (tmp_path / "last.ckpt").exists()
        (tmp_path / "metrics.json").write_text("{ }")
        with pytest.raises(DamagedError, match=r"metrics\.json"):
            read_json(tmp_path / "metrics.json")
        folder.begin()  # it is about to be written anew
        assert read_json(tmp_path / "metrics.json") == {} and not folder.done


def test_what_a_killed_process_had_begun_to_write_is_removed(tmp_path: Path) -> None:
    RunFolder(tmp_path, IDENTITY).__exit__()
    (tmp_path / ".model.safetensors.123.partial").write_bytes(b"half")
    RunFolder(tmp_path, IDENTITY).__exit__()
    assert not list(tmp_path.glob(".*.partial"))
