"""Folders in a store: the same as on a disk, written whole, published by their markers, owned as far as can be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile_store import registered

from tf_logreg import ownership, storage
from tf_logreg.errors import InputError, RunError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path):
    return registered(tmp_path / "store")


@pytest.fixture
def folder(store):
    return storage.Folder("mem://bucket/run")


class Broken:
    """A store whose every call raises an error."""

    def __init__(self, error):
        self.error, self.calls = error, 0

    def __getattr__(self, name):
        def call(*_):
            self.calls += 1
            raise self.error

        return call


def two_files(text):
    def save(path):
        os.makedirs(f"{path}/variables")
        for name in ("saved_model.pb", "variables/data"):
            with open(f"{path}/{name}", "w") as file:
                file.write(text)

    return save


def test_round_trips_through_failures(store, folder):
    for _ in range(5):
        folder.write_json("a.json", {"a": [1, None]})
        folder.write_arrays("a.npz", {"x": np.eye(2)})
        below = folder.below("b")
        below.write("c", b"\0")
        assert folder.read_json("a.json") == {"a": [1, None]}
        np.testing.assert_array_equal(folder.read_arrays("a.npz")["x"], np.eye(2))
        assert below.read("c") == b"\0"
        assert folder.names() == ["a.json", "a.npz", "b"]
        assert folder.holds("b")
        assert folder.holds("a.npz")
        assert not folder.holds("c")
        folder.check_archive("a.npz")
        folder.remove("b")
        folder.remove("b")
        assert folder.names() == ["a.json", "a.npz"]
    folder.sweep(deep=True)
    assert folder.contents() == ["a.json", "a.npz"]
    assert store.failures > 5
    with pytest.raises(
        InputError, match=r"^--workdir: expected a finished run\. .*'mem://bucket/run', without c\."
    ):
        folder.read("c")


def test_a_failed_write_leaves_the_old_file(folder):
    folder.write("a", b"old")

    def fail(path):
        with open(path, "w") as file:
            file.write("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"^--workdir: cannot write 'mem://bucket/run/a': No space left"):
        folder.write_with("a", fail)
    assert folder.read("a") == b"old"


def test_a_folder_is_published_by_its_marker(store, folder):
    folder.publish("export", two_files("1"), "saved_model.pb")
    folder.below("export").write("1/saved_model.pb", b"a version")
    store.uploads.clear()
    folder.publish("export", two_files("2"), "saved_model.pb", within=True)
    assert set(store.uploads[:-1]) == {"mem://bucket/run/export/variables/data"}
    assert store.uploads[-1] == "mem://bucket/run/export/saved_model.pb"
    export = folder.below("export")
    assert export.names() == ["1", "saved_model.pb", "variables"]
    assert export.read("saved_model.pb") == export.below("variables").read("data") == b"2"
    folder.publish("export", two_files("3"), "saved_model.pb")
    assert export.names() == ["saved_model.pb", "variables"]


def test_a_folder_that_is_not_published_to_its_end_counts_as_absent(store, folder, monkeypatch):
    folder.publish("export", two_files("1"), "saved_model.pb")

    def refuse(path, address):
        raise PermissionError("no more")

    monkeypatch.setattr(store, "upload", refuse)
    with pytest.raises(InputError, match=r"^--workdir: cannot write 'mem://bucket/run/export': no more\."):
        folder.publish("export", two_files("2"), "saved_model.pb")
    assert not folder.below("export").holds("saved_model.pb")


def test_one_process_of_a_machine_owns_it(folder):
    with folder.owned() as mine:
        assert folder.names() == [ownership.OWNER]
        assert folder.contents() == []
        mine.write("a", b"1")
        busy = rf"'mem://bucket/run' is in use by process {os.getpid()} on"
        with pytest.raises(InputError, match=busy), folder.owned():
            pass
    assert folder.names() == ["a"]


def test_another_machine_takes_over_and_is_found_before_the_next_write(folder, caplog):
    taken = "was taken over by process 1 on elsewhere while this run was at work"
    with pytest.raises(RunError, match=taken), folder.owned() as mine:
        folder.write_json(ownership.OWNER, {"token": "x", "host": "elsewhere", "pid": 1, "started": 0})
        mine.write("a", b"1")
    assert folder.names() == [ownership.OWNER]  # theirs is kept
    with folder.owned():
        assert "a store has no locks. Taking over from process 1 on elsewhere" in caplog.text
    folder.write(ownership.OWNER, b"what is this?")
    with pytest.raises(RunError, match="was deleted or moved"), folder.owned() as mine:
        folder.remove(ownership.OWNER)
        mine.write("a", b"1")


def test_growing_files_are_uploaded_at_the_end_also_after_an_error(store, folder):
    def write(events):
        with open(f"{events.path}/one", "a") as file:
            file.write("1")
        events.written()

    with storage.growing(folder, "events") as events:
        write(events)
        assert folder.names() == []
        events.last -= 60
        write(events)
        assert folder.below("events").read("one") == b"11"
        write(events)
    assert folder.below("events").read("one") == b"111"
    with pytest.raises(KeyError), storage.growing(folder, "events") as events:
        write(events)
        raise KeyError
    assert folder.below("events").read("one") == b"1"


MESSAGES = {
    "reading": (lambda folder: folder.read("a"), "cannot use 'no://bucket/run/a': 403, no right to read"),
    "writing": (lambda folder: folder.write("a", b""), "cannot write 'no://bucket/run/a': 403, no right"),
    "listing": (lambda folder: folder.names(), "cannot read 'no://bucket/run': 403, no right"),
    "holding": (lambda folder: folder.holds("a"), "cannot use 'no://bucket/run/a': 403, no right"),
    "deleting": (lambda folder: folder.remove("a"), "cannot delete 'no://bucket/run/a': 403, no right"),
    "owning": (lambda folder: folder.owned().__enter__(), "cannot write to 'no://bucket/run': 403, no right"),
}


@pytest.mark.parametrize(("act", "message"), MESSAGES.values(), ids=MESSAGES)
def test_a_bucket_without_rights_is_told_in_the_stores_words(act, message):
    storage.register("no", broken := Broken(PermissionError("403, no right to read or write")), pauses=(0.0,))
    with pytest.raises(InputError, match=f"^--workdir: {message}"):
        act(storage.Folder("no://bucket/run"))
    assert broken.calls == 1  # such an error is not tried again


def test_a_store_that_stays_away_is_an_error_in_the_end(caplog):
    storage.register("away", broken := Broken(ConnectionError("503")), pauses=(0.0, 0.0))
    with (
        caplog.at_level("INFO"),
        pytest.raises(InputError, match=r"^--workdir: cannot read 'away://b/run': 503"),
    ):
        storage.Folder("away://b/run").names()
    assert broken.calls == 3
    assert caplog.text.count("away://b/run: 503. Trying again in 0 s.") == 2
    for act in (
        storage.exists,
        storage.is_file,
        storage.is_folder,
        storage.stamp,
        storage.files_below,
        storage.on_disk,
    ):
        with pytest.raises(InputError, match=r"^data: cannot read 'away://b/run': 503"):
            act("away://b/run")


def test_addresses_that_nothing_serves():
    for address in ("s3://bucket/run", "https://host/a.csv"):
        with pytest.raises(
            InputError, match=r"^--workdir: expected a path, or an address of .*gs://.*ram://.* Received: "
        ):
            storage.path_or_address(address, "--workdir")
    with pytest.raises(
        InputError, match=r"^--workdir: expected a bucket, gs://BUCKET/PATH. Received: 'gs://'"
    ):
        storage.path_or_address("gs://", "--workdir")
    with pytest.raises(InputError, match="without NUL"):
        storage.path_or_address("gs://a\0b", "--workdir")
    assert storage.path_or_address("gs://bucket/run/", "--workdir") == "gs://bucket/run"
    assert storage.path_or_address("run/", "--workdir") == "run/"


def test_files_of_the_user(store, tmp_path):
    files = storage.Folder("mem://data")
    for name in ("a.csv", "b.csv", "c.txt"):
        files.write(name, name.encode())
        files.below("sub/deep").write(name, b"deep")
    assert storage.is_file("mem://data/a.csv")
    assert not storage.is_file("mem://data/sub")
    assert storage.is_folder("mem://data/sub")
    assert not storage.exists("mem://data/d.csv")
    assert storage.matching("mem://data/*.csv") == ["mem://data/a.csv", "mem://data/b.csv"]
    assert storage.matching("mem://data/*/deep/[ab].csv") == [
        "mem://data/sub/deep/a.csv", "mem://data/sub/deep/b.csv",
    ]  # fmt: skip
    assert storage.matching("mem://data/**/a.csv") == ["mem://data/a.csv", "mem://data/sub/deep/a.csv"]
    assert storage.matching("mem://data/*.parquet") == []
    assert storage.files_below("mem://data") == [
        "a.csv", "b.csv", "c.txt", "sub/deep/a.csv", "sub/deep/b.csv", "sub/deep/c.txt",
    ]  # fmt: skip
    assert storage.files_below("mem://data", lambda name: name != "sub") == ["a.csv", "b.csv", "c.txt"]
    assert storage.stamp("mem://data/a.csv") == [5]
    assert storage.stamp("mem://data/sub") is None
    copy = storage.on_disk("mem://data/sub")
    assert sorted(os.listdir(f"{copy}/deep")) == ["a.csv", "b.csv", "c.txt"]
    assert storage.on_disk(str(tmp_path)) == str(tmp_path)
    with pytest.raises(InputError, match=r"^data.args.path: no such file. Received: 'mem://data/d.csv'"):
        storage.on_disk("mem://data/d.csv", "data.args.path")


def test_a_file_is_fetched_once_until_it_changes(store, monkeypatch):
    files, fetched = storage.Folder("mem://data"), []
    files.write("a", b"1")
    download = store.download
    monkeypatch.setattr(store, "download", lambda *given: fetched.append(given[0]) or download(*given))
    monkeypatch.setattr(store, "_share", 0)
    with open(storage.on_disk("mem://data/a"), "rb") as first:
        storage.on_disk("mem://data/a")
        assert fetched == ["mem://data/a"]
        files.write("a", b"12")
        with open(storage.on_disk("mem://data/a"), "rb") as second:
            assert second.read() == b"12"
        assert first.read() == b"1"  # whoever has the old copy keeps it
    assert len(fetched) == 2


def test_copies_of_killed_processes_are_deleted(store, tmp_path):
    storage.Folder("mem://data").write("a", b"1")
    script = (
        "import os, sys; from hostile_store import registered; from tf_logreg import storage;"
        "registered(sys.argv[1]); print(storage.on_disk('mem://data/a'), flush=True);"
        "os.kill(os.getpid(), int(sys.argv[2])) if sys.argv[2] != '0' else None"
    )

    def copy(signal):
        ended = subprocess.run(
            [sys.executable, "-c", script, tmp_path / "store", str(signal)], text=True, stdout=subprocess.PIPE, check=False,
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT}/tests"}, timeout=200,
        )  # fmt: skip
        return Path(ended.stdout.strip())

    left = copy(9)
    assert left.read_bytes() == b"1"
    (folder,) = tmp_path.glob("tf_logreg-copies-*")
    os.utime(folder / ".in-use", (0, 0))
    with open(folder / ".in-use", "r+b", buffering=0) as file:
        assert ownership.locked(file)
        assert not copy(0).exists()
        assert left.exists()  # of a process that lives
    copy(0)
    assert list(tmp_path.glob("tf_logreg-copies-*")) == []


def test_digests_of_a_store_are_made_anew_by_each_process(store):
    from tf_logreg.data import digest

    storage.Folder("mem://data").write("a", b"1")
    found = digest.digests({"a": "mem://data/a", "none": "mem://data/none"}, {})
    assert set(found) == {"a"}
    recorded = json.loads(json.dumps(found)) | {"a": {"sha256": "of other bytes, as long", "stamp": [1]}}
    assert digest.digests({"a": "mem://data/a"}, recorded)["a"]["sha256"] == found["a"]["sha256"]
