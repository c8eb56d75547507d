"""Storage: files whole or not there, folders published, one owner a directory, on file systems of any kind."""

import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tf_logreg import ownership, storage
from tf_logreg.errors import InputError, RunError

# Owns the directory argv[1], says so, and waits to be killed.
OWNS = """
import sys, time
from tf_logreg import storage
with storage.Folder(sys.argv[1]).owned():
    print("owned", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path):
    return storage.Folder(str(tmp_path))


def another_owner(path):
    process = subprocess.Popen([sys.executable, "-c", OWNS, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "owned\n"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def refuse(number):
    def call(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gs://bucket/run", "a path on this machine. Received: 'gs://bucket/run'"),
        ("~nobody_of_that_name/run", "the home of a user"),
        ("run\udcff", "a path in UTF-8"),
        ("run\0", "without NUL"),
    ],
)
def test_paths_that_are_none_here(text, message):
    with pytest.raises(InputError, match=f"^data.args.path: .*{message}"):
        storage.local_path(text, "data.args.path")


def test_a_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert storage.local_path("~/run", "--workdir") == "/home/me/run"
    for same in ("", "run~", "/run/gs:", "C:run", "räder"):
        assert storage.local_path(same, "--workdir") == same


def test_round_trips(folder):
    folder.write_json("a.json", {"a": [1, None]})
    folder.write_arrays("a.npz", {"x": np.eye(2)})
    below = folder.below("b")
    assert below.names() == []
    below.write("c", b"\0")
    assert folder.read_json("a.json") == {"a": [1, None]}
    np.testing.assert_array_equal(folder.read_arrays("a.npz")["x"], np.eye(2))
    assert below.read("c") == b"\0"
    assert folder.names() == ["a.json", "a.npz", "b"]
    folder.remove("b")
    folder.remove("b")
    assert folder.names() == ["a.json", "a.npz"]


def test_arrays_are_written_as_they_are_and_nothing_beside_them(folder):
    folder.write_arrays("a.npz", {"x": np.eye(2), "allow_pickle": np.array("a name like another")})
    with np.load(folder.where("a.npz")) as found:
        assert found.files == ["x", "allow_pickle"]
        assert found["allow_pickle"] == "a name like another"
    with pytest.raises(ValueError, match="Object arrays"):
        folder.write_arrays("b.npz", {"x": np.array([None])})
    assert folder.names() == ["a.npz"]


@pytest.mark.parametrize("place", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_refuses_leaves_the_old_file(folder, monkeypatch, place, number):
    folder.write("result.json", b"old")
    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"cannot write '.*result\.json'"):
        patch.setattr(os, place, refuse(number))
        folder.write("result.json", b"new")
    assert folder.read("result.json") == b"old"
    assert folder.names() == ["result.json"]


def test_a_file_system_without_sync_is_enough(folder, monkeypatch):
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    folder.write("a", b"1")
    assert folder.read("a") == b"1"


def two_files(text):
    def save(path):
        os.makedirs(f"{path}/variables")
        for name in ("saved_model.pb", "variables/data"):
            with open(f"{path}/{name}", "w") as file:
                file.write(text)

    return save


@pytest.mark.parametrize("renames", [True, False])
def test_a_folder_is_published_whole(folder, monkeypatch, renames):
    if not renames:
        monkeypatch.setattr(os, "rename", refuse(errno.EMFILE))
    for text in ("one", "two"):
        folder.publish("export", two_files(text), "saved_model.pb")
        assert folder.below("export").names() == ["saved_model.pb", "variables"]
        assert folder.below("export").read("variables/data") == text.encode()
    assert folder.names() == ["export"]


def test_where_folders_cannot_be_renamed_the_marker_is_gone_first_and_back_last(folder, monkeypatch):
    folder.publish("export", two_files("one"), "saved_model.pb")
    seen, replace = [], os.replace

    def watched(source, target):
        seen.append((os.path.basename(target), folder.holds("export/saved_model.pb")))
        replace(source, target)

    monkeypatch.setattr(os, "rename", refuse(errno.EMFILE))
    monkeypatch.setattr(os, "replace", watched)
    folder.publish("export", two_files("two"), "saved_model.pb")
    assert seen == [("data", False), ("saved_model.pb", False)]


def test_a_folder_that_cannot_be_written_leaves_the_old_one(folder):
    folder.publish("export", two_files("one"), "saved_model.pb")
    with pytest.raises(InputError, match="No space left"):
        folder.publish("export", refuse(errno.ENOSPC), "saved_model.pb")
    assert folder.below("export").read("saved_model.pb") == b"one"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\x80\x04K\x01.", b'{"a": NaN}', b"[" * 100_000, "ü".encode("latin-1")],
    ids=["empty", "cut", "a list", "a pickle", "NaN", "deep", "Latin-1"],
)
def test_json_that_is_none(folder, content):
    folder.write("a.json", content)
    with pytest.raises(InputError, match=r"cannot use '.*a\.json'"):
        folder.read_json("a.json")


def test_arrays_that_are_none(folder):
    folder.write_arrays("good.npz", {"x": np.arange(1000)})
    good = folder.read("good.npz")
    np.savez(folder.where("pickles.npz"), x=np.array([None]))
    for name, content in {
        "empty": b"", "cut": good[:-30], "middle": good[:200] + bytes(100) + good[300:], "pickle": b"\x80\x04K\x01.",
    }.items():  # fmt: skip
        folder.write(name, content)
    folder.below("folder").write("a", b"")
    for name in ("empty", "cut", "middle", "pickle", "pickles.npz", "folder"):
        with pytest.raises(InputError, match=f"cannot use '.*{name}'"):
            folder.read_arrays(name)
    with pytest.raises(InputError, match="without none"):
        folder.read_arrays("none")


def test_one_owner(tmp_path):
    folder = storage.Folder(str(tmp_path / "run"))
    other = another_owner(folder.path)
    try:
        with pytest.raises(InputError, match=f"in use by process {other.pid} on "), folder.owned():
            pass
        with pytest.raises(InputError, match="in use"), folder.owned(wait=0.2):
            pass
    finally:
        kill(other)
    # The dead keep nothing, and an owner that ends leaves nothing.
    assert folder.names() == [ownership.OWNER]
    with folder.owned() as mine:
        mine.write("a", b"1")
        with pytest.raises(InputError, match=f"process {os.getpid()}"), folder.owned():
            pass
    assert folder.names() == ["a"]


def test_an_owner_that_is_just_ending_refuses_nobody(tmp_path, monkeypatch):
    folder, locked, ends = storage.Folder(str(tmp_path / "run")), ownership.locked, [True]

    def lock(file):
        # As an owner does that ends between our opening its file and our locking it.
        if ends:
            ends.clear()
            os.unlink(folder.where(ownership.OWNER))
        return locked(file)

    monkeypatch.setattr(ownership, "locked", lock)
    with folder.owned() as mine:
        mine.write("a", b"1")
    assert folder.names() == ["a"]


def test_without_locks_the_living_of_this_machine_keep_it(tmp_path, monkeypatch):
    folder = storage.Folder(str(tmp_path / "run"))
    other = another_owner(folder.path)
    monkeypatch.setattr(ownership, "locked", lambda file: None)
    try:
        with pytest.raises(InputError, match="in use"), folder.owned():
            pass
    finally:
        kill(other)
    with folder.owned() as mine:
        mine.write("a", b"1")


def test_without_locks_the_run_of_another_machine_gives_way(tmp_path, monkeypatch):
    folder = storage.Folder(str(tmp_path / "run"))
    monkeypatch.setattr(ownership, "locked", lambda file: None)
    with folder.owned() as first:
        there = json.loads(folder.read(ownership.OWNER)) | {"host": "elsewhere"}
        with open(folder.where(ownership.OWNER), "w") as file:
            json.dump(there, file)
        first.write("a", b"first")
        with folder.owned() as second:
            second.write("a", b"second")
            for write in (
                lambda: first.write("a", b"first"),
                lambda: first.below("checkpoints").write("b", b"first"),
                lambda: first.publish("export", two_files("first"), "saved_model.pb"),
                lambda: first.remove("a"),
            ):
                with pytest.raises(RunError, match=f"taken over by process {os.getpid()}"):
                    write()
            assert folder.names() == [ownership.OWNER, "a"]
            assert folder.read("a") == b"second"


def test_a_directory_that_is_deleted_is_not_made_again(tmp_path):
    folder = storage.Folder(str(tmp_path / "run"))
    with folder.owned() as mine:
        mine.write("a", b"1")
        os.rename(folder.path, str(tmp_path / "moved"))
        for write in (lambda: mine.write("a", b"2"), lambda: mine.below("checkpoints").write("b", b"2")):
            with pytest.raises(RunError, match="deleted or moved"):
                write()
    assert not os.path.exists(folder.path)


def test_a_disk_that_does_not_say_who_owns_it_is_not_a_directory_that_is_gone(folder):
    with folder.owned() as mine:
        os.unlink(folder.where(ownership.OWNER))
        os.mkdir(folder.where(ownership.OWNER))  # reading it is an error of the disk's
        with pytest.raises(InputError, match="cannot read"):
            mine.write("result.json", b"{}")


def test_what_a_killed_run_was_writing_is_swept(folder):
    folder.below(".writing-x").write("a", b"1")
    folder.below("c").below("d").below(".writing-y").write("a", b"1")
    folder.write("b", b"1")
    folder.sweep()
    assert folder.names() == ["b", "c"]
    assert folder.below("c").below("d").names() == [".writing-y"]
    folder.sweep(deep=True)
    assert folder.below("c").below("d").names() == []
