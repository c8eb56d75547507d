"""Schedules, early stopping, class weights: what people turn while they train."""

import numpy as np
import pytest
from problems import fit_arrays, log_loss, random_problem, solve_arrays
from sklearn.linear_model import LogisticRegression

from tf_logreg import config as configs
from tf_logreg import training
from tf_logreg.errors import InputError
from tf_logreg.fit import class_weight
from tf_logreg.fit.minibatch.early_stopping import EarlyStopping
from tf_logreg.fit.minibatch.schedules import Schedule
from tf_logreg.model.head import Head

SIGMOID = Head("sigmoid", 2)


def rates(name, steps, **fields):
    fields = {"peak": 0.8, "warmup_steps": 0, "decay_steps": 10, "final_fraction": 0.1} | fields
    schedule = Schedule(name, **fields)
    return np.array([float(schedule(step)) for step in range(steps)])


def test_schedules_are_their_formulas():
    np.testing.assert_allclose(rates("constant", 5), 0.8)
    u = np.arange(11) / 10
    np.testing.assert_allclose(
        rates("cosine", 11), 0.8 * (0.1 + 0.9 * (1 + np.cos(np.pi * u)) / 2), rtol=1e-6
    )
    np.testing.assert_allclose(rates("exponential", 11), 0.8 * 0.1**u, rtol=1e-5)
    for name in ("cosine", "exponential"):
        np.testing.assert_allclose(rates(name, 30)[10:], 0.08, rtol=1e-5)  # then it stays
        warm = rates(name, 30, warmup_steps=4)
        np.testing.assert_allclose(warm[:4], 0.8 * np.array([0.25, 0.5, 0.75, 1]), rtol=1e-6)
        np.testing.assert_allclose(warm[4:15], rates(name, 11), rtol=1e-5)


def test_a_schedule_reaches_the_optimiser(strategies, tmp_path):
    x, y, _ = random_problem(50, 3, 2)
    common = dict(
        strategy=strategies["one_device"], tmp_path=tmp_path, optimizer="SGD", batch_size=0, epochs=1
    )
    plain, _, _ = fit_arrays(x, y, learning_rate=1.0, **common)
    schedule = {"name": "cosine", "warmup_steps": 0, "decay_steps": 0, "final_fraction": 0.0}
    first, _, _ = fit_arrays(x, y, learning_rate=1.0, schedule=schedule | {"warmup_steps": 1}, **common)
    np.testing.assert_allclose(first, plain, rtol=1e-6)
    # A decay to zero settles where a constant step of the same size still hovers.
    common |= {"epochs": 60, "batch_size": 5, "optimizer": "Adam", "l2": 1e-2}
    optimum, intercept, _ = solve_arrays(
        x, y, l2=1e-2, tol=1e-10, strategy=strategies["one_device"], tmp_path=tmp_path
    )
    hovering, b1, _ = fit_arrays(x, y, learning_rate=0.1, **common)
    settled, b2, _ = fit_arrays(x, y, learning_rate=0.1, schedule=schedule, **common)
    goal = x @ optimum + intercept
    assert np.abs(x @ settled + b2 - goal).mean() < 0.5 * np.abs(x @ hovering + b1 - goal).mean()


def test_a_schedule_longer_than_the_run_is_refused(small_config, tmp_path):
    small_config.minibatch.schedule.warmup_steps = 11
    with pytest.raises(InputError, match=r"at most the run's 10 steps. Received: warmup_steps=11"):
        training.train_and_evaluate(small_config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_patience_counts_epochs_without_improvement():
    values = iter([0.5, 0.4, 0.45, None, 0.39, 0.41, 0.42, 0.43])
    stopping = EarlyStopping(lambda: next(values), "log_loss", patience=2, restore_best=True)
    weights = [[np.full(2, i)] for i in range(8)]
    assert [stopping.should_stop(w) for w in weights] == [False] * 7 + [True]
    assert stopping.best == 0.39
    assert stopping.best_weights == weights[4]
    again = EarlyStopping(lambda: None, "log_loss", 2, True)
    again.restore(stopping.state())
    assert (again.best, again.waited) == (stopping.best, stopping.waited)
    np.testing.assert_array_equal(again.best_weights[0], weights[4][0])
    # More is better for accuracy.
    values = iter([0.5, 0.6, 0.55])
    stopping = EarlyStopping(lambda: next(values), "accuracy", patience=0, restore_best=True)
    assert [stopping.should_stop(w) for w in weights[:3]] == [False, False, True]


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "roc_auc"])
def test_early_stopping_ends_with_the_best_weights(strategies, tmp_path, metric):
    config = configs.load("breast_cancer")
    config.solver.name = "minibatch"
    config.data.validation_fraction = 0.3
    config.l2 = 0.0
    config.minibatch.update(learning_rate=0.3, epochs=60)
    config.minibatch.early_stopping.update(metric=metric, patience=4)
    result = training.train_and_evaluate(config, str(tmp_path / "run"), strategy=strategies["mirrored"])
    assert result["status"] == "stopped_early"
    assert result["passes"] < 60
    config.minibatch.early_stopping.restore_best = False
    last = training.train_and_evaluate(config, str(tmp_path / "last"), strategy=strategies["mirrored"])
    sign = 1 if metric == "log_loss" else -1
    best, final = (sign * r["metrics"]["validation"][metric] for r in (result, last))
    assert best <= final
    assert last["iterations"] == result["iterations"]


def planted(num_classes, n=6000):
    rng = np.random.default_rng(num_classes)
    x = rng.normal(size=(n, 3))
    logits = x @ rng.normal(size=(3, num_classes)) + np.linspace(0, -2.5, num_classes)
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1).astype(np.int32)
    return x, y


def write(tmp_path, x, y, **arrays):
    np.savez(tmp_path / "data.npz", x=x, y=np.array(["a", "b", "c", "d"])[y], **arrays)
    config = configs.load("numpy_arrays")
    config.data.args.path = str(tmp_path / "data.npz")
    config.data.validation_fraction = config.data.test_fraction = 0.0
    config.minibatch.update(optimizer="SGD", batch_size=0, learning_rate=1.0, epochs=600, steps_per_loop=600)
    return config


def coefficients(workdir):
    with np.load(f"{workdir}/coefficients.npz") as arrays:
        return arrays["kernel"], arrays["bias"]


@pytest.mark.parametrize("num_classes", [2, 3])
def test_class_weights_are_scikit_learns_and_the_prior_comes_back(strategies, tmp_path, num_classes):
    x, y = planted(num_classes)
    config = write(tmp_path, x, y)
    config.l2, config.class_weight = 1e-3, "balanced"
    config.minibatch.epochs = 2000
    result = training.train_and_evaluate(config, str(tmp_path / "run"), strategy=strategies["one_device"])
    kernel, bias = coefficients(tmp_path / "run")
    config.correct_prior = False
    raw = training.train_and_evaluate(config, str(tmp_path / "raw"), strategy=strategies["one_device"])
    raw_kernel, raw_bias = coefficients(tmp_path / "raw")
    np.testing.assert_array_equal(raw_kernel, kernel)
    assert raw["objective"] == pytest.approx(result["objective"])

    # The weighted fit itself is scikit-learn's (standardised columns: so is the penalty).
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    weights = len(y) / (num_classes * np.bincount(y))
    peer = LogisticRegression(C=1 / (1e-3 * len(y)), class_weight="balanced", tol=1e-10, max_iter=1000).fit(
        scaled, y
    )
    expected = scaled @ peer.coef_.T + peer.intercept_
    found = x @ raw_kernel + raw_bias
    centre = lambda z: z - z.mean(axis=1, keepdims=True) if num_classes > 2 else z  # noqa: E731
    np.testing.assert_allclose(centre(found), centre(expected), atol=2e-3)

    # King and Zeng's shift, and what it is for: predictions sum to labels, class by class.
    shift = np.log(weights[1] / weights[0]) if num_classes == 2 else np.log(weights)
    np.testing.assert_allclose(raw_bias - bias, shift, rtol=1e-6)
    off = []
    for kernel_, bias_ in ((kernel, bias), (raw_kernel, raw_bias)):
        z = x @ kernel_ + bias_
        z = np.hstack([np.zeros_like(z), z]) if num_classes == 2 else z
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        off.append((np.abs(p.sum(axis=0) - np.bincount(y)) / len(y)).max())
    # The shift is exact where the model is: the rows are drawn from it, but they are a sample.
    assert off[0] < 5e-3
    assert off[1] > 0.05
    assert result["metrics"]["train"]["log_loss"] < raw["metrics"]["train"]["log_loss"]


def test_intercept_only_the_correction_is_exact(strategies, tmp_path):
    _, y = planted(3)
    config = write(tmp_path, np.zeros((len(y), 1)), y)
    config.class_weight = "a=1, b=5,c=0.5"
    config.solver.tol = 1e-12
    training.train_and_evaluate(config, str(tmp_path / "run"), strategy=strategies["one_device"])
    _, bias = coefficients(tmp_path / "run")
    p = np.exp(bias) / np.exp(bias).sum()
    np.testing.assert_allclose(p, np.bincount(y) / len(y), atol=1e-5)


def test_the_objective_weighs_classes(strategies, tmp_path):
    x, y = planted(2)
    config = write(tmp_path, x, y)
    config.class_weight, config.correct_prior, config.l2 = "b=3", False, 0.0
    result = training.train_and_evaluate(config, str(tmp_path / "run"), strategy=strategies["one_device"])
    loss = log_loss(x, y, *coefficients(tmp_path / "run"))
    assert result["objective"] == pytest.approx(np.average(loss, weights=np.where(y == 1, 3, 1)), rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [("nobody=2", "names of 'a', 'b'"), ("a", "names of 'a', 'b'"), ("a=-1", "weight > 0"), ("a=0", "weight > 0"),
     ("a=x", "weight > 0"), ("a=inf", "weight > 0"), ("a=1,,b=2", "names of 'a', 'b'")],
)  # fmt: skip
def test_bad_class_weights(text, message):
    with pytest.raises(InputError, match=message):
        class_weight.parse(text, ("a", "b"), np.ones(2), SIGMOID)


def test_class_weights_by_name():
    assert class_weight.parse("", ("a", "b"), np.ones(2), SIGMOID) is None
    np.testing.assert_array_equal(class_weight.parse("b=2.5", ("a", "b"), np.ones(2), SIGMOID), [1, 2.5])
    np.testing.assert_allclose(
        class_weight.parse("balanced", ("a", "b"), np.array([1.0, 3.0]), SIGMOID), [2, 2 / 3]
    )
    # A class whose name holds '=' is fine: the last one counts.
    np.testing.assert_array_equal(class_weight.parse("x=1=4", ("x=1", "b"), np.ones(2), SIGMOID), [4, 1])
