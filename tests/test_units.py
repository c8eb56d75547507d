"""The same problem in another unit has the same answer: columns, weights and penalties of any size."""

import json

import numpy as np
import pytest
import scipy.optimize

from tf_logreg import storage
from tf_logreg.model import coefficients

N = 120


def planted(seed=0, p=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, p)) + rng.normal(size=p)
    y = (x @ rng.normal(size=p) + rng.logistic(size=N) > 0).astype(int)
    return x, y


def reference(x, y, l2, weight=None):
    """Logits [n] and log loss at the optimum of standardised columns, in plain float64."""
    share = np.ones(len(y)) / len(y) if weight is None else weight / weight.sum()
    mean = share @ x
    columns = (x - mean) / np.sqrt(share @ (x - mean) ** 2)
    columns, sign = np.column_stack([columns, np.ones(len(y))]), 1 - 2.0 * y
    penalty = l2 * np.append(np.ones(x.shape[1]), 0)
    w = np.zeros(columns.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-columns @ w))
        gradient = columns.T @ (share * (p - y)) + penalty * w
        w = w - np.linalg.solve((columns.T * (share * p * (1 - p))) @ columns + np.diag(penalty), gradient)
    return columns @ w, share @ np.logaddexp(0, sign * (columns @ w))


@pytest.fixture
def fitted(command, tmp_path):
    """(x, y, fields, weight=None) -> (exit code, result, coefficients in float64, stderr)."""

    def run(x, y, *fields, weight=None, name="run"):
        more = {} if weight is None else {"weight": weight}
        np.savez(tmp_path / f"{name}.npz", x=x, y=y, **more)
        code, out, err = command(
            "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/{name}.npz",
            "--config.data.test_fraction=0.0", "--config.data.validation_fraction=0.0", "--config.solver.tol=1e-10", *fields,
            f"--workdir={tmp_path}/{name}",
        )  # fmt: skip
        if code:
            return code, None, None, out + err
        result = json.loads((tmp_path / name / "result.json").read_text())
        return code, result, coefficients.read(storage.Folder(str(tmp_path / name))), out + err

    return run


def logits(x, found):
    return x.astype(np.float64) @ found.kernel[:, 0] + found.bias[0]


@pytest.mark.parametrize(
    "exponents", [(-123, 0, 0), (-570, 3, 0), (40, 55, 0), (-900, -120, 50), (-498, 50, -20)], ids=str
)
def test_columns_times_powers_of_two(fitted, exponents):
    x, y = planted()
    z, loss = reference(x, y, 1e-2)
    scaled = np.ldexp(x, np.array(exponents))
    code, result, found, err = fitted(scaled, y, "--config.l2=0.01")
    assert code == 0, err
    assert result["status"] == "optimal", result["message"]
    np.testing.assert_allclose(logits(scaled, found), z, atol=2e-4)
    assert result["metrics"]["train"]["log_loss"] == pytest.approx(loss, abs=1e-6)


def test_a_power_of_two_changes_no_bit(fitted):
    x, y = planted()
    _, _, before, _ = fitted(x, y, "--config.l2=0.01", name="before")
    _, _, after, _ = fitted(np.ldexp(x, [-700, 30, 50]), y, "--config.l2=0.01", name="after")
    np.testing.assert_array_equal(np.ldexp(after.kernel, [[-700], [30], [50]]), before.kernel)
    np.testing.assert_array_equal(after.bias, before.bias)


@pytest.mark.parametrize("exponent", [-126, -140])
def test_float32_columns_of_subnormal_size(fitted, exponent):
    x, y = planted()
    x = np.ldexp(x, [exponent, 0, 0]).astype(np.float32)
    z, loss = reference(np.ldexp(x.astype(np.float64), [-exponent, 0, 0]), y, 1e-2)
    code, result, found, err = fitted(x, y, "--config.l2=0.01")
    assert code == 0, err
    assert result["status"] == "optimal", result["message"]
    assert found.dtype == "float64"
    np.testing.assert_allclose(logits(x, found), z, atol=2e-4)
    assert result["metrics"]["train"]["log_loss"] == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("value", [1e-300, 5e-324, 1e300])
def test_columns_whose_coefficients_are_no_numbers_are_named(fitted, value):
    x, y = planted()
    with np.errstate(under="ignore"):
        x[:, 1] = np.where(x[:, 1] > 0, value, 0)
    code, _, _, err = fitted(x, y)
    assert code == 2
    assert "'x1'" in err


def test_raw_penalties_act_on_raw_coefficients(fitted):
    x, y = planted()
    scaled = np.ldexp(x, [-600, 0, 55])
    # The first coefficient cannot leave zero, the third is as good as free.
    code, result, found, err = fitted(scaled, y, "--config.l2=0.01", "--config.standardize=False")
    assert code == 0, err
    assert result["status"] == "optimal", result["message"]
    assert found.kernel[0, 0] == 0

    def value(w):
        return np.logaddexp(0, (1 - 2.0 * y) * (x[:, 1:] @ w[:2] + w[2])).mean() + 0.005 * w[0] ** 2

    best = scipy.optimize.minimize(value, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
    assert result["objective"] == pytest.approx(best.fun, abs=1e-8)


@pytest.mark.parametrize("factor", [1e-39, 1e36, 1e-300, 1e300])
def test_a_common_factor_of_the_weights_changes_nothing(fitted, factor):
    x, y = planted()
    weight = np.random.default_rng(1).integers(1, 5, N).astype(float)
    z, loss = reference(x, y, 1e-2, weight)
    code, result, found, err = fitted(x, y, "--config.l2=0.01", weight=weight * factor)
    assert code == 0, err
    assert result["status"] == "optimal", result["message"]
    np.testing.assert_allclose(logits(x, found), z, atol=2e-4)
    assert result["metrics"]["train"]["log_loss"] == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("l2", [1e-25, 1e-40, 1e-300])
@pytest.mark.parametrize("classes", [2, 3])
def test_penalties_that_are_as_good_as_none(fitted, l2, classes):
    x, y = planted()
    if classes == 3:
        y = np.where(np.random.default_rng(2).random(N) < 0.3, 2, y)
    _, none, _, _ = fitted(x, y, "--config.l2=0.0", name="none")
    code, result, _, err = fitted(x, y, f"--config.l2={l2}")
    assert code == 0, err
    assert result["status"] == none["status"] == "optimal", result["message"]
    assert result["objective"] == pytest.approx(none["objective"], abs=1e-9)


def test_weak_penalties_on_separable_data(fitted):
    x, y = planted()
    y = (x[:, 0] > 0).astype(int)
    code, result, _, err = fitted(x, y, "--config.l2=1e-40")
    assert code == 0, err
    assert result["status"] == "optimal", result["message"]
    assert result["objective"] < 1e-9


@pytest.mark.parametrize("l2", [1e30, 1e300])
def test_penalties_beyond_measure(fitted, l2):
    x, y = planted()
    code, result, _, err = fitted(x, y, f"--config.l2={l2}")
    assert code == 0, err
    assert result["status"] == "optimal", result["message"]
    share = y.mean()
    assert result["objective"] == pytest.approx(-share * np.log(share) - (1 - share) * np.log(1 - share))


def test_a_mean_of_a_billion_in_float32_is_saved_as_it_was_fitted(fitted):
    rng = np.random.default_rng(0)
    x = (1e9 + 300 * rng.normal(size=(N, 1))).astype(np.float32)
    y = ((x[:, 0].astype(float) - 1e9) / 300 + rng.logistic(size=N) > 0).astype(int)
    _, loss = reference(x.astype(np.float64), y, 1e-3)
    code, result, found, err = fitted(x, y, "--config.l2=0.001")
    assert code == 0, err
    assert (result["status"], found.dtype, result["weights_dtype"]) == ("optimal", "float64", "float64")
    assert result["metrics"]["train"]["log_loss"] == pytest.approx(loss, abs=1e-6)


def test_a_mean_that_no_dtype_holds_is_said(fitted):
    rng = np.random.default_rng(0)
    x = 4e15 + np.round(4 * rng.normal(size=(N, 1)))
    y = (x[:, 0] - 4e15 + rng.logistic(size=N) > 0).astype(int)
    code, result, _, err = fitted(x, y, "--config.l2=0.001")
    assert code == 0, err
    assert result["status"] == "rounded"
    assert result["certified_gap"] is None
    assert "subtract" in result["message"]


def test_minibatch_training_of_columns_of_any_unit(fitted):
    x, y = planted()
    z, _ = reference(x, y, 1e-2)
    fields = (
        "--config.solver.name=minibatch", "--config.l2=0.01", "--config.minibatch.epochs=150",
        "--config.minibatch.batch_size=0", "--config.minibatch.learning_rate=0.1",
    )  # fmt: skip
    scaled = np.ldexp(x, [-600, 50, 0])
    code, _, found, err = fitted(scaled, y, *fields, weight=np.full(N, 1e-39))
    assert code == 0, err
    np.testing.assert_allclose(logits(scaled, found), z, atol=0.02)
    code, _, _, err = fitted(scaled, y, *fields, "--config.standardize=False", name="raw")
    assert code == 2
    assert "'x0'" in err


def test_a_path_of_columns_of_any_unit(fitted, command, tmp_path):
    x, y = planted()
    fields = ("--config.path.penalty=l1", "--config.path.num=4", "--config.cv.folds=3", "--config.l2=0.0")
    _, before, _, _ = fitted(x, y, *fields, name="before")
    code, result, _, err = fitted(np.ldexp(x, [-600, 50, 0]), y, *fields, name="after")
    assert code == 0, err
    assert result["path"]["scores"] == before["path"]["scores"]
    with np.load(tmp_path / "before" / "path.npz") as old, np.load(tmp_path / "after" / "path.npz") as new:
        np.testing.assert_array_equal(np.ldexp(new["kernel"], [[-600], [50], [0]]), old["kernel"])
    code, _, err = command("--mode=evaluate", f"--workdir={tmp_path}/after")
    assert code == 0, err
    again = json.loads((tmp_path / "after" / "evaluation.json").read_text())
    assert again["metrics"]["train"]["log_loss"] == pytest.approx(
        result["metrics"]["train"]["log_loss"], rel=1e-12
    )


def test_dependent_columns_are_named(fitted):
    x, y = planted()
    x = np.column_stack([x, x[:, 0] + x[:, 2]])
    code, result, _, err = fitted(x, y, "--config.l2=0.0")
    assert code == 0, err
    assert result["status"] == "optimal"
    assert result["dependence"] == {"rank": 3, "columns": 4, "features": ["x0", "x2", "x3"]}
    assert "not identified" in result["message"]
    _, result, _, _ = fitted(x, y, "--config.l2=0.001", name="penalised")
    assert result["dependence"] is None


def test_a_common_factor_of_class_weights_changes_nothing(fitted):
    x, y = planted()
    _, _, before, _ = fitted(x, y, "--config.l2=0.01", "--config.class_weight=0=1,1=3", name="before")
    code, _, after, err = fitted(x, y, "--config.l2=0.01", "--config.class_weight=0=1e-45,1=3e-45")
    assert code == 0, err
    np.testing.assert_allclose(after.kernel, before.kernel, atol=1e-5)
    np.testing.assert_allclose(after.bias, before.bias, atol=1e-5)
