"""Both engines make the same passes: every program, on hard data, to rounding."""

import dataclasses

import numpy as np
import pytest
from problems import random_problem

from tf_logreg import machine
from tf_logreg.data import moments, scan
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import with_offset
from tf_logreg.devices.devices import Devices
from tf_logreg.engines import on_devices, on_host
from tf_logreg.objective.records import Problems

ROWS = 3000
CLOSE = {"float64": 1e-12, "float32": 1e-5}  # relative to the sum of absolute terms
PROGRAMS = (
    "value_and_gradient",
    "hessian_product",
    "hessian",
    "pooled_gram",
    "held_out",
    "held_out_one_vs_rest",
)


def hard_rows(classes, dtype):
    """Columns with means far above their deviations, constant ones, of scales from 1e-8 to 1e6; offsets; weights of 0."""
    x, y, weight = random_problem(ROWS, 8, classes)
    x = x * 10.0 ** np.arange(-8, 8, 2) + [0, 1e-6, 0, 3e-1, 0, 7e2, 0, 1e6]
    x = np.column_stack([x, 1e3 + x[:, 3], np.full(ROWS, 0.3), np.zeros(ROWS)])
    weight[::7] = 0
    offsets = np.random.default_rng(2).normal(size=(ROWS, 1 if classes == 2 else classes))
    source = from_arrays(
        x.astype(dtype), y, class_names=tuple("abc"[:classes]), weight=weight, extras={"offset": offsets}
    )
    return with_offset(source, "offset", offsets.shape[1])


def columns_of(source):
    found = scan.scan(source, np.arange(ROWS))
    return moments.affine(found, standardize=True, bias=True, dtype=source.x_dtype)


def problems_of(classes, count):
    rng = np.random.default_rng(3)
    return Problems(
        held_out=np.arange(count, dtype=np.int32) % 3 - 1,
        class_weight=rng.uniform(0.5, 2, (count, classes)),
        latest=np.array([10, 1, 2, 10][:count], np.int32),
        positive=np.array([-1, 1, 0, -1][:count], np.int32) if classes == 2 else np.full(count, -1, np.int32),
    )


@pytest.mark.parametrize(("classes", "dtype"), [(2, "float64"), (3, "float64"), (3, "float32")])
def test_engines_agree(strategies, dtype, classes):
    """The devices' engine has two replicas here: uneven shares, other blocks, another order."""
    source, host = hard_rows(classes, dtype), Devices(None, dtype)
    columns, rows = columns_of(source), np.arange(ROWS)
    folds = np.random.default_rng(4).integers(0, 3, ROWS).astype(np.int32)
    theirs = on_devices.resident(Devices(strategies["mirrored"], dtype), source, rows, columns, folds)
    order = np.random.default_rng(5).permutation(ROWS)
    ours = {
        "where they lie": on_host.placed_or_streamed(host, source, rows, columns, folds),
        "copied": on_host.placed_or_streamed(host, source, order, columns, folds[order]),
        "copied in float64": on_host.copied_in_float64(source, rows, columns, folds),
        "streamed": on_host.streamed(host, source, rows, columns, folds),
    }
    problems, m = problems_of(classes, 4), 1 if classes == 2 else classes
    w, v = np.random.default_rng(1).normal(size=(2, 4, len(source.feature_names) + 1, m)) / 3
    for name in PROGRAMS:
        arguments = (w, v) if name == "hessian_product" else (w,)
        expected = theirs.sums(name, arguments, problems, 50)
        for where, engine in ours.items():
            for one, other in zip(engine.sums(name, arguments, problems, 50), expected, strict=True):
                # Training columns have deviation one: a sum's absolute terms add up to the weights, or more.
                terms = np.maximum(np.abs(other), np.abs(expected[0]).max())
                assert (np.abs(one - other) <= CLOSE[dtype] * terms).all(), (name, where)


@pytest.mark.parametrize("where", ["where they lie", "streamed"])
def test_a_sample_is_small_groups_of_rows_from_all_over(where):
    """Rows count themselves: the sum of weights of a pass over one group in every eight."""
    x = np.random.default_rng(0).normal(size=(100_000, 3))
    y, devices = np.arange(len(x)) % 2, Devices(None, "float64")
    columns, problems = moments.Affine(np.zeros(3), np.ones(3)), Problems(np.full(1, -1), np.ones((1, 2)))
    make = on_host.streamed if where == "streamed" else on_host.placed_or_streamed
    for part in (slice(0, 50_000), slice(50_000, 100_000)):
        weight = np.zeros(len(x))
        weight[part] = 1
        source = from_arrays(x, y, class_names=("a", "b"), weight=weight)
        engine = make(devices, source, np.arange(len(x)), columns)
        (found, *_) = engine.sums("value_and_gradient", (np.zeros((1, 4, 1)),), problems, 4, 8)
        assert abs(found[0] - 50_000 / 8) <= 128


def test_repeats_are_equal_to_the_bit_on_any_number_of_cores(monkeypatch):
    source = hard_rows(3, "float32")
    columns, w = columns_of(source), np.random.default_rng(1).normal(size=(1, 12, 3))
    monkeypatch.setattr(on_host, "_BLOCK_BYTES", 2**14)
    monkeypatch.setattr(on_host, "_WORTH_THREADS", 0)
    engine = on_host.placed_or_streamed(Devices(None), source, np.arange(ROWS), columns)
    problems, found = Problems(np.full(1, -1), np.ones((1, 3))), []
    for cores in (1, 2, 2, 5):
        monkeypatch.setattr(machine, "cores", lambda cores=cores: cores)
        found.append(engine.sums("value_and_gradient", (w,), problems, 12))
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_hessian_of_chosen_rows_is_close_where_few_rows_have_the_curvature(classes):
    x, y, _ = random_problem(20_000, 12, classes)
    source = from_arrays(x, y, class_names=tuple("abc"[:classes]))
    rows = np.arange(len(y))
    columns = moments.affine(scan.scan(source, rows), standardize=True, bias=True, dtype=source.x_dtype)
    engine = on_host.placed_or_streamed(Devices(None, "float64"), source, rows, columns)
    m = 1 if classes == 2 else classes
    w = 12 * np.random.default_rng(1).normal(size=(2, 13, m))  # most rows lie far from any border
    problems = problems_of(classes, 2)._replace(held_out=np.full(2, -1, np.int32))

    def error(every):
        weight, found = engine.sums("hessian", (w,), problems, 100, every)
        np.testing.assert_allclose(weight, whole[0])
        return np.linalg.norm(found - whole[1], axis=(1, 2)) / np.linalg.norm(whole[1], axis=(1, 2))

    whole = engine.sums("hessian", (w,), problems, 100)
    evenly = engine.one_in(8).sums("hessian", (w,), problems, 100)[1] * 8
    by_chance = np.linalg.norm(evenly - whole[1], axis=(1, 2)) / np.linalg.norm(whole[1], axis=(1, 2))
    assert (error(8) < 0.01).all()
    assert (error(8) < by_chance / 3).all()
    none = problems._replace(class_weight=np.zeros((2, classes)))
    assert not engine.sums("hessian", (w,), none, 100, 8)[1].any()


def test_passes_over_a_sample_are_those_that_read_every_block_of_so_many():
    source = hard_rows(3, "float64")
    columns, rows = columns_of(source), np.arange(ROWS)
    folds = np.random.default_rng(4).integers(0, 3, ROWS).astype(np.int32)
    problems, host = problems_of(3, 4), Devices(None, "float64")
    w = np.random.default_rng(1).normal(size=(4, len(source.feature_names) + 1, 3)) / 3
    for engine in (
        on_host.placed_or_streamed(host, source, rows, columns, folds),
        on_host.streamed(host, source, rows, columns, folds),
    ):
        ours = engine.one_in(4).sums("value_and_gradient", (w,), problems, 12)
        for found, expected in zip(
            ours, engine.sums("value_and_gradient", (w,), problems, 12, 4), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_a_sample_of_streamed_rows_is_taken_block_by_block(monkeypatch):
    source, read = hard_rows(3, "float64"), []
    counted = dataclasses.replace(source, host=lambda rows: read.append(len(rows)) or source.host(rows))
    monkeypatch.setattr(on_host, "_BLOCK_BYTES", 2**14)
    engine = on_host.streamed(Devices(None, "float64"), counted, np.arange(ROWS), columns_of(source))
    engine.one_in(100)
    assert sum(read) == ROWS
    assert max(read) < 200
