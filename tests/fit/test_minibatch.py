"""The minibatch loop under every single-host strategy, and full-batch descent against its theory."""

import json

import numpy as np
import pytest
from problems import fit_arrays, objective, random_problem
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression

from tf_logreg.errors import RunError
from tf_logreg.fit.minibatch import optimizers


def scaled(data):
    """Columns at mean zero and deviation one, so that raw and training units are the same."""
    x, y = data(return_X_y=True)
    return (x - x.mean(axis=0)) / x.std(axis=0), y.astype(np.int32)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("num_classes", [2, 4])
def test_mirrored_is_one_device_after_300_steps(strategies, tmp_path, optimizer, num_classes):
    # 210 rows in batches of 32 leave a last batch of 18, which does not fill the second replica.
    x, y, weight = random_problem(210, 6, num_classes)
    fitted = {
        name: fit_arrays(
            x, y, weight, strategy=strategies[name], tmp_path=tmp_path, dtype="float32", optimizer=optimizer,
            learning_rate=0.05, batch_size=32, epochs=43, l2=1e-3,
        )
        for name in ("off", "one_device", "mirrored")
    }  # fmt: skip
    assert fitted["mirrored"][2].iterations == 301
    tolerance = {"SGD": 1e-5, "Adam": 1e-4}[optimizer]
    for one, other in zip(fitted["one_device"][:2], fitted["mirrored"][:2], strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)
    for one, other in zip(fitted["one_device"][:2], fitted["off"][:2], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_full_batch_descent_with_a_step_below_1_over_l_falls_at_every_step(strategies, tmp_path, num_classes):
    x, y, weight = random_problem(150, 5, num_classes)
    centred = x - np.average(x, axis=0, weights=weight)
    columns = np.hstack([centred, np.ones((150, 1))])
    l2 = 0.01
    # The curvature of the log loss is at most 1/4 (sigmoid) or 1/2 (softmax) of the columns'.
    top = np.linalg.eigvalsh(columns.T * weight @ columns / weight.sum())[-1]
    lipschitz = top / (4 if num_classes == 2 else 2) + l2
    *_, result = fit_arrays(
        x, y, weight, strategy=strategies["one_device"], tmp_path=tmp_path, optimizer="SGD", l2=l2, batch_size=0,
        learning_rate=0.99 / lipschitz, epochs=100, steps_per_loop=1, standardize=False,
    )  # fmt: skip
    objectives = [value for _, value in result.history]
    assert len(objectives) == 100
    assert result.passes == 100
    assert (np.diff(objectives) < 0).all()


@pytest.mark.parametrize("data", [load_breast_cancer, load_iris])
def test_full_batch_descent_reaches_scikit_learns_objective(strategies, tmp_path, data):
    (x, y), l2 = scaled(data), 1e-2
    kernel, bias, _ = fit_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, optimizer="SGD", l2=l2, batch_size=0,
        learning_rate=1.0, epochs=400, steps_per_loop=200,
    )  # fmt: skip
    peer = LogisticRegression(C=1 / (l2 * len(y)), tol=1e-10, max_iter=10_000).fit(x, y)
    expected = objective(x, y, peer.coef_.T, peer.intercept_, l2=l2)
    assert objective(x, y, kernel, bias, l2=l2) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_full_batch_weights_do_not_depend_on_how_rows_are_given(strategies, tmp_path, num_classes):
    x, y, weight = random_problem(90, 4, num_classes)
    weight = weight.astype(int)

    def fit(x, y, weight=None):
        return fit_arrays(
            x, y, weight, strategy=strategies["one_device"], tmp_path=tmp_path, num_classes=num_classes,
            optimizer="SGD", learning_rate=0.3, batch_size=0, epochs=60, l2=1e-2,
        )[:2]  # fmt: skip

    expected = fit(x, y, weight.astype(float))
    repeated = np.repeat(np.arange(90), weight)
    order = np.random.default_rng(0).permutation(90)
    junk = np.vstack([x, x[:9] * 50]), np.append(y, y[:9]), np.append(weight, np.zeros(9))
    for found in (
        fit(x[repeated], y[repeated]),
        fit(x[order], y[order], weight[order].astype(float)),
        fit(*junk),
        fit(x, y, weight * 7.0),
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)
    classes = np.array([1, 0]) if num_classes == 2 else np.array([2, 0, 1])
    kernel, bias = fit(x, classes[y].astype(np.int32), weight.astype(float))
    if num_classes == 2:  # a class swap negates the binary kernel
        np.testing.assert_allclose(-kernel, expected[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(-bias, expected[1], rtol=1e-9, atol=1e-12)
    else:
        np.testing.assert_allclose(kernel[:, classes], expected[0], rtol=1e-9, atol=1e-12)


def test_two_class_softmax_at_l2_is_the_sigmoid_at_half(strategies, tmp_path):
    x, y, weight = random_problem(120, 5, 2)
    common = dict(
        strategy=strategies["one_device"], tmp_path=tmp_path, optimizer="SGD", batch_size=0, epochs=100
    )
    softmax, softmax_bias, _ = fit_arrays(
        x, y, weight, output="softmax", l2=0.02, learning_rate=0.5, **common
    )
    sigmoid, sigmoid_bias, _ = fit_arrays(
        x, y, weight, output="sigmoid", l2=0.01, learning_rate=1.0, **common
    )
    assert softmax.shape == (5, 2)
    assert sigmoid.shape == (5, 1)
    difference = x @ (softmax[:, 1] - softmax[:, 0]) + softmax_bias[1] - softmax_bias[0]
    np.testing.assert_allclose(difference, x @ sigmoid[:, 0] + sigmoid_bias[0], atol=1e-6)
    assert objective(x, y, softmax, softmax_bias, weight=weight) == pytest.approx(
        objective(x, y, sigmoid, sigmoid_bias, weight=weight), abs=1e-9
    )


@pytest.mark.parametrize("name", optimizers.known())
def test_every_keras_optimiser_trains_alike_on_two_replicas(strategies, tmp_path, name):
    x, y, _ = random_problem(100, 4, 3)
    fitted = [
        fit_arrays(
            x, y, strategy=strategies[kind], tmp_path=tmp_path, optimizer=name, learning_rate=0.02, batch_size=30,
            epochs=25, steps_per_loop=4, dtype="float32",  # Muon mixes dtypes in float64
        )
        for kind in ("one_device", "mirrored")
    ]  # fmt: skip
    np.testing.assert_allclose(fitted[0][0], fitted[1][0], atol=1e-4)
    history = [value for _, value in fitted[0][2].history]
    assert history[-1] < history[0]


def test_clipping_is_of_the_whole_reduced_gradient(strategies, tmp_path):
    x, y, weight = random_problem(64, 4, 3)
    common = dict(
        tmp_path=tmp_path, optimizer="SGD", learning_rate=1.0, batch_size=0, epochs=1, standardize=False
    )
    free = fit_arrays(x, y, weight, strategy=strategies["one_device"], **common)
    norm = np.sqrt(np.square(free[0]).sum() + np.square(free[1] + np.average(x, 0, weight) @ free[0]).sum())
    for kind in ("one_device", "mirrored"):
        clipped = fit_arrays(x, y, weight, strategy=strategies[kind], clip_norm=norm / 4, **common)
        np.testing.assert_allclose(clipped[0], free[0] / 4, rtol=1e-9)
        loose = fit_arrays(x, y, weight, strategy=strategies[kind], clip_norm=norm * 4, **common)
        np.testing.assert_allclose(loose[0], free[0], rtol=1e-9)


def test_bias_is_not_penalised_and_can_be_left_out(strategies, tmp_path):
    x, y, _ = random_problem(200, 3, 2)
    common = dict(
        strategy=strategies["one_device"], tmp_path=tmp_path, optimizer="SGD", batch_size=0, epochs=250
    )
    for l2 in (0.0, 1.0):
        kernel, bias, _ = fit_arrays(x, y, l2=l2, learning_rate=1.0, **common)
        # At the optimum of a free bias the predictions sum to the labels, whatever the penalty.
        assert (1 / (1 + np.exp(-(x @ kernel + bias)))).mean() == pytest.approx(y.mean(), abs=1e-6)
    _, bias, _ = fit_arrays(x, y, l2=0.1, learning_rate=0.1, bias=False, **common | {"epochs": 9})
    assert (bias == 0).all()


def test_weight_decay_must_be_asked_for_and_spares_the_bias(strategies, tmp_path):
    x, y, _ = random_problem(200, 3, 2)
    y[:150] = 1
    common = dict(
        strategy=strategies["mirrored"], tmp_path=tmp_path, learning_rate=0.05, batch_size=0, epochs=120
    )
    plain, _, _ = fit_arrays(x, y, optimizer="Adam", **common)
    default, _, _ = fit_arrays(x, y, optimizer="AdamW", **common)
    np.testing.assert_allclose(default, plain, rtol=1e-9)
    decayed, bias, _ = fit_arrays(x, y, optimizer="AdamW", optimizer_args={"weight_decay": 10.0}, **common)
    assert np.abs(decayed).max() < 0.5 * np.abs(plain).max()
    log_odds = np.log(y.mean() / (1 - y.mean()))
    assert bias[0] + x.mean(axis=0) @ decayed[:, 0] == pytest.approx(log_odds, rel=0.05)


def test_no_bias_is_scikit_learns_without_intercept(strategies, tmp_path):
    x, y = scaled(load_breast_cancer)
    x = x + 0.5  # so that leaving the bias out matters
    kernel, _, _ = fit_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, optimizer="SGD", l2=0.05, batch_size=0,
        learning_rate=0.5, epochs=500, steps_per_loop=250, bias=False, standardize=False,
    )  # fmt: skip
    peer = LogisticRegression(C=1 / (0.05 * len(y)), tol=1e-10, max_iter=10_000, fit_intercept=False).fit(
        x, y
    )
    np.testing.assert_allclose(kernel.T, peer.coef_, atol=1e-4)


def test_a_step_far_too_long_is_said_to_diverge(strategies, tmp_path):
    x, y, _ = random_problem(50, 3, 2)
    with pytest.raises(RunError, match=r"diverged at step [12]0: .*learning_rate"):
        fit_arrays(
            x, y, strategy=strategies["one_device"], tmp_path=tmp_path, optimizer="SGD", dtype="float32",
            learning_rate=1e30, l2=1.0, epochs=50, steps_per_loop=10,
        )  # fmt: skip


def test_a_rate_that_runs_away_with_finite_numbers_has_diverged(command, tmp_path):
    code, out, err = command(
        "--config=synthetic",
        "--config.data.args.num_rows=300",
        "--config.minibatch.epochs=1",
        "--config.minibatch.learning_rate=1e10",
        f"--workdir={tmp_path}/run",
    )
    assert code == 1
    assert "The fit diverged: after" in err
    assert "lower minibatch.learning_rate" in err
    assert out == ""
    assert not (tmp_path / "run" / "result.json").exists()


def test_labels_without_any_signal_have_not_diverged(command, tmp_path):
    """A large rate on pure noise ends far above the loss of no features, and is a result."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "noise.npz", x=rng.normal(size=(100, 30)), y=rng.integers(0, 2, 100))
    code, _, err = command(
        "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/noise.npz", "--config.solver.name=minibatch",
        "--config.minibatch.learning_rate=1.0", "--config.minibatch.batch_size=10", f"--workdir={tmp_path}/run",
    )  # fmt: skip
    assert code == 0, err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["metrics"]["train"]["log_loss"] > 0.5
