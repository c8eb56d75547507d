"""The benchmarks' own parts: planted rows, gaps of answers whoever found them, and a whole small run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    """Imports a module of benchmarks/ by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return __import__


def test_planted_rows_are_the_same_at_every_call(benchmarks):
    planted = benchmarks("planted")
    x, y = planted.rows(500, 8, 3)
    again, labels = planted.rows(500, 8, 3)
    assert x.dtype == np.float32
    assert np.array_equal(x, again)
    assert np.array_equal(y, labels)
    assert set(y) == {0, 1, 2}


def test_pixels_are_like_their_neighbours(benchmarks):
    x, _ = benchmarks("planted").rows(2000, 8, 2, pixels=True)
    assert np.corrcoef(x.T)[0, 1] == pytest.approx(0.99, abs=0.005)


def test_images_are_read_with_their_labels(benchmarks, tmp_path):
    pixels, labels = np.arange(24, dtype=np.uint8).reshape(2, 12), np.array([7, 3], np.uint8)
    (tmp_path / "t-images-idx3-ubyte").write_bytes(bytes(16) + pixels.tobytes())
    (tmp_path / "t-labels-idx1-ubyte").write_bytes(bytes(8) + labels.tobytes())
    x, y = benchmarks("planted").read_images(str(tmp_path / "t-images-idx3-ubyte"))
    assert np.allclose(255 * x, pixels)
    assert y.tolist() == [7, 3]


def test_the_gap_of_an_answer_is_its_excess(benchmarks):
    gaps = benchmarks("gaps")
    x, y = load_iris(return_X_y=True)
    fits = [LogisticRegression(solver="newton-cholesky", tol=tol).fit(x, y) for tol in (1e-12, 1e-1)]
    best, rough = gaps.certify(x, y, [(m.coef_.T, m.intercept_, 0.0, 1 / len(y)) for m in fits])
    assert best.gap < 1e-12
    assert rough.gap >= rough.objective - best.objective > 1e-8
    assert gaps.null_loss(y) == pytest.approx(np.log(3))


@pytest.mark.long
def test_a_small_problem_is_measured():
    command = [sys.executable, str(BENCHMARKS / "estimator.py"), "--problems=iris", "--only=ours,cholesky"]
    done = subprocess.run(
        [*command, "--processes=1", "--repeats=2", "--profile"], capture_output=True, text=True, check=True
    )
    lines = [
        line for line in done.stdout.splitlines() if line.startswith(("| ours", "| scikit-learn newton"))
    ]
    assert len(lines) == 2, done.stdout + done.stderr
    assert all(float(line.split("|")[7]) <= 1e-6 for line in lines)
    assert "full_batch/loop.py" in done.stdout
