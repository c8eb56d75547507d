"""Whole runs in a store that fails once in twenty calls: the same bits as on a disk, also when killed and resumed."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import prepared
import pytest
import tensorflow as tf
from hostile_store import registered

import tf_logreg
from tf_logreg import storage
from tf_logreg.results import workdir as directory

ROOT = Path(__file__).parents[1]
MINIBATCH = (
    "--config=numpy_arrays", "--config.solver.name=minibatch", "--config.minibatch.epochs=6",
    "--config.minibatch.batch_size=32", "--config.checkpoint.every_steps=7", "--config.data.test_fraction=0.25",
)  # fmt: skip
# Trains in the store whose files are in argv[1], until it has written argv[2] files.
KILLED = """
import sys
from hostile_store import registered
registered(sys.argv[1], dies_at=int(sys.argv[2]))
sys.argv[1:3] = []
from tf_logreg.__main__ import main
main()
"""


def rows():
    random = np.random.default_rng(3)
    x = random.standard_normal((300, 6))
    return x, (x @ random.standard_normal(6) + random.standard_normal(300) > 0).astype(int)


def filled(base):
    """Files of data in a folder, local or in a store."""
    folder, (x, y) = storage.Folder(base), rows()
    folder.write_arrays("rows.npz", {"x": x, "y": y})
    lines = [
        f"{a:.6f},{'uvw'[int(abs(b) * 9) % 3]},{'yes' if label else 'no'}"
        for (a, b, *_), label in zip(x, y, strict=True)
    ]
    folder.below("table").write_text("one.csv", "\n".join(["size,kind,answer", *lines[:200], ""]))
    folder.below("table").write_text("two.csv", "\n".join(["size,kind,answer", *lines[200:], ""]))
    return base


def same_runs(one, other):
    """Whether two runs have the same bits, wherever they are."""
    one, other = directory.of(one), directory.of(other)
    for name in ("coefficients.npz", "metrics.npz"):
        left, right = one.read_arrays(name), other.read_arrays(name)
        assert left.keys() == right.keys()
        for key in left:
            np.testing.assert_array_equal(left[key], right[key], err_msg=f"{name}: {key}")
    left, right = one.read_json("result.json"), other.read_json("result.json")
    for key in left.keys() - {"seconds"}:
        assert left[key] == right[key], key
    assert one.contents() == other.contents()


def succeeded(command, *flags):
    code, out, err = command(*flags)
    assert code == 0, err
    return out


def whole_run(command, base, *more):
    """Trains, measures and exports in a folder; the work directory."""
    run = f"{base}/run"
    out = succeeded(
        command, *MINIBATCH, f"--config.data.args.path={base}/rows.npz", f"--workdir={run}", *more
    )
    assert f"Everything is in {run}: " in out
    succeeded(command, "--mode=evaluate", f"--workdir={run}")
    assert succeeded(command, "--mode=export", "--version=3", f"--workdir={run}") == f"{run}/export/3\n"
    succeeded(command, *MINIBATCH, f"--config.data.args.path={base}/rows.npz", f"--workdir={run}")  # finished
    return run


@pytest.fixture(scope="module")
def local_base(tmp_path_factory):
    return filled(str(tmp_path_factory.mktemp("local")))


@pytest.fixture
def store(tmp_path):
    found = registered(tmp_path / "store", seed=1)
    filled("mem://bucket")
    return found


def test_a_run_in_a_store_has_the_bits_of_one_on_a_disk(command, local_base, store):
    here, there = whole_run(command, local_base), whole_run(command, "mem://bucket")
    same_runs(here, there)
    assert store.failures > 20
    events = storage.Folder(f"{there}/events").names()
    assert events
    assert all("tfevents" in name for name in events)
    x, _ = rows()
    probabilities = tf_logreg.load(here).predict_proba(x)
    np.testing.assert_array_equal(tf_logreg.load(there).predict_proba(x), probabilities)
    for name in ("export", "export/3"):
        served = tf.saved_model.load(storage.on_disk(f"{there}/{name}")).signatures["serving_default"]
        found = served(features=tf.constant(x, tf.float32))["probabilities"]
        np.testing.assert_allclose(found, probabilities, atol=1e-6)


@pytest.mark.parametrize("files", [5, 11])
def test_a_killed_run_is_resumed_from_the_store(command, local_base, tmp_path, files):
    registered(tmp_path / "store")
    filled("mem://bucket")
    flags = [*MINIBATCH, "--config.data.args.path=mem://bucket/rows.npz", "--workdir=mem://bucket/run"]
    killed = prepared.Process(["-c", KILLED, tmp_path / "store", files, *flags])
    _, err = killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL, err
    run = storage.Folder("mem://bucket/run")
    assert run.below("checkpoints").names()
    assert not run.holds("result.json")
    same_runs(whole_run(command, local_base, "--overwrite"), whole_run(command, "mem://bucket"))


def test_a_table_is_trained_on_described_and_scored(command, local_base, store):
    found = {}
    for base in (local_base, "mem://bucket"):
        run = f"{base}/of_table"
        table = (f"--data={base}/table", "--label=answer")
        succeeded(
            command,
            *table,
            f"--workdir={run}",
            "--config.path.penalty=",
            "--config.cv.folds=0",
            "--config.l2=0.1",
        )
        succeeded(command, "--mode=describe", *table, f"--workdir={base}/described")
        scores = [f"{base}/scores{ending}" for ending in (".csv", ".csv.gz", ".parquet")]
        for output in scores:
            succeeded(
                command, "--mode=predict", f"--workdir={run}", f"--input={base}/table/*.csv", f"--output={output}",
                "--explain=1",
            )  # fmt: skip
        succeeded(command, "--mode=evaluate", f"--workdir={run}", f"--data={base}/table/two.csv")
        schema = storage.Folder(f"{base}/described").read_json("schema.json")
        succeeded(command, *table, f"--workdir={base}/again", f"--config.data.schema={run}", "--config.l2=0.1",
                  "--config.path.penalty=", "--config.cv.folds=0")  # fmt: skip
        found[base] = [
            schema,
            *(storage.Folder(base).read(os.path.basename(output)) for output in scores[::2]),
        ]
        assert json.loads(storage.Folder(run).read("evaluation.json"))["metrics"]["all"]["num_rows"] == 100
    same_runs(f"{local_base}/of_table", "mem://bucket/of_table")
    assert found[local_base] == found["mem://bucket"]


def test_tensorflows_own_file_systems_hold_a_run(command, local_base):
    there = whole_run(command, filled("ram://bucket"))
    same_runs(whole_run(command, local_base, "--overwrite"), there)
    assert storage.Folder(there).below("export").below("3").holds("saved_model.pb")
