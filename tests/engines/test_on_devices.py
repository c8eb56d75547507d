"""Passes over rows on the devices, by their names."""

import dataclasses

import numpy as np
import pytest
from problems import random_problem

from tf_logreg.data import pipeline
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.moments import Affine
from tf_logreg.devices.devices import Devices
from tf_logreg.engines import on_devices
from tf_logreg.objective.records import Problems

COLUMNS = Affine(np.zeros(4), np.ones(4))
ALL_ROWS = Problems(np.full(1, -1, np.int32), np.ones((1, 3)))


def sums(engine):
    w = np.random.default_rng(1).normal(size=(1, 5, 3))
    return engine.sums("value_and_gradient", (w,), ALL_ROWS, 12)


def test_ids_of_rows_may_be_of_any_size(strategies):
    """A stream without folds holds nothing for each id: a source of 10^10 rows may be sampled."""
    x, y, _ = random_problem(100, 4, 3)
    source, far = from_arrays(x, y, class_names=("a", "b", "c")), 10**10
    distant = dataclasses.replace(
        source, read=lambda rows: source.read(rows - far)._replace(row=rows), host=None
    )
    devices = Devices(strategies["mirrored"], "float64")
    found = sums(on_devices.streamed(devices, distant, np.arange(far, far + 100), COLUMNS))
    expected = sums(on_devices.resident(devices, source, np.arange(100), COLUMNS))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("kind", ["one_device", "mirrored"])
def test_each_pass_of_a_stream_is_one_pass(strategies, monkeypatch, kind):
    """Several blocks, the last with padding: a pass begins where the one before has ended."""
    x, y, _ = random_problem(100, 4, 3)
    source, devices = from_arrays(x, y, class_names=("a", "b", "c")), Devices(strategies[kind], "float64")
    monkeypatch.setattr(pipeline, "_BLOCK_ELEMENTS", 4 * 7)
    folds = np.arange(100, dtype=np.int32) // 50
    stream = on_devices.streamed(devices, source, np.arange(100), COLUMNS, folds)
    first, second, third = (sums(stream) for _ in range(3))
    expected = sums(on_devices.resident(devices, source, np.arange(100), COLUMNS, folds))
    for found in (first, second, third):
        for one, other, again in zip(found, expected, first, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
            np.testing.assert_array_equal(one, again)


@pytest.mark.parametrize("fraction", [0.5, 0.0])
def test_what_has_no_room_is_streamed_and_says_so(strategies, caplog, fraction):
    x, y, _ = random_problem(100, 4, 3)
    source, devices = (
        from_arrays(x, y, class_names=("a", "b", "c")),
        Devices(strategies["off"], "float64", fraction),
    )
    with caplog.at_level("INFO", logger="tf_logreg"):
        found = sums(on_devices.placed_or_streamed(devices, source, np.arange(100), COLUMNS))
    assert ("each pass streams them" in caplog.text) == (fraction == 0.0)
    np.testing.assert_allclose(found[0], [100.0])
