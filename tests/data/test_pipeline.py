"""Order, layout, padding, moments: what reaches the model, row for row."""

import functools
import zlib

import numpy as np
import pytest
import tensorflow as tf
from problems import random_problem
from sklearn.preprocessing import StandardScaler

from tf_logreg.data import moments, pipeline, scan
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.load import load
from tf_logreg.errors import InputError

NOTHING = moments.Affine(np.zeros(6), np.ones(6))


def epoch_order(*args, **kwargs):
    return pipeline.epoch_order(*args, **kwargs).numpy()


def array_source(num_rows=100, num_classes=3, **kwargs):
    x, y, weight = random_problem(num_rows, 6, num_classes)
    names = tuple("abcdefghij"[:num_classes])
    return from_arrays(x, y, class_names=names, weight=weight, **kwargs), x, y, weight


@pytest.mark.parametrize("num_rows", [1, 5, 63, 64, 65, 150, 1000])
def test_epoch_order_is_a_permutation(num_rows):
    order = epoch_order(num_rows, seed=0, epoch=0)
    assert sorted(order) == list(range(num_rows))
    np.testing.assert_array_equal(order, epoch_order(num_rows, seed=0, epoch=0))
    if num_rows > 5:
        assert (order != epoch_order(num_rows, seed=0, epoch=1)).any()
        assert (order != epoch_order(num_rows, seed=1, epoch=0)).any()


def test_an_order_is_that_of_earlier_versions():
    """Else a run that an earlier version began would go on with other rows."""
    for num_rows, number in ((5, 2581871455), (64, 3659775542), (150, 1125026171)):
        assert zlib.crc32(epoch_order(num_rows, seed=7, epoch=3).tobytes()) == number


def test_every_stretch_draws_evenly_on_the_shards():
    shards = epoch_order(6400, seed=0, epoch=0) % 64
    for start in range(0, 6400, 320):
        assert np.bincount(shards[start : start + 320], minlength=64).tolist() == [5] * 64


def test_order_looks_random():
    n = 2000
    order_of = tf.function(lambda epoch: pipeline.epoch_order(n, 0, epoch))  # traced once, as in a fit
    first = np.array([order_of(epoch).numpy()[:20] for epoch in tf.range(200)])
    # 4,000 draws from 2,000 rows: the mean's standard error is 577 / sqrt(4000) = 9.1.
    assert abs(first.mean() - (n - 1) / 2) < 5 * 9.1
    order = epoch_order(n, seed=0, epoch=0)
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 5 / np.sqrt(n)


order_of_seed_0 = functools.cache(functools.partial(pipeline.epoch_order, seed=0))


@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 8, 64])
def test_each_replica_reads_its_own_shards_within_its_static_share(replicas):
    for num_rows in (1, 63, 64, 97, 130, 1000):
        for batch_size in {b for b in (replicas, 7, 32, 100, 256, num_rows) if replicas <= b <= num_rows}:
            for epoch in range(2):
                order = order_of_seed_0(num_rows, epoch=epoch)
                blocks, order = pipeline.lay_out(order, batch_size, replicas).numpy(), order.numpy()
                for replica in range(replicas):
                    mine = blocks[:, replica][blocks[:, replica] >= 0]
                    assert (mine % 64 % replicas == replica).all()
                for step, block in enumerate(blocks):
                    expected = order[step * batch_size : (step + 1) * batch_size]
                    assert sorted(block[block >= 0]) == sorted(expected)


def collect(source, rows, replicas, batch_size=32, epochs=2):
    """Row ids of each global batch, padding dropped, and all batches."""
    batches = list(
        pipeline.training_batches(
            source,
            rows,
            pipeline.Order(batch_size, epochs, seed=0),
            replicas=replicas,
            columns=NOTHING,
            dtype=tf.float64,
        ).as_numpy_iterator()
    )
    shares = [batch.row for batch in batches]
    joined = [np.concatenate(shares[i : i + replicas]) for i in range(0, len(shares), replicas)]
    return [rows[rows >= 0] for rows in joined], batches


@pytest.fixture(scope="module")
def steps_of_one_replica():
    return collect(array_source()[0], np.arange(3, 100), 1)[0]


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_same_rows_in_the_same_steps_on_any_number_of_replicas(steps_of_one_replica, replicas):
    source, x, y, weight = array_source()
    rows = np.arange(3, 100)
    steps, batches = collect(source, rows, replicas)
    assert [len(step) for step in steps] == [32, 32, 32, 1] * 2
    for found, wanted in zip(steps, steps_of_one_replica, strict=True):
        np.testing.assert_array_equal(np.sort(found), np.sort(wanted))
    assert len({batch.x.shape for batch in batches}) == 1  # static shapes
    for batch in batches:
        real = batch.row >= 0
        np.testing.assert_array_equal(batch.x[real], x[batch.row[real]])
        np.testing.assert_array_equal(batch.y[real], y[batch.row[real]])
        np.testing.assert_array_equal(batch.weight[real], weight[batch.row[real]].astype(np.float32))
        assert (batch.weight[~real] == 0).all()
        assert np.isfinite(batch.x).all()
    for epoch in (steps[:4], steps[4:]):
        assert sorted(np.concatenate(epoch)) == list(rows)


def test_sequential_batches_read_each_row_once(monkeypatch):
    monkeypatch.setattr(pipeline, "_BLOCK_ELEMENTS", 6 * 7)
    source, x, *_ = array_source()
    batches = list(pipeline.sequential_batches(source, np.arange(100), replicas=2).as_numpy_iterator())
    rows = np.concatenate([batch.row for batch in batches])
    np.testing.assert_array_equal(rows[rows >= 0], np.arange(100))
    np.testing.assert_array_equal(np.concatenate([batch.x[batch.row >= 0] for batch in batches]), x)
    assert all(len(batch.row) == 7 for batch in batches)


def test_training_columns_are_standardised_and_cast_once():
    source, x, _, weight = array_source()
    found = scan_all(source)
    columns = moments.affine(found, standardize=True, bias=True, dtype=np.dtype(np.float64))
    expected = StandardScaler().fit(x, sample_weight=weight).transform(x)
    for dtype, tolerance in ((tf.float64, 1e-12), (tf.float32, 1e-6), (tf.bfloat16, 1e-2)):
        (batch,) = pipeline.training_batches(
            source,
            np.arange(100),
            pipeline.Order(batch_size=100, epochs=1, seed=0),
            replicas=1,
            columns=columns,
            dtype=dtype,
        ).as_numpy_iterator()
        assert batch.x.dtype == dtype.as_numpy_dtype
        np.testing.assert_allclose(
            batch.x.astype(np.float64), expected[batch.row], atol=tolerance, rtol=tolerance
        )


def scan_all(source, block=7):
    rows = np.concatenate([np.asarray(part) for part in source.splits.values()])
    return scan.scan(source, rows, block * len(source.feature_names))


def test_moments_survive_a_huge_mean_and_any_scale():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(500, 1))
    x = base * np.array([1, 1e-12, 1e12, 1, 0]) + np.array([1e8, 0, 0, 0, 7])
    found = scan_all(from_arrays(x, np.arange(500) % 2, class_names=("a", "b")))
    np.testing.assert_allclose(found.mean[0], 1e8 + base.mean(), rtol=1e-15)
    np.testing.assert_allclose(found.deviation[0], base.std(), rtol=1e-7)  # x itself is rounded to 1e-8
    np.testing.assert_allclose(found.deviation[1:4], base.std() * np.array([1e-12, 1e12, 1]), rtol=1e-12)
    assert found.deviation[4] == 0
    columns = moments.affine(found, standardize=True, bias=True, dtype=np.dtype(np.float64))
    assert columns.scale[4] == 1


def test_weight_is_repetition_for_moments():
    x, y, weight = random_problem(60, 4, 2)
    repeated = np.repeat(np.arange(60), weight.astype(int))
    one = scan_all(from_arrays(x, y, class_names=("a", "b"), weight=weight))
    other = scan_all(from_arrays(x[repeated], y[repeated], class_names=("a", "b")))
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(one.deviation, other.deviation, rtol=1e-13)
    np.testing.assert_allclose(one.class_weight_sum, other.class_weight_sum)
    # A row of weight 0 is absent, whatever it holds.
    padded = from_arrays(
        np.vstack([x, np.full((1, 4), 1e9)]),
        np.append(y, 0),
        class_names=("a", "b"),
        weight=np.append(weight, 0),
    )
    np.testing.assert_allclose(scan_all(padded).mean, one.mean, rtol=1e-13, atol=1e-13)


def test_fold_out_gives_the_same_logits():
    source, x, _, _ = array_source()
    columns = moments.affine(scan_all(source), standardize=True, bias=True, dtype=np.dtype(np.float64))
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(6, 3)), rng.normal(size=3)
    raw_kernel, raw_bias = moments.fold_out(kernel, bias, columns)
    inside = (x - columns.shift) * columns.scale @ kernel + bias
    np.testing.assert_allclose(x @ raw_kernel + raw_bias, inside, rtol=1e-12, atol=1e-12)


def test_without_bias_nothing_is_shifted():
    source, *_ = array_source()
    columns = moments.affine(scan_all(source), standardize=True, bias=False, dtype=np.dtype(np.float64))
    assert (columns.shift == 0).all()
    assert (columns.scale != 1).all()


@pytest.mark.parametrize(
    ("value", "weight", "message"),
    [
        (np.nan, 1.0, r"Received: nan in row 41, column 'x2'"),
        (np.inf, 1.0, r"Received: inf in row 41, column 'x2'"),
        (0.0, np.nan, r"weight: .* Received: nan in row 41"),
        (0.0, -1.0, r"weight: .* Received: -1.0 in row 41"),
    ],
)
def test_bad_numbers_are_named_with_their_place(value, weight, message):
    x, y, weights = random_problem(100, 6, 3)
    x[41, 2], weights[41] = value or x[41, 2], weight
    with pytest.raises(InputError, match=message):
        scan_all(from_arrays(x, y, class_names=("a", "b", "c"), weight=weights))


def test_a_read_source_and_its_epochs_agree_with_the_real_thing():
    source = load("sklearn", name="iris")
    steps, _ = collect(
        from_arrays(np.zeros((150, 6)), np.zeros(150, np.int32), class_names=source.class_names),
        np.arange(150),
        1,
    )
    assert sorted(np.concatenate(steps[:5])) == list(range(150))


def test_one_cpu_takes_its_batches_from_tf_data_itself():
    # An iterator over devices makes each batch new memory: half the speed.
    batches = tf.data.Dataset.range(3)
    assert pipeline.distribute(tf.distribute.OneDeviceStrategy("/cpu:0"), lambda mine: batches) is batches
    assert pipeline.distribute(tf.distribute.MirroredStrategy(["CPU:0"]), lambda mine: batches) is batches
