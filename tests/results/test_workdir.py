"""The work directory: which run it holds, and nothing of another's read, written or deleted."""

import json
import logging
import os

import pytest

from tf_logreg import ownership
from tf_logreg.errors import InputError
from tf_logreg.results import workdir as directory

CONFIG = {"seed": 0, "l2": 0.1}
RECORD = {"config": CONFIG, "dtype": "float32", "data": {"version": 1, "files": {}}}
# What the versions up to 0.5 wrote.
VERSION_ONE = {
    "config": {
        "seed": 0, "data": {"source": "sklearn", "args": {}, "train_split": "train"}, "model": {}, "l1": 0.0,
        "l2": 0.1, "standardize": True, "minibatch": {}, "checkpoint": {},
    },
    "dtype": "float32",
    "flags": {},
}  # fmt: skip


def same(known):
    return known


def find(folder, record=RECORD, digests=same, *, overwrite=False):
    return directory.find_run(folder, record, digests, overwrite=overwrite)


@pytest.fixture
def folder(tmp_path):
    """A directory whose run was started."""
    found = directory.of(str(tmp_path / "run"))
    with found.owned() as mine:
        directory.start_run(mine, RECORD, overwrite=False)
    return found


def test_whose_directory_it_is(tmp_path, folder):
    assert find(directory.of(str(tmp_path / "none"))) is None
    assert find(folder) is None  # stopped before its result
    other = {**RECORD, "config": {"l2": 0.2}}
    with pytest.raises(InputError, match=r"another config.*--overwrite"):
        find(folder, other)
    assert find(folder, other, overwrite=True) is None


def test_starting_deletes_only_our_artefacts(folder):
    folder.write_json("result.json", {})
    folder.write("notes.txt", b"mine")
    folder.below("export").write("model", b"old")
    folder.below("checkpoints").write("step", b"1")
    folder.below("events").write("curve", b"1")
    folder.below("checkpoints").below("path").below(".writing-x").write("step", b"1")
    folder.below(".writing-x").write("model", b"half")
    with folder.owned() as mine:
        directory.start_run(mine, RECORD, overwrite=False)
        assert mine.names() == [ownership.OWNER, "checkpoints", "config.json", "events", "notes.txt"]
        assert mine.below("checkpoints").below("path").names() == []
        directory.start_run(mine, RECORD, overwrite=True)
    assert folder.names() == ["config.json", "notes.txt"]


OTHERS = {
    "a photo": {"photo.jpg": "x"},
    "no JSON": {"config.json": "port = 80"},
    "a list": {"config.json": "[]"},
    "another program": {"config.json": json.dumps({"config": {}, "dtype": "float32"})},
    "another format": {"config.json": json.dumps({**VERSION_ONE, "format": "x", "version": 1})},
    "one more key": {"config.json": json.dumps({**VERSION_ONE, "name": "x"})},
    "a Keras model": {"config.json": json.dumps({"config": {"layers": []}, "class_name": "Model"})},
}


@pytest.mark.parametrize("files", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_ours_is_left_alone(command, tmp_path, files, overwrite):
    run = tmp_path / "run"
    for name in ("export", "events", "checkpoints"):
        (run / name).mkdir(parents=True)
        (run / name / "theirs").write_text("x")
    for name, text in files.items():
        (run / name).write_text(text)
    before = sorted((str(path), path.is_file() and path.read_text()) for path in run.rglob("*"))
    flag = [f"--overwrite={str(overwrite).lower()}", f"--workdir={run}"]
    for mode in (["--config=iris"], ["--mode=evaluate"], ["--mode=export"]):
        code, out, err = command(*mode, *flag)
        assert (code, out) == (2, "")
        assert str(run) in err
    with pytest.raises(InputError):
        directory.write_note(directory.of(str(run)), "plan.json", "{}")
    assert sorted((str(path), path.is_file() and path.read_text()) for path in run.rglob("*")) == before


def test_a_directory_of_the_version_before_is_ours(tmp_path, caplog):
    folder = directory.of(str(tmp_path))
    folder.write_json("config.json", VERSION_ONE)
    record = {**VERSION_ONE, "data": {"version": 0, "files": {}}}
    assert find(folder, record, overwrite=True) is None
    assert find(folder, record) is None
    folder.below("checkpoints").write("step-000000000001", b"1")
    with pytest.raises(InputError, match="unfinished run of an earlier version"):
        find(folder, record)
    assert find(folder, record, overwrite=True) is None


def test_a_later_version_is_named(folder):
    folder.write_json("config.json", {"format": directory.FORMAT, "version": 99, **RECORD})
    for overwrite in (False, True):
        with pytest.raises(InputError, match="later tf_logreg, of format 99"):
            find(folder, overwrite=overwrite)


def test_changed_data_are_named(folder, caplog):
    one, other = ({"version": 1, "files": {"x.npz": {"sha256": letter}}} for letter in "ab")
    record = {**RECORD, "data": one}
    with folder.owned() as mine:
        directory.start_run(mine, record, overwrite=False)
    assert find(folder, record) is None
    with pytest.raises(InputError, match=r"'x\.npz' has changed .*--overwrite"):
        find(folder, record, lambda known: other)
    with pytest.raises(InputError, match=r"'y\.npz' has changed"):
        find(
            folder, record, lambda known: {"version": 1, "files": {**one["files"], "y.npz": {"sha256": "c"}}}
        )
    with pytest.raises(InputError, match="its version is 2, not 1"):
        find(folder, record, lambda known: {**one, "version": 2})
    assert find(folder, record, lambda known: other, overwrite=True) is None
    with caplog.at_level(logging.WARNING):
        assert find(folder, record, lambda known: {"version": 1, "files": {}}) is None
    assert caplog.text == ""  # reading it will say so


@pytest.mark.parametrize("data", [1, [], {}, {"files": 1}, {"files": {"a": 1}}, {"files": None}])
def test_damaged_digests(folder, data):
    folder.write_json("config.json", {"format": directory.FORMAT, "version": 2, **RECORD, "data": data})
    with pytest.raises(InputError, match=r"config\.json.*'data' are damaged"):
        find(folder)


def test_a_result_is_added_to_only_while_it_is_the_same(folder):
    folder.write_json("result.json", {"a": 1})
    with directory.finished_run(folder, {"a": 1}) as mine:
        mine.write_json("evaluation.json", {})
    with pytest.raises(InputError, match="another run was written"), directory.finished_run(folder, {"a": 2}):
        pass
    assert folder.names() == ["config.json", "evaluation.json", "result.json"]


def test_notes_lie_with_a_run_or_by_themselves(tmp_path, folder):
    directory.write_note(folder, "plan.json", "{}")
    own = directory.of(str(tmp_path / "own"))
    for name in ("plan.json", "selftest.txt", "plan.json"):
        directory.write_note(own, name, "{}")
    assert own.names() == ["plan.json", "selftest.txt"]


@pytest.mark.parametrize("workdir", ["file/run", "file", "n" * 256, "n" * 5000])
def test_directories_that_cannot_be_made(command, tmp_path, workdir):
    (tmp_path / "file").write_text("")
    for mode in (["--config=iris"], ["--mode=evaluate"], ["--mode=export"]):
        code, out, err = command(*mode, f"--workdir={tmp_path}/{workdir}")
        assert (code, out) == (2, "")
        assert err.startswith("--workdir: ")
        assert len(err.splitlines()) == 1
    assert os.listdir(tmp_path) == ["file"]
