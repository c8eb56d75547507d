"""Rows that are made once: in memory or kept on the disk, gone on with after a kill, and read by later runs."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tf_logreg import config as configs
from tf_logreg import ownership, training
from tf_logreg.data import images, kept_rows
from tf_logreg.data.load import load
from tf_logreg.errors import InputError
from tf_logreg.modes import evaluate

SIZE = (10, 8)


def everything(source):
    """X and y of all rows."""
    batch = source.host(np.arange(sum(map(len, source.splits.values()))))
    return batch.x, batch.y


def kept(folder):
    """The one folder of kept rows."""
    (found,) = folder.iterdir()
    return found


def test_rows_on_the_disk_are_those_in_memory_and_are_made_once(
    photographs, tmp_path, on_disk, monkeypatch, caplog
):
    with monkeypatch.context() as patch:
        patch.setattr(kept_rows, "SHARE", 1)
        x, y = everything(load("tfds", folder=photographs, resize=SIZE, cache_dir=str(tmp_path)))
        assert not list(tmp_path.iterdir())
    with caplog.at_level("INFO"):
        first = load("tfds", folder=photographs, resize=SIZE, cache_dir=str(tmp_path))
    assert f"kept in {kept(tmp_path)}" in caplog.text
    assert kept(tmp_path).name.startswith("photographs_1.0.0-")
    assert sorted(path.name for path in kept(tmp_path).iterdir()) == ["rows.json", "x", "y"]
    assert (kept(tmp_path) / "x").stat().st_size == 52 * 10 * 8 * 3
    monkeypatch.setattr(images, "decoder", None)
    with caplog.at_level("INFO"):
        again = load("tfds", folder=photographs, resize=SIZE, cache_dir=str(tmp_path))
    assert "where an earlier run kept them" in caplog.text
    rows = np.array([51, 0, 7])
    for source in (first, again):
        assert source.place(43) == "row 3 of split 'validation' of photographs/1.0.0"
        np.testing.assert_array_equal(everything(source)[0], x)
        np.testing.assert_array_equal(everything(source)[1], y)
        np.testing.assert_array_equal(source.read(tf.constant(rows)).x, x[rows])


def test_what_rows_were_made_from_names_their_folder(photographs, tmp_path, on_disk):
    for more in ({}, {"splits": ("train",)}, {"resize": (4, 4)}):
        load("tfds", **{"folder": photographs, "resize": SIZE, "cache_dir": str(tmp_path), **more})
    copy = shutil.copytree(photographs, tmp_path / "elsewhere" / "photographs" / "1.0.0")
    assert len(list(tmp_path.glob("photographs*"))) == 3
    load("tfds", folder=str(copy), resize=SIZE, cache_dir=str(tmp_path))  # the same bytes elsewhere
    assert len(list(tmp_path.glob("photographs*"))) == 3


@pytest.mark.parametrize("tail", [b"", b"half a row"])
def test_a_killed_run_is_gone_on_with_to_the_same_bytes(photographs, tmp_path, on_disk, monkeypatch, tail):
    given = {"folder": photographs, "resize": SIZE}
    load("tfds", **given, cache_dir=str(tmp_path / "whole"))
    decoder, blocks = images.decoder, []

    def dying(*arguments, **options):
        decode = decoder(*arguments, **options)

        def of_block(records):
            if len(blocks) == 4:
                raise SystemError("killed")
            blocks.append(len(records))
            return decode(records)

        return of_block

    monkeypatch.setattr("tf_logreg.machine.cores", lambda: 1)
    monkeypatch.setattr(images, "decoder", dying)
    with pytest.raises(SystemError):
        load("tfds", **given, cache_dir=str(tmp_path / "killed"))
    folder = kept(tmp_path / "killed")
    assert not (folder / "rows.json").exists()
    done = json.loads((folder / "progress.json").read_text())["records"]["train"]
    assert done in range(5, 21, 5)
    for name in "xy":
        with open(folder / name, "ab") as file:
            file.write(tail)
    blocks.clear()
    blocks += [0] * 99  # dies no more, and counts what is decoded
    load("tfds", **given, cache_dir=str(tmp_path / "killed"))
    assert sum(blocks) == 52 - done
    for name in ("x", "y", "rows.json"):
        assert (folder / name).read_bytes() == (kept(tmp_path / "whole") / name).read_bytes()


DAMAGE = {
    "cut short": lambda folder: (folder / "x").write_bytes((folder / "x").read_bytes()[:-1]),
    "too long": lambda folder: (folder / "y").write_bytes((folder / "y").read_bytes() + b"1"),
    "gone": lambda folder: (folder / "x").unlink(),
    "no marker": lambda folder: (folder / "rows.json").write_text("{"),
    "another marker": lambda folder: (folder / "rows.json").write_text(
        '{"format": "tf_logreg rows", "version": 2}'
    ),
    "a damaged marker": lambda folder: (folder / "rows.json").write_text(
        json.dumps(json.loads((folder / "rows.json").read_text()) | {"rows": None})
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_rows_are_made_again(photographs, tmp_path, on_disk, damage, caplog):
    given = {"folder": photographs, "resize": SIZE, "cache_dir": str(tmp_path)}
    x, y = everything(load("tfds", **given))
    x = x.copy()
    damage(kept(tmp_path))
    found = everything(load("tfds", **given))
    assert "the rows there are damaged, and made again" in caplog.text
    np.testing.assert_array_equal(found[0], x)
    np.testing.assert_array_equal(found[1], y)


def test_a_disk_without_room(photographs, tmp_path, on_disk, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("", (), {"free": 1000}))
    with pytest.raises(
        InputError, match=r"data.cache_dir: expected room for 0.00 GiB of rows. Received: .*0.00 GiB are free"
    ):
        load("tfds", folder=photographs, resize=SIZE, cache_dir=str(tmp_path))


def config_of(folder, **more):
    config = configs.get_config()
    config.data.source, config.data.args = "tfds", {"folder": folder, "resize": SIZE}
    config.data.validation_split, config.solver.name = "validation", "minibatch"
    config.data.update(more)
    config.minibatch.update(epochs=2, batch_size=8)
    return config


def test_runs_from_memory_and_from_the_disk_give_the_same_bits(
    photographs, tmp_path, strategies, on_disk, monkeypatch
):
    found = []
    for name, share, fraction in (("memory", 1, 0.5), ("disk", 0, 0.5), ("streamed", 0, 0.0)):
        monkeypatch.setattr(kept_rows, "SHARE", share)
        config, run = config_of(photographs, cache_dir=str(tmp_path / "cache")), str(tmp_path / name)
        training.train_and_evaluate(
            config, run, strategy=strategies["mirrored"], device_memory_fraction=fraction
        )
        found.append(np.load(tmp_path / name / "coefficients.npz")["kernel"])
    assert len(found[0]) == 10 * 8 * 3
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
    numbers = evaluate.evaluate_run(run, strategy=strategies["one_device"])
    assert numbers["validation"]["num_rows"] == 12


def test_another_process_that_makes_the_same_rows_is_waited_for(
    photographs, tmp_path, on_disk, monkeypatch, caplog
):
    monkeypatch.setattr(ownership, "_SECONDS_TO_SAY", 0)
    given = {"folder": photographs, "resize": SIZE}
    load("tfds", **given, cache_dir=str(tmp_path / "made"))
    folder = tmp_path / "cache" / kept(tmp_path / "made").name
    done = []

    def end_soon(seconds):
        """While it is waited for, the other process ends its work."""
        if not done:
            done.append(shutil.copytree(kept(tmp_path / "made"), folder, dirs_exist_ok=True))
            other.__exit__(None, None, None)

    other = ownership.held(str(folder), "data.cache_dir")
    other.__enter__()
    monkeypatch.setattr(ownership.time, "sleep", end_soon)
    monkeypatch.setattr(images, "decoder", None)
    with caplog.at_level("INFO"):
        load("tfds", **given, cache_dir=str(tmp_path / "cache"))
    assert f"{folder} is in use by process" in caplog.text
