"""One look at rows: moments, constant columns and faults, whatever the blocks, layouts and cores."""

import subprocess
import sys

import numpy as np
import pytest

from tf_logreg import machine
from tf_logreg.data import scan, units
from tf_logreg.data.arrays import from_arrays
from tf_logreg.errors import InputError

RNG = np.random.default_rng(0)
N, P = 600, 5
BASE = RNG.normal(size=(N, P))
Y = RNG.integers(0, 2, N)


def scanned(x, weight=None, rows=None, block=70):
    source = from_arrays(x, Y[: len(x)], class_names=("a", "b"), weight=weight)
    rows = np.arange(len(x)) if rows is None else rows
    return scan.scan(source, rows, block * x.shape[1])


def assert_moments(found, x, weight, rtol=1e-12):
    """`found` against sums in long doubles, where there are any."""
    x, weight = x.astype(np.longdouble), weight.astype(np.longdouble)[:, None]
    mean = (weight * x).sum(axis=0) / weight.sum()
    deviation = np.sqrt((weight * (x - mean) ** 2).sum(axis=0) / weight.sum())
    np.testing.assert_allclose(
        found.mean, mean.astype(float), rtol=rtol, atol=1e-14 * np.abs(deviation).max()
    )
    np.testing.assert_allclose(found.deviation, deviation.astype(float), rtol=rtol)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_keep_their_digits_far_from_zero(layout, dtype, weighted):
    # Ordinary, far from zero, very far, and with one value far from all others.
    x = BASE * [1, 2, 0.5, 1, 1] + [0, 100, -1e5, 0, 3]
    x[0, 3] = 1e6
    x = layout(x.astype(dtype))
    weight = RNG.choice(np.array([0, 0.5, 3, 1e-9], np.float32), N) if weighted else np.ones(N, np.float32)
    found = scanned(x, weight)
    assert_moments(found, x, weight, rtol=1e-11)
    assert found.weight_sum == pytest.approx(weight.sum(dtype=float))
    np.testing.assert_allclose(found.class_weight_sum, np.bincount(Y, weight, 2))


def test_a_mean_that_moves_from_block_to_block():
    x = BASE + np.repeat([0.0, 1e8, -1e8], N // 3)[:, None]
    assert_moments(scanned(x), x, np.ones(N), rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e17, 1e-200, np.float32(0.1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_only_a_constant_column_has_deviation_zero(value, weighted):
    x = np.column_stack([np.full(N, value), np.full(N, value), BASE[:, 0]])
    x[-1, 1] = np.nextafter(value, 1)
    found = scanned(x, RNG.uniform(0.1, 2, N) if weighted else None)
    assert found.deviation[0] == 0
    assert found.mean[0] == value
    assert found.deviation[1] > 0 or value == 0  # next to zero is the smallest number, whose square is none


def test_a_column_that_is_constant_in_each_block_but_not_in_all():
    x = np.repeat([[1.0], [1.0], [2.0]], 70, axis=0)
    found = scanned(x)
    assert found.mean[0] == pytest.approx(4 / 3)
    assert found.deviation[0] == pytest.approx(np.sqrt(2 / 9))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_units_of_tiny_columns_come_from_their_largest_magnitude(dtype):
    sizes = np.array([1e-30, 1e-44 if dtype == np.float32 else 1e-280, 1e-10, 0, 1e17])
    x = (BASE * sizes).astype(dtype)
    x[::3] = 0
    found = scanned(x)
    largest = np.abs(x).max(axis=0).astype(float)
    np.testing.assert_array_equal(units.exponents(found.largest), units.exponents(largest))
    tiny = largest < 2.0**-60
    np.testing.assert_array_equal(found.largest[tiny], largest[tiny])
    exact = np.ldexp(x.astype(float), -units.exponents(largest))
    np.testing.assert_allclose(
        found.in_units(units.exponents(largest)).deviation, exact.std(axis=0), rtol=1e-12
    )


def test_rows_of_weight_zero_set_no_unit():
    x, weight = BASE * 1e-200, np.ones(N)
    x[17], weight[17] = 1.0, 0.0
    found, without = scanned(x, weight), scanned(np.delete(x, 17, axis=0))
    np.testing.assert_array_equal(found.largest, without.largest)
    np.testing.assert_allclose(found.deviation, without.deviation, rtol=1e-13)


@pytest.mark.parametrize("weight", [1.0, 0.0, 2.0])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "expected finite numbers. Received: nan in row 333, column 'x2'"),
        (-np.inf, "expected finite numbers. Received: -inf in row 333, column 'x2'"),
        (1e18, "expected magnitudes below 1e+18. Received: 1e+18 in row 333, column 'x2'"),
        (-1e200, "expected magnitudes below 1e+18. Received: -1e+200 in row 333, column 'x2'"),
    ],
)
def test_a_number_that_cannot_be_used_is_named(value, message, weight):
    x, weights = BASE.copy(), np.ones(N)
    x[333, 2], weights[333] = value, weight
    with pytest.raises(InputError) as raised:
        scanned(x, weights)
    assert message in str(raised.value)


def test_numbers_below_the_limit_are_taken_however_many():
    x = np.full((N, 2), 9e17) * np.where(Y, 1, -1)[:, None]
    assert_moments(scanned(x), x, np.ones(N))


def test_cores_change_no_bit(monkeypatch):
    x, found = np.asfortranarray(BASE + 30), []
    for cores in (1, 2, 5):
        monkeypatch.setattr(machine, "cores", lambda cores=cores: cores)
        found.append(scanned(x))
    for other in found[1:]:
        for name, value in vars(found[0]).items():
            np.testing.assert_array_equal(getattr(other, name), value)


def test_rows_in_any_order():
    rows = RNG.permutation(N)[:333]
    assert_moments(scanned(BASE, rows=rows), BASE[rows], np.ones(333))


def test_a_block_without_weight_is_passed_over():
    weight = np.ones(N)
    weight[:140] = 0
    assert_moments(scanned(BASE, weight), BASE, weight)
    assert scanned(BASE, np.zeros(N)).weight_sum == 0


def test_arrays_need_no_tensorflow():
    """Rows with offsets, classes and columns in another order, and columns in units of their own."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[[1e-200,", "3.0]]", "[1]", "[[7.0]]", "False"]


WITHOUT_TENSORFLOW = """
import sys
import numpy as np
from tf_logreg import config
from tf_logreg.data import dataset, source, views
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices

rows = from_arrays(
    np.array([[3.0, 1e-200], [4.0, -1e-200]]), np.array([0, 1]), class_names=("a", "b"), feature_names=("u", "v"),
    extras={"o": np.array([7.0, 8.0])},
)
rows = views.with_columns(views.with_positive_class(source.with_offset(rows, "o", 1), "a"), ("v", "u"))
found = dataset.of_rows(rows, {"train": np.arange(2)}, config.get_config(), Devices())
first = found.source.host(np.arange(1))
print(np.ldexp(first.x, found.exponent).tolist(), first.y.tolist(), first.offset.tolist(), "tensorflow" in sys.modules)
"""
