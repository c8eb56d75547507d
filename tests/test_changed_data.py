"""A run knows its data: by their bytes, not by a file's name or times."""

import contextlib
import json
import logging
import os
import shutil

import numpy as np
import pytest
from problems import random_problem
from tfds_sets import TinyDigits

from tf_logreg import training
from tf_logreg.data import dataset, digest, identity
from tf_logreg.devices import interrupt
from tf_logreg.errors import InputError, InterruptError


@pytest.fixture
def job(tmp_path):
    """A file of labelled rows and the flags of a run over it."""
    path = tmp_path / "rows.npz"
    write(path)
    return path, ["--config=numpy_arrays", f"--config.data.args.path={path}", f"--workdir={tmp_path}/run"]


def write(path, *, flip=False):
    x, y, _ = random_problem(100, 3, 2)
    np.savez(path, x=x, y=1 - y if flip else y)


def test_a_finished_run_over_a_changed_file(command, job, tmp_path):
    path, flags = job
    code, out, err = command(*flags)
    assert code == 0, err
    kept = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.is_file()}
    times = os.stat(path)
    write(path, flip=True)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a careful copy would leave it
    for mode in ([], ["--mode=evaluate"]):
        code, out, err = command(*(flags if not mode else [*mode, flags[-1]]))
        assert (code, out) == (2, "")
        assert f"data: '{path}' has changed" in err
    assert "--overwrite" in command(*flags)[2]
    assert kept == {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.is_file()}
    code, _, err = command(*flags, "--overwrite")
    assert code == 0, err
    assert kept["coefficients.npz"] != (tmp_path / "run" / "coefficients.npz").read_bytes()


def test_the_same_bytes_are_the_same_data(command, job, tmp_path, caplog):
    path, flags = job
    code, out, err = command(*flags)
    assert code == 0, err
    shutil.copy(path, tmp_path / "copy")
    path.unlink()
    shutil.copy(tmp_path / "copy", path)
    os.utime(path, (1, 1))
    assert command(*flags)[:2] == (0, out)

    # A file that is gone does not take the result with it.
    path.unlink()
    with caplog.at_level(logging.WARNING):
        assert command(*flags)[:2] == (0, out)
    assert f"{path} is gone" in caplog.text
    code, _, err = command("--mode=evaluate", flags[-1])
    assert code == 2
    assert "no such file" in err


def test_an_unfinished_run_over_a_changed_file(small_config, strategies, tmp_path, monkeypatch):
    small_config.data.source, small_config.data.args = "npz", {"path": str(tmp_path / "rows.npz")}
    write(tmp_path / "rows.npz")
    small_config.minibatch.update(epochs=40, steps_per_loop=1)
    run = str(tmp_path / "run")
    with monkeypatch.context() as patch, pytest.raises(InterruptError):
        patch.setattr(interrupt, "listen", lambda: contextlib.nullcontext(lambda: True))
        training.train_and_evaluate(small_config, run, strategy=strategies["one_device"])
    assert os.listdir(f"{run}/checkpoints")
    write(tmp_path / "rows.npz", flip=True)
    with pytest.raises(InputError, match=r"rows\.npz' has changed .*--overwrite"):
        training.train_and_evaluate(small_config, run, strategy=strategies["one_device"])
    # The checkpoint itself is of other data too, whatever config.json says.
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    record["data"] = identity.digests(small_config, {})
    (tmp_path / "run" / "config.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="checkpoint of another data"):
        training.train_and_evaluate(small_config, run, strategy=strategies["one_device"])


def test_files_of_a_prepared_set(command, tmp_path):
    builder = TinyDigits(data_dir=str(tmp_path))
    builder.download_and_prepare()
    folder = builder.data_path
    flags = ["--config=mnist", f"--config.data.args.folder={folder}", "--config.data.args.name=",
             "--config.minibatch.epochs=1", f"--workdir={tmp_path}/run"]  # fmt: skip
    code, out, err = command(*flags)
    assert code == 0, err
    assert command(*flags)[:2] == (0, out)
    files = json.loads((tmp_path / "run" / "config.json").read_text())["data"]["files"]
    assert sorted(files) == sorted(os.listdir(folder))
    with open(folder / "label.labels.txt", "a") as file:
        file.write("\n")
    code, _, err = command(*flags)
    assert code == 2
    assert "'label.labels.txt' has changed" in err


def test_a_file_that_changes_while_it_is_read(small_config, tmp_path, monkeypatch):
    small_config.data.source, small_config.data.args = "npz", {"path": str(tmp_path / "rows.npz")}
    write(tmp_path / "rows.npz")
    read = dataset.read_data

    def slowly(*args):
        found = read(*args)
        write(tmp_path / "rows.npz", flip=True)
        return found

    assert dataset.read_unchanged(small_config)[2]["files"].keys() == {str(tmp_path / "rows.npz")}
    monkeypatch.setattr(dataset, "read_data", slowly)
    with pytest.raises(InputError, match="changed while it was read"):
        dataset.read_unchanged(small_config)


def test_a_stamp_saves_reading_and_no_more(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    files = {"a": str(path), "none": str(tmp_path / "none"), "folder": str(tmp_path)}
    found = digest.digests(files, {})
    assert found.keys() == {"a"}
    assert found["a"]["sha256"] == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    with monkeypatch.context() as patch:
        patch.setattr(digest, "_sha256", None)
        assert digest.digests(files, found) == found
    for damaged in ({"a": {}}, {"a": {"stamp": found["a"]["stamp"]}}, {"a": {"stamp": 1, "sha256": "x"}}):
        assert digest.digests(files, damaged) == found
    path.write_bytes(b"two")
    assert digest.digests(files, found)["a"]["sha256"] != found["a"]["sha256"]
    assert digest.summary({"version": 1, "files": found}) != digest.summary({"version": 2, "files": found})
