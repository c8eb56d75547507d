"""The work directory: nothing half-written, nothing of another's deleted."""

import json

import numpy as np
import pytest

from tf_logreg.errors import InputError
from tf_logreg.results import workdir as directory

RECORD = {"config": {"l2": 0.1}, "dtype": "float32"}


def started(tmp_path):
    path = str(tmp_path / "run")
    directory.start_run(path, RECORD, overwrite=False)
    return path


def test_whose_directory_it_is(tmp_path):
    path = str(tmp_path / "run")
    assert directory.find_run(path, RECORD, overwrite=False) is None
    started(tmp_path)
    assert directory.find_run(path, RECORD, overwrite=False) is None  # stopped before its result
    directory.write_json(path, "result.json", {"status": "finished"})
    assert directory.find_run(path, RECORD, overwrite=False) == {"status": "finished"}
    other = {**RECORD, "config": {"l2": 0.2}}
    with pytest.raises(InputError, match="--overwrite"):
        directory.find_run(path, other, overwrite=False)
    assert directory.find_run(path, other, overwrite=True) is None


def test_overwrite_deletes_only_our_artefacts(tmp_path):
    path = started(tmp_path)
    directory.write_json(path, "result.json", {})
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "export").mkdir()
    (tmp_path / "run" / "export" / "model").write_text("old")
    directory.start_run(path, RECORD, overwrite=False)
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["config.json", "notes.txt"]


def test_other_peoples_files_are_refused_even_with_overwrite(tmp_path):
    (tmp_path / "photo.jpg").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="with other files"):
            directory.find_run(str(tmp_path), RECORD, overwrite=overwrite)
    with pytest.raises(InputError, match="a file"):
        directory.find_run(str(tmp_path / "photo.jpg"), RECORD, overwrite=True)
    with pytest.raises(InputError, match="Received: ''"):
        directory.find_run("", RECORD, overwrite=False)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = started(tmp_path)
    directory.write_json(path, "result.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        directory.write_json(path, "result.json", {"a": float("nan")})
    with pytest.raises(RuntimeError, match="disk"), directory.aside(path, "result.json") as aside:
        aside.write_text("half")
        raise RuntimeError("disk")
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == {"a": 1}
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["config.json", "result.json"]


def test_arrays_round_trip(tmp_path):
    path = started(tmp_path)
    directory.write_arrays(path, "metrics.npz", {"train/confusion": np.eye(2)})
    with np.load(f"{path}/metrics.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["train/confusion"], np.eye(2))


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        directory.start_run(str(tmp_path / "file" / "run"), RECORD, overwrite=False)
