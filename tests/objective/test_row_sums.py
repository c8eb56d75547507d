"""Sums over rows: derivatives against differences, K problems against each alone, passes against one block."""

import numpy as np
import pytest
import tensorflow as tf
from problems import log_loss, random_problem

from tf_logreg.engines import on_devices
from tf_logreg.objective import row_sums


def rows_of(x, y, weight, offset=None, fold=None, dtype=tf.float64):
    offset = np.zeros((len(y), 1)) if offset is None else offset
    fold = np.zeros(len(y), np.int32) if fold is None else fold
    return row_sums.Rows(
        tf.cast(x, dtype), tf.constant(y), tf.cast(weight, dtype), tf.cast(offset, dtype), tf.constant(fold)
    )


def problems_of(count, classes, held_out=-1):
    held_out = np.broadcast_to(np.asarray(held_out, np.int32), count)
    return row_sums.Problems(tf.constant(held_out), tf.ones([count, classes], tf.float64))


@pytest.fixture(params=[2, 3])
def small(request):
    """Rows with weights and offsets, and three problems' weights [3, q, m]."""
    classes = request.param
    x, y, weight = random_problem(60, 4, classes)
    outputs = 1 if classes == 2 else classes
    rng = np.random.default_rng(1)
    offset = rng.normal(size=(60, outputs))
    return x, y, weight, offset, rng.normal(size=(3, 5, outputs)) / 3, classes


def test_value_is_the_formula(small):
    x, y, weight, offset, w, classes = small
    given = tf.constant(w), problems_of(3, classes), rows_of(x, y, weight, offset)
    total, loss, _ = row_sums.value_and_gradient(*given)
    for whole, alone in zip((total, loss), row_sums.value(*given), strict=True):
        np.testing.assert_array_equal(whole, alone)
    np.testing.assert_allclose(total, np.full(3, weight.sum()))
    for k in range(3):
        # The offset is one more column a class, with coefficient one.
        wide = np.hstack([x, offset])
        kernel = np.vstack([w[k, :-1], np.eye(offset.shape[1])])
        np.testing.assert_allclose(loss[k], weight @ log_loss(wide, y, kernel, w[k, -1]), rtol=1e-12)


def five_points(function, step=1e-3):
    """The derivative of a function of one number at 0, to fourth order (Abramowitz and Stegun 25.3.6)."""
    return (function(-2 * step) - 8 * function(-step) + 8 * function(step) - function(2 * step)) / (12 * step)


def test_derivatives_are_those_of_the_value(small):
    x, y, weight, offset, w, classes = small
    rows, problems = rows_of(x, y, weight, offset), problems_of(3, classes)

    def sums(at):
        return [array.numpy() for array in row_sums.value_and_gradient(tf.constant(at), problems, rows)]

    v = np.random.default_rng(2).normal(size=w.shape)
    _, _, gradient = sums(w)
    slope = five_points(lambda t: sums(w + t * v)[1])
    np.testing.assert_allclose((gradient * v).sum(axis=(1, 2)), slope, rtol=1e-9)
    _, product = row_sums.hessian_product(tf.constant(w), tf.constant(v), problems, rows)
    np.testing.assert_allclose(
        product, five_points(lambda t: sums(w + t * v)[2]), rtol=0, atol=1e-9 * np.abs(product).max()
    )
    _, hessian = row_sums.hessian(tf.constant(w), problems, rows)
    flat = np.einsum("kij,kj->ki", hessian, v.reshape(3, -1)).reshape(v.shape)
    np.testing.assert_allclose(product, flat, rtol=0, atol=1e-13 * np.abs(flat).max())


def test_pooled_gram_is_the_sum_of_the_hessians_diagonal_blocks(small):
    x, y, weight, offset, w, classes = small
    rows, problems = rows_of(x, y, weight, offset), problems_of(3, classes)
    _, moments, gram = row_sums.pooled_gram(tf.constant(w), problems, rows)
    _, hessian = row_sums.hessian(tf.constant(w), problems, rows)
    outputs = w.shape[2]
    blocks = hessian.numpy().reshape(3, 5, outputs, 5, outputs)
    diagonal = np.stack([blocks[:, :, c, :, c] for c in range(outputs)], axis=-1)
    np.testing.assert_allclose(gram, diagonal.sum(axis=-1), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(moments, diagonal[:, :, -1], rtol=1e-11, atol=1e-11)


def test_a_fold_held_out_is_its_rows_absent(small):
    x, y, weight, offset, w, classes = small
    fold = np.arange(60, dtype=np.int32) % 3
    found = row_sums.value_and_gradient(
        tf.constant(w), problems_of(3, classes, [0, 1, -1]), rows_of(x, y, weight, offset, fold)
    )
    for k, held_out in enumerate((0, 1, -1)):
        use = fold != held_out
        alone = row_sums.value_and_gradient(
            tf.constant(w[k : k + 1]),
            problems_of(1, classes),
            rows_of(x[use], y[use], weight[use], offset[use]),
        )
        for many, one in zip(found, alone, strict=True):
            np.testing.assert_allclose(many[k], one[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_rows", [1, 63, 64, 100, 1000])
def test_a_pass_in_blocks_is_one_block(monkeypatch, num_rows):
    monkeypatch.setattr(on_devices, "_BLOCK_ELEMENTS", 70 * (6 + 12))  # blocks of 64 rows
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(num_rows, 6)), rng.integers(0, 3, num_rows).astype(np.int32)
    rows, problems, w = (
        rows_of(x, y, rng.uniform(0, 2, num_rows)),
        problems_of(2, 3),
        rng.normal(size=(2, 7, 3)),
    )
    expected = row_sums.value_and_gradient(tf.constant(w), problems, rows)
    found = on_devices.replica_sums(row_sums.value_and_gradient, rows, (tf.constant(w),), problems, width=12)
    for total, lost, one in zip(found[::2], found[1::2], expected, strict=True):
        np.testing.assert_allclose(total + lost, one, rtol=1e-13, atol=1e-13)


def test_sums_lose_no_digits_in_float32(monkeypatch):
    # 100,000 blocks of the same loss: plain float32 addition is off by 1e-3 here.
    monkeypatch.setattr(on_devices, "_BLOCK_ELEMENTS", 64)
    blocks = 20_000
    rows = rows_of(
        np.ones((64 * blocks, 1)), np.zeros(64 * blocks, np.int32), np.ones(64 * blocks), dtype=tf.float32
    )
    problems = row_sums.Problems(tf.constant([-1]), tf.ones([1, 2]))
    run = tf.function(
        lambda w: on_devices.replica_sums(row_sums.value_and_gradient, rows, (w,), problems, width=1),
        autograph=False,
    )
    sums = run(tf.constant([[[0.1], [0.0]]]))
    total, lost = (value.numpy().astype(np.float64)[0] for value in sums[2:4])
    block = row_sums.value_and_gradient(
        tf.constant([[[0.1], [0.0]]]), problems, row_sums.Rows(*(array[:64] for array in rows))
    )[1].numpy()[0]
    exact = float(block) * blocks
    assert abs(total + lost - exact) < 1e-9 * exact
    plain = np.float32(0)
    for _ in range(blocks):
        plain += block
    assert abs(float(plain) - exact) > 1e-6 * exact
