"""The log loss and its gradient, against the formulae and finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from problems import gradient_tape, log_loss, random_problem

from tf_logreg.data.source import Batch
from tf_logreg.fit.minibatch.loop import loss_and_gradient
from tf_logreg.objective import linear, losses


def problem(num_classes, seed=0):
    """x, y, weight, kernel, bias in float64; one output for two classes."""
    x, y, weight = random_problem(80, 5, num_classes, seed)
    outputs = 1 if num_classes == 2 else num_classes
    rng = np.random.default_rng(seed + 1)
    return x, y, weight, rng.normal(size=(5, outputs)), rng.normal(size=outputs)


def mean_loss(x, y, kernel, bias):
    return tf.reduce_mean(losses.log_loss(linear.logits(tf.constant(x), kernel, bias), y))


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_value_is_the_formula(num_classes):
    x, y, _, kernel, bias = problem(num_classes)
    found = losses.log_loss(linear.logits(tf.constant(x), kernel, bias), y).numpy()
    np.testing.assert_allclose(found, log_loss(x, y, kernel, bias), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_tape_gradient_is_x_transposed_times_error(num_classes):
    x, y, _, kernel, bias = problem(num_classes)
    gradient = gradient_tape(lambda k, b: mean_loss(x, y, k, b), kernel, bias)
    probabilities = losses.class_probabilities(linear.logits(tf.constant(x), kernel, bias)).numpy()
    error = probabilities - np.eye(num_classes)[y]
    error = error[:, 1:] if num_classes == 2 else error
    np.testing.assert_allclose(gradient[0], x.T @ error / len(y), atol=1e-12)
    np.testing.assert_allclose(gradient[1], error.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_tape_gradient_is_the_five_point_difference(num_classes):
    x, y, _, kernel, bias = problem(num_classes)
    gradient = gradient_tape(lambda k: mean_loss(x, y, k, bias), kernel)[0]
    h = 1e-3
    for index in np.ndindex(kernel.shape):
        unit = np.zeros_like(kernel)
        unit[index] = h

        def value(steps, unit=unit):
            return log_loss(x, y, kernel + steps * unit, bias).mean()

        difference = (value(-2) - 8 * value(-1) + 8 * value(1) - value(2)) / (12 * h)
        # The formula's error is h^4 / 30 times the fifth derivative, here below 1e-10.
        assert abs(difference - gradient[index]) < 1e-9


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_logits_stay_finite(outputs, dtype):
    logits = np.array([[1e4] * outputs, [-1e4] * outputs, [0.0] * outputs], dtype)
    logits[:, 0] *= -1
    logits, y = np.vstack([logits, logits]), np.repeat([0, 1], 3).astype(np.int32)
    value = losses.log_loss(tf.constant(logits), y).numpy()
    gradient = gradient_tape(lambda z: tf.reduce_sum(losses.log_loss(z, y)), logits)[0]
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    assert value.max() >= 1e4  # a confident mistake costs its full logit
    np.testing.assert_allclose(
        losses.class_probabilities(tf.constant(logits)).numpy().sum(axis=1), 1, rtol=1e-6
    )


def test_two_class_softmax_is_the_sigmoid():
    x, y, _, kernel, bias = problem(2)
    softmax_kernel, softmax_bias = np.hstack([-kernel / 2, kernel / 2]), np.hstack([-bias / 2, bias / 2])
    np.testing.assert_allclose(
        losses.log_loss(linear.logits(tf.constant(x), softmax_kernel, softmax_bias), y),
        losses.log_loss(linear.logits(tf.constant(x), kernel, bias), y),
        rtol=1e-12,
        atol=1e-15,
    )
    # The penalties agree too: l2 / 2 * ||W||^2 of the softmax is the sigmoid's at l2 / 2.
    np.testing.assert_allclose(np.square(softmax_kernel).sum(), np.square(kernel).sum() / 2, rtol=1e-12)


def sums(x, y, weight, kernel, bias):
    batch = Batch(
        tf.constant(x),
        tf.constant(y),
        tf.constant(weight, tf.float32),
        tf.zeros([len(y), 1], tf.float64),
        tf.range(len(y), dtype=tf.int64),
    )
    return [value.numpy() for value in loss_and_gradient(tf.constant(kernel), tf.constant(bias), batch)]


@pytest.mark.parametrize("num_classes", [2, 3])
def test_invariances_of_loss_and_gradient(num_classes):
    x, y, weight, kernel, bias = problem(num_classes)
    weight = weight.astype(int)
    expected = sums(x, y, weight, kernel, bias)

    repeated = np.repeat(np.arange(len(y)), weight)
    for found in (
        sums(x[repeated], y[repeated], np.ones(len(repeated)), kernel, bias),  # weight 2 = the row twice
        sums(np.vstack([x, x + 5]), np.tile(y, 2), np.append(weight, 0 * weight), kernel, bias),  # 0 = no row
        sums(x[::-1], y[::-1], weight[::-1], kernel, bias),  # row order
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)

    # Relabelling the classes permutes the gradient's columns (and negates the sigmoid's).
    if num_classes == 2:
        swapped = sums(x, 1 - y, weight, -kernel, -bias)
        np.testing.assert_allclose(swapped[1], expected[1], rtol=1e-12)
        np.testing.assert_allclose(-swapped[2], expected[2], atol=1e-12)
    else:
        order = np.array([2, 0, 1])
        permuted = sums(x, np.argsort(order)[y].astype(np.int32), weight, kernel[:, order], bias[order])
        np.testing.assert_allclose(permuted[1], expected[1], rtol=1e-12)
        np.testing.assert_allclose(permuted[2], expected[2][:, order], atol=1e-12)
