"""Files of sparse rows on the command line: trained on, measured, and refused with their line."""

import gzip
import json

import numpy as np
import pytest
import scipy.sparse
from problems import sparse_rows
from sklearn.datasets import dump_svmlight_file

RNG = np.random.default_rng(0)
X = sparse_rows(RNG, 300, 20, 0.3)
Y = np.where(X @ RNG.normal(size=20) + 0.1 * RNG.normal(size=300) > 0, 1, -1)


def dump(x, y, path):
    dump_svmlight_file(x, y, str(path), zero_based=False)
    return path


def metrics(workdir):
    return json.loads((workdir / "evaluation.json").read_text())["metrics"]


def test_a_run_on_a_file_and_its_measure_on_files_of_other_columns(tmp_path, command, caplog):
    train, work = dump(X[:200], Y[:200], tmp_path / "train.txt"), tmp_path / "run"
    (tmp_path / "train.gz").write_bytes(gzip.compress(train.read_bytes()))
    test = dump(X[200:], Y[200:], tmp_path / "test.txt")
    code, out, err = command(
        "--config=libsvm", f"--config.data.args.path={tmp_path}/train.gz", f"--config.data.args.test_path={test}",
        "--config.data.test_split=test", "--config.data.test_fraction=0.0", f"--workdir={work}",
    )  # fmt: skip
    assert code == 0, err
    assert "optimal" in out
    result = json.loads((work / "result.json").read_text())
    assert result["status"] == "optimal"
    assert result["num_features"] == 20
    assert result["metrics"]["test"]["num_rows"] == 100
    # The same rows from another kind of file, and with columns that the run does not know.
    few, more = X[200:, :10], scipy.sparse.hstack([X[200:], np.ones((100, 2))], format="csr")
    for x in (X[200:], few, more):
        path = dump(x, Y[200:], tmp_path / "other.txt")
        code, _, err = command(
            "--mode=evaluate", "--config=libsvm", f"--config.data.args.path={path}", "--config.data.test_fraction=0.0",
            f"--workdir={work}",
        )  # fmt: skip
        assert code == 0, err
        assert ("2 columns, with 200 of" in caplog.text) == (x is more)
        same = metrics(work)["all"]["log_loss"] == pytest.approx(
            result["metrics"]["test"]["log_loss"], rel=1e-12
        )
        assert same == (x is not few)


def test_a_run_on_a_sparse_matrix_beside_its_labels(tmp_path, command):
    scipy.sparse.save_npz(tmp_path / "x.npz", scipy.sparse.csc_array(X))
    np.save(tmp_path / "y.npy", Y)
    code, _, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/x.npz", f"--config.data.args.labels={tmp_path}/y.npy",
        "--dtype=float64", f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert code == 0, err
    sparse = json.loads((tmp_path / "run" / "result.json").read_text())
    np.savez(tmp_path / "dense.npz", x=X.toarray(), y=Y)
    code, _, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/dense.npz", "--dtype=float64", f"--workdir={tmp_path}/dense",
    )  # fmt: skip
    assert code == 0, err
    dense = json.loads((tmp_path / "dense" / "result.json").read_text())
    assert sparse["objective"] == pytest.approx(dense["objective"], abs=1e-9)


BAD = {
    "no label": ("1:2 3:4\n", "no label"),
    "text": ("1 1:abc\n", "value a finite number"),
    "an id twice": ("1 1:2 1:3\n", "each id once"),
    "a negative id": ("1 -1:2\n", "id a whole number"),
    "a huge id": ("1 3000000000:2\n", "id a whole number"),
    "NaN": ("1 1:nan\n", "value a finite number"),
    "infinity": ("1 1:inf\n", "value a finite number"),
}


@pytest.mark.parametrize(("line", "message"), BAD.values(), ids=BAD)
def test_a_bad_line_is_exit_code_2_with_file_and_line(tmp_path, command, line, message):
    (tmp_path / "a.txt").write_text(f"0 1:1\n\n{line}0 2:5\n")
    code, _, err = command(
        "--config=libsvm", f"--config.data.args.path={tmp_path}/a.txt", f"--workdir={tmp_path}/run"
    )
    assert code == 2
    assert message in err
    assert "in line 3 of" in err
    assert f"{tmp_path}/a.txt" in err


def test_id_0_where_ids_count_from_1_an_empty_file_and_labels_of_other_rows(tmp_path, command):
    path, work = tmp_path / "a.txt", f"--workdir={tmp_path}/run"
    path.write_text("0 1:1\n1 0:5\n")
    code, _, err = command(
        "--config=libsvm", f"--config.data.args.path={path}", work, "--config.data.args.zero_based=False"
    )
    assert code == 2
    assert f"Received: '0:5' in line 2 of '{path}'" in err
    path.write_text("")
    code, _, err = command("--config=libsvm", f"--config.data.args.path={path}", work)
    assert code == 2
    assert f"Received: none in '{path}'" in err
    scipy.sparse.save_npz(tmp_path / "x.npz", X)
    np.save(tmp_path / "y.npy", Y[:7])
    code, _, err = command(
        "--config=numpy_arrays",
        f"--config.data.args.path={tmp_path}/x.npz",
        f"--config.data.args.labels={tmp_path}/y.npy",
        work,
    )
    assert code == 2
    assert "expected 300 labels" in err
    assert "Received: 7 in" in err
