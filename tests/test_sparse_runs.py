"""Runs on sparse rows by the command line: what they leave, is read again, measured on other files and served."""

import json
import logging
import signal

import numpy as np
import pytest
import tensorflow as tf
from problems import sparse_rows
from sklearn.datasets import dump_svmlight_file
from worker_runs import ROOT, ended, run_workers, start

import tf_logreg
from tf_logreg import storage
from tf_logreg.model import coefficients
from tf_logreg.model.model import MOST_LAID_OUT

FEATURES = 60
SEVERAL = ["--distribution_strategy=mirrored", "--num_virtual_cpus=4"]  # replicas


def write_rows(path, features=FEATURES, n=200, seed=0, last=True):
    """A file of rows with ids from 1, whose labels the first 60 columns tell; the rows [n, features]."""
    random = np.random.default_rng(seed)
    x = sparse_rows(random, n, features, 10 / features).tolil()
    x[0, -1] = 1.0 if last else 0.0
    x = x.tocsr().astype(np.float32)
    kernel = np.random.default_rng(9).standard_normal(FEATURES)
    score = x[:, :FEATURES] @ kernel[:features] + 0.3 * random.standard_normal(n)
    dump_svmlight_file(x, np.where(score > 0, 1, -1), str(path), zero_based=False)
    return x


def flags_of(path, run, *more):
    return ["--config=libsvm", f"--config.data.args.path={path}", f"--workdir={run}", *more]


@pytest.fixture
def trained(command, tmp_path):
    """(work directory, rows) of a run on sparse rows."""
    x = write_rows(tmp_path / "rows.txt")
    code, _, err = command(*flags_of(tmp_path / "rows.txt", tmp_path / "run", "--config.l2=0.01"))
    assert code == 0, err
    return tmp_path / "run", x


def evaluated(command, run, path):
    """Metrics of a run's model on another file."""
    code, _, err = command(
        "--mode=evaluate", *flags_of(path, run, "--config.data.test_fraction=0.0")
    )  # fmt: skip
    assert code == 0, err
    return json.loads((run / "evaluation.json").read_text())["metrics"]["all"]


def test_what_is_saved_predicts_and_serves_the_same(trained):
    run, x = trained
    model = tf_logreg.load(str(run))
    assert model.sparse
    assert model.feature_names == tuple(map(str, range(1, FEATURES + 1)))
    expected = model.predict_proba(x)
    signatures = tf.saved_model.load(str(run / "export")).signatures
    row = x[[5]]
    ids, values = tf.constant([row.indices], tf.int64), tf.constant([row.data], tf.float32)
    served = signatures["serving_default"](ids=ids, values=values)
    np.testing.assert_allclose(served["probabilities"], expected[5:6], atol=1e-6)
    laid_out = tf.constant(x.toarray(), tf.float32)
    np.testing.assert_allclose(signatures["dense"](features=laid_out)["probabilities"], expected, atol=1e-6)
    keras = tf.keras.models.load_model(run / "model.keras")
    np.testing.assert_allclose(keras(laid_out)[:, 0], expected[:, 1], atol=1e-6)


def test_a_finished_run_is_evaluated_exported_and_not_repeated(command, trained, tmp_path, caplog):
    run, _ = trained
    result = json.loads((run / "result.json").read_text())
    with caplog.at_level(logging.INFO):
        code, _, err = command(*flags_of(tmp_path / "rows.txt", run, "--config.l2=0.01"))
    assert code == 0, err
    assert "holds this run, finished" in caplog.text
    code, _, err = command("--mode=evaluate", f"--workdir={run}")
    assert code == 0, err
    assert json.loads((run / "evaluation.json").read_text())["metrics"] == result["metrics"]
    code, _, err = command("--mode=export", f"--workdir={run}", "--version=3")
    assert code == 0, err
    assert set(tf.saved_model.load(str(run / "export/3")).signatures) == {"serving_default", "dense", "names"}


def test_files_with_fewer_and_with_more_columns_are_evaluated(command, trained, tmp_path, caplog):
    run, _ = trained
    model = tf_logreg.load(str(run))
    few = write_rows(tmp_path / "few.txt", features=40, seed=1)
    found = evaluated(command, run, tmp_path / "few.txt")
    assert "left out" not in caplog.text
    probabilities = model.predict_proba(np.pad(few.toarray(), [(0, 0), (0, FEATURES - 40)]))
    assert found["prediction/mean"] == pytest.approx(probabilities[:, 1].mean(), rel=1e-5)
    more = write_rows(tmp_path / "more.txt", features=70, seed=2)
    found = evaluated(command, run, tmp_path / "more.txt")
    said = (
        f"10 columns, with {more[:, FEATURES:].nnz} of {more.nnz} values, are none of the run's 60 features"
    )
    assert said in caplog.text
    probabilities = model.predict_proba(more[:, :FEATURES])
    assert found["prediction/mean"] == pytest.approx(probabilities[:, 1].mean(), rel=1e-5)


def test_above_100_000_features_there_is_no_keras_model_and_nothing_misses_it(command, tmp_path, caplog):
    features, run = MOST_LAID_OUT + 1, tmp_path / "run"
    x = write_rows(tmp_path / "rows.txt", features)
    flags = flags_of(tmp_path / "rows.txt", run, "--config.l2=0.01")
    with caplog.at_level(logging.INFO):
        code, out, err = command(*flags)
    assert code == 0, err
    assert f"model.keras takes dense rows: it is left out with {features} features" in caplog.text
    assert "model.keras" not in out
    assert not (run / "model.keras").exists()
    for more in (flags, ["--mode=evaluate", f"--workdir={run}"], ["--mode=export", f"--workdir={run}"]):
        code, out, err = command(*more)
        assert code == 0, err
    assert (run / "coefficients.npz").stat().st_size < 16 * x.nnz + 4096
    assert set(tf.saved_model.load(str(run / "export")).signatures) == {"serving_default", "names"}
    assert tf_logreg.load(str(run)).predict_proba(x).shape == (200, 2)


def test_a_path_keeps_what_is_not_zero(command, tmp_path):
    write_rows(tmp_path / "rows.txt")
    more = [
        "--config.path.penalty=l1",
        "--config.path.num=4",
        "--config.path.ratio=0.2",
        "--config.cv.folds=3",
    ]
    code, _, err = command(*flags_of(tmp_path / "rows.txt", tmp_path / "run", *more))
    assert code == 0, err
    folder = storage.Folder(str(tmp_path / "run"))
    path, model = folder.read_arrays("path.npz"), coefficients.read(folder)
    kernels = np.zeros(path["kernel_shape"])
    kernels.flat[path["kernel_index"]] = path["kernel_value"]
    assert str(path["first_feature_name"]) == "1"
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (kernels != 0).sum(axis=(-2, -1)).tolist() == result["path"]["nonzeros"]
    assert kernels.shape[-2:] == model.kernel.shape


@pytest.mark.parametrize("more", [["--config.solver.name=minibatch"], ["--engine=devices"], SEVERAL])
def test_engines_that_do_not_read_sparse_rows_say_so(command, tmp_path, more):
    write_rows(tmp_path / "rows.txt")
    code, out, err = command(*flags_of(tmp_path / "rows.txt", tmp_path / "run", *more))
    assert (code, out) == (2, "")
    assert "data: sparse rows are fitted by NumPy, to the optimum: expected --engine=auto" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_devices_that_were_found_and_not_asked_for_are_left_where_rows_are_sparse(command, tmp_path):
    write_rows(tmp_path / "rows.txt")
    for name, found in (("one", []), ("two", ["--num_virtual_cpus=2"])):
        code, _, err = command(*flags_of(tmp_path / "rows.txt", tmp_path / name, *found))
        assert code == 0, err
    one, two = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "two"))
    assert (two["engine"], two["num_replicas"]) == ("host", 1)
    assert two["objective"] == one["objective"]


def test_several_replicas_evaluate_what_one_fitted(command, trained):
    run, _ = trained
    code, _, err = command("--mode=evaluate", f"--workdir={run}", *SEVERAL)
    assert code == 0, err
    found, result = (
        json.loads((run / name).read_text())["metrics"] for name in ("evaluation.json", "result.json")
    )
    for split in found:
        assert found[split]["log_loss"] == pytest.approx(result[split]["log_loss"], rel=1e-12)


# Dies by SIGKILL behind the save whose number is argv[1], of a fit that saves whenever it may.
KILLED = """
import os, signal, sys
import tf_logreg.fit.checkpoint as checkpoint
from tf_logreg import cli
from tf_logreg.fit.full_batch import saving
last, saves, save = int(sys.argv.pop(1)), 0, checkpoint.Checkpoints.save
saving._SECONDS_BETWEEN_CHECKPOINTS = 0.0

def counted(self, *args):
    global saves
    saves += 1
    save(self, *args)
    if saves == last:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.Checkpoints.save = counted
cli.main()
"""
CASES = {
    "l1": ["--config.l1=1e-3"],
    "path": ["--config.path.penalty=l2", "--config.path.num=4", "--config.cv.folds=3"],
}


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_a_fit_of_sparse_rows_that_is_killed_goes_on_to_the_same_bits(tmp_path, case):
    write_rows(tmp_path / "rows.txt", features=900, n=400)
    flags = flags_of(tmp_path / "rows.txt", tmp_path / "killed", *CASES[case])
    process = start("-c", KILLED, 2, *flags)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    (code,), _, err = ended([start(ROOT / "run.py", *flags)])
    assert code == 0, err
    flags = flags_of(tmp_path / "rows.txt", tmp_path / "unbroken", *CASES[case])
    (code,), _, err = ended([start(ROOT / "run.py", *flags)])
    assert code == 0, err
    killed, unbroken = (np.load(tmp_path / name / "coefficients.npz") for name in ("killed", "unbroken"))
    for name in unbroken.files:
        np.testing.assert_array_equal(killed[name], unbroken[name])


@pytest.mark.long
@pytest.mark.parametrize("num_rows", [301, 40])  # of 64 shards; those of few rows leave some empty
def test_two_workers_find_what_one_finds(tmp_path, num_rows):
    write_rows(tmp_path / "rows.txt", features=700, n=num_rows)
    objective = []
    for count in (1, 2):
        flags = flags_of(
            tmp_path / "rows.txt", tmp_path / str(count), "--config.l2=1e-3", "--config.solver.tol=1e-10",
            "--dtype=float64", "--config.data.test_fraction=0.0",
        )  # fmt: skip
        flags = [flag for flag in flags if not flag.startswith("--workdir")]
        codes, _, err = ended(run_workers(count, *flags, workdir=tmp_path / str(count)))
        assert not any(codes), err
        result = json.loads((tmp_path / str(count) / "result.json").read_text())
        assert (result["status"], result["num_workers"]) == ("optimal", count)
        objective.append(result["objective"])
    assert objective[0] == pytest.approx(objective[1], rel=1e-9)
