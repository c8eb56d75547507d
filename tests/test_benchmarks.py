"""The benchmarks' own parts: planted rows, gaps of answers whoever found them, and a whole small run."""

import runpy
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
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


def test_the_objective_is_that_of_the_definition(benchmarks):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((7, 3)), rng.standard_normal(3)
    binary, three, kernel = np.arange(7) % 2, np.arange(7) % 3, rng.standard_normal((3, 3))
    losses = np.log1p(np.exp(-(2 * binary - 1) * (x @ w + 0.5)))
    found = benchmarks("gaps").objective(x, binary, w[:, None], np.array([0.5]), {"l1": 0.3, "l2": 0.0})
    assert found == pytest.approx(losses.sum() + 0.3 * np.abs(w).sum(), rel=1e-14)
    z = np.exp(x @ kernel)
    losses = -np.log(z[np.arange(7), three] / z.sum(axis=1))
    found = benchmarks("gaps").objective(x, three, kernel, np.zeros(3), {"l1": 0.0, "l2": 2.0})
    assert found == pytest.approx(losses.sum() + (kernel**2).sum(), rel=1e-14)


def test_the_largest_l1_leaves_no_coefficient(benchmarks, tmp_path):
    problems, gaps = benchmarks("race_problems"), benchmarks("gaps")
    problems.write(problems.Problem("digits_odd", "", share=1.0), str(tmp_path))
    x, y, penalty = problems.read(str(tmp_path), "float64")
    empty = gaps.objective(x, y, np.zeros((64, 1)), np.zeros(1), penalty)
    for j in range(64):
        for step in (-1e-4, 1e-4):
            kernel = np.zeros((64, 1))
            kernel[j] = step
            assert gaps.objective(x, y, kernel, np.zeros(1), penalty) > empty - 1e-9
    penalty["l1"] *= 0.9
    assert min(
        gaps.objective(x, y, step * np.eye(64)[:, [j]], np.zeros(1), penalty)
        for j in range(64)
        for step in (-1e-4, 1e-4)
    ) < empty - 1e-5  # fmt: skip


def test_a_sweep_stops_where_each_goal_is_reached(benchmarks):
    sweep, asked = benchmarks("sweep"), []

    def measure(tol):
        asked.append(tol)
        return {"tol": tol, "gap": tol**2, "seconds": [1 / tol]}

    points = sweep.walk(measure, sweep.GOALS, 1.0, np.inf)
    assert len(points) == len(asked) == len(set(asked))
    for goal in sweep.GOALS:
        assert goal**0.5 / 3.2 < sweep.best(points, goal)["tol"] <= goal**0.5
    assert min(asked) > 1e-5 / 2


def test_a_sweep_ends_where_tighter_tolerances_no_longer_help(benchmarks):
    def measure(tol):
        return {"tol": tol, "gap": max(tol, 1e-4), "seconds": [1.0]}

    points = benchmarks("sweep").walk(measure, [1e-3, 1e-6], 1.0, np.inf)
    assert min(point["gap"] for point in points) == 1e-4
    assert min(point["tol"] for point in points) == pytest.approx(1e-8)


@pytest.mark.parametrize("name", ["ours", "scikit-learn liblinear"])
def test_contenders_minimise_the_same_l1_objective(benchmarks, tmp_path, name):
    problems = benchmarks("race_problems")
    problems.write(problems.PROBLEMS["l1 breast_cancer"], str(tmp_path))
    x, y, penalty = problems.read(str(tmp_path), "float64")
    assert benchmarks("classifiers").fits(name, 2, penalty)
    kernel, bias = benchmarks("classifiers").fit(name, x, y, penalty, 1e-8)
    assert not bias.any()
    slope = x.T @ (1 / (1 + np.exp(-x @ kernel[:, 0])) - y)
    assert np.abs(slope).max() <= penalty["l1"] * (1 + 1e-4)
    assert np.allclose(slope[kernel[:, 0] != 0], -penalty["l1"] * np.sign(kernel[kernel != 0]), rtol=1e-3)


def test_other_problems_are_refused_by_name(benchmarks):
    problems = benchmarks("race_problems")
    assert problems.chosen("iris,small")[:2] == ["iris", "simulated 200 x 500"]
    with pytest.raises(ValueError, match="'mushrooms' is not one of small, large"):
        problems.chosen("mushrooms")


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_benchopt_is_given_the_optimum_of_its_objective(monkeypatch, penalty):
    monkeypatch.setitem(sys.modules, "benchopt", types.SimpleNamespace(BaseSolver=object))
    scope = runpy.run_path(str(BENCHMARKS / "benchopt" / "tf_logreg.py"))
    solver = scope["Solver"]()
    solver.penalty = penalty
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 4))
    y = np.where(x[:, 0] + rng.standard_normal(80) > 0, 1, -1)
    assert solver.skip(x, y, 2.0) == (False, None)
    assert solver.skip(csr_array(x), y, 2.0)[0]
    solver.set_objective(x, y, 2.0)
    solver.run(1e-9)
    beta = solver.get_result()["beta"]
    assert solver.model.tol == 1e-12
    solver.run(0.5)
    assert solver.model.tol == 0.1 / 16
    slope = -x.T @ (y / (1 + np.exp(y * (x @ beta))))
    assert beta.shape == (4,)
    if penalty == "l2":
        assert np.allclose(slope, -2 * beta, atol=1e-4)
    else:
        assert (beta == 0).any()
        assert np.abs(slope).max() < 2 + 1e-4
        assert np.allclose(slope[beta != 0], -2 * np.sign(beta[beta != 0]), atol=1e-4)


def run(script, *options):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *options], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.long
def test_a_contender_is_stopped_and_the_next_is_measured(benchmarks, tmp_path):
    problems, worker = benchmarks("race_problems"), benchmarks("worker")
    problems.write(problems.PROBLEMS["odd"], str(tmp_path))
    one = worker.Worker("sklearn", 1)
    assert one.ask(0.0, worker.measured, "scikit-learn saga", str(tmp_path), "float64", 1e-12, True) == {}
    assert one.ask(60, worker.measured, "scikit-learn lbfgs", str(tmp_path), "tables", 1e-3, True) == {}
    found = one.ask(60, worker.measured, "scikit-learn lbfgs", str(tmp_path), "float64", 1e-3, False)
    one.close()
    assert 0 < found["objective"] < 1797 * np.log(2)
    assert all(seconds > 0 for seconds in found["seconds"])


def test_growth_in_proportion_has_a_slope_of_one(benchmarks):
    growth = benchmarks("growth")
    assert growth.slopes((10, 20, 40), [0.1, 0.2, 0.8]) == pytest.approx([1, 2])
    assert growth.table("rows", (1000, 2000), [0.1, 0.2]).splitlines()[-1] == "| 2,000 | 0.2000 | 1.00 |"


@pytest.mark.long
def test_growth_is_measured_and_drawn(tmp_path):
    options = ["--only=rows,problems", "--scale=0.01", "--repeats=1", f"--picture={tmp_path}/growth.png"]
    printed = run("growth.py", *options)
    assert "| 10,000 |" in printed
    assert "| 64 |" in printed
    assert (tmp_path / "growth.png").stat().st_size > 1000


@pytest.mark.long
def test_a_small_problem_is_measured_and_not_measured_twice(tmp_path):
    options = ["--problems=iris", "--only=ours,cholesky", f"--results={tmp_path}"]
    printed = run("estimator.py", *options, "--profile")
    lines = [line for line in printed.splitlines() if line.startswith(("| ours", "| scikit-learn newton"))]
    assert len(lines) == 2, printed
    assert all(float(line.split("|")[7]) <= 1e-6 for line in lines)
    assert "full_batch/loop.py" in printed
    before = (tmp_path / "iris.json").read_text()
    assert [
        line for line in run("estimator.py", *options).splitlines() if line.startswith("| ours")
    ] == lines[:1]
    assert (tmp_path / "iris.json").read_text() == before


@pytest.mark.long
def test_a_small_race_is_run(tmp_path):
    printed = run(
        "race.py", "--problems=l1 breast_cancer,a9a 1", "--only=ours,liblinear", f"--results={tmp_path}"
    )
    assert "a9a 1: no --a9a, left out" in printed
    for name in ("ours", "scikit-learn liblinear"):
        row = next(line for line in printed.splitlines() if line.startswith(f"| {name}"))
        assert all(float(cell) > 0 for cell in row.split("|")[2:6]), row
    assert printed.count("| l1, breast_cancer, 0.1") == 2
    assert (tmp_path / "race.png").stat().st_size > 1000
    assert "| ours" in (tmp_path / "race.md").read_text()


def test_sparse_problems_come_back_from_their_folder(benchmarks, tmp_path):
    problems, gaps = benchmarks("race_problems"), benchmarks("gaps")
    for rows, a_row in (("text 200 1000 20", 20), ("onehot 200 30 3", 3)):
        problems.write(problems.Problem(rows, "", 1.0, intercept=True), str(tmp_path))
        x, y, penalty = problems.read(str(tmp_path), "sparse")
        again, _ = problems.rows(rows)
        assert x.shape == tuple(int(size) for size in rows.split()[1:3])
        assert (x != again).nnz == 0
        assert x.nnz <= 200 * a_row
        assert set(y) == {0, 1}
        kernel, bias = benchmarks("classifiers").fit("ours", x, y, penalty, 1e-8)
        dense = gaps.objective(x.toarray(), y, kernel, bias, penalty)
        assert gaps.objective(x, y, kernel, bias, penalty) == pytest.approx(dense, rel=1e-13)
        model = LogisticRegression(solver="newton-cholesky", tol=1e-10).fit(x.toarray(), y)
        truth = gaps.objective(x, y, model.coef_.T, model.intercept_, penalty)
        assert dense == pytest.approx(truth, rel=1e-6)


def test_text_has_rows_of_length_one_and_frequent_words(benchmarks):
    x, _ = benchmarks("planted").text(500, 1000, 30)
    assert np.allclose(np.square(x.toarray()).sum(axis=1), 1)
    times = np.diff(x.tocsc().indptr)
    assert times[:10].mean() > 5 * times[-500:].mean()


def test_contenders_of_tables_fit_the_same_problem(benchmarks, tmp_path):
    tables = benchmarks("tables")
    for form in ("parquet", "csv"):
        tables.write(str(tmp_path), form, 2000)
        path, parts = str(tmp_path / f"table.{form}"), tables.Parts()
        ours = tables.ours(path, parts, {"gap": 1e-6})
        theirs = tables.scikit_learn(path, parts, {"gap": 1e-6, "lower": ours["lower"]})
        assert set(parts.found) == set(tables.PARTS)
        assert ours["features"] == theirs["features"]
        assert theirs["objective"] == pytest.approx(ours["objective"], abs=1e-6)
        found = {"ours": {**ours, "parts": parts.found}, "glum": {}}
        assert tables.table(form, 2000, found).startswith(f"| {form}, 2,000 rows ")
