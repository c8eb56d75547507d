"""Sparse rows are measured as dense ones are, without being laid out, and matched to a run's features by name."""

import dataclasses
import logging

import numpy as np
import pytest
import scipy.sparse
from problems import sparse_rows

from tf_logreg.data import sparse_arrays, views
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model, default_names
from tf_logreg.results import evaluate

NAMES = ("ash", "birch", "cedar")


def rows_of(features=40, classes=3, n=300):
    """x [n, features] sparse, y [n] and weights [n]."""
    random = np.random.default_rng(0)
    x = sparse_rows(random, n, features, 0.1)
    return x, random.integers(0, classes, n), random.random(n)


@pytest.mark.parametrize("engine", ["host", "devices"])
@pytest.mark.parametrize(("output", "classes"), [("sigmoid", 2), ("softmax", 3), ("one_vs_rest", 3)])
def test_metrics_are_those_of_dense_rows(strategies, engine, output, classes):
    x, y, weight = rows_of(classes=classes)
    head, names = Head(output, classes), NAMES[:classes]
    kernel = np.random.default_rng(1).standard_normal((40, head.outputs))
    model = Model(kernel, np.ones(head.outputs), default_names(40), names, head, dtype="float64", sparse=True)
    devices, rows = Devices(strategies["one_device"], engine=engine), np.arange(20, 300)
    options = {"max_rows": 10**6, "max_bytes": 10**8}
    given = {"class_names": names, "weight": weight}
    found, arrays = evaluate.evaluate(
        model, sparse_arrays.from_sparse(x, y, **given), rows, devices, **options
    )
    expected, others = evaluate.evaluate(
        model, from_arrays(x.toarray(), y, **given), rows, devices, **options
    )
    assert found.keys() == expected.keys()
    words = {name for name in expected if name.endswith("_missing")}
    intervals = {name for name in expected if name.endswith("_interval")}  # none: rows weigh differently
    assert {name: found[name] for name in words | intervals} == {
        name: expected[name] for name in words | intervals
    }
    for name in expected.keys() - words - intervals - {"per_class"}:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, err_msg=name)
    for name in others:
        np.testing.assert_allclose(arrays[name], others[name], rtol=1e-12, err_msg=name)


def test_blocks_of_rows_of_a_million_features_have_many_rows(strategies):
    x, y, _ = rows_of()
    x = scipy.sparse.csr_array((x.data, x.indices * 20_000, x.indptr), shape=(300, 1_000_000))
    source = sparse_arrays.from_sparse(x, y, class_names=NAMES)
    model = Model(
        np.ones((1_000_000, 3)), np.zeros(3), source.feature_names, NAMES, Head("softmax", 3), sparse=True
    )
    blocks = []
    counted = dataclasses.replace(source, host=lambda rows: blocks.append(len(rows)) or source.host(rows))
    found, _ = evaluate.evaluate(
        model, counted, np.arange(300), Devices(strategies["one_device"]), max_rows=10**6, max_bytes=10**8
    )
    assert found["num_rows"] == sum(blocks) == 300
    assert len(blocks) <= 4


def matched(x, own, columns):
    """Rows [n, len(columns)], laid out, of sparse rows whose columns are called `own`."""
    y = np.arange(x.shape[0]) % 2
    source = sparse_arrays.from_sparse(x, y, class_names=NAMES[:2], feature_names=own)
    found = views.with_columns(source, columns)
    assert found.feature_names == columns
    batch = found.host(np.arange(1, x.shape[0])).x
    assert batch.has_canonical_format
    # As SciPy itself sees it.
    assert scipy.sparse.csr_array(
        (batch.data, batch.indices, batch.indptr), shape=batch.shape
    ).has_sorted_indices
    return batch.toarray()


def test_columns_in_another_order_are_taken_by_name():
    x, _, _ = rows_of(features=30)
    own = tuple(f"word {j}" for j in range(30))
    order = np.random.default_rng(2).permutation(30)
    found = matched(x, own, tuple(own[j] for j in order))
    np.testing.assert_array_equal(found, x.toarray()[1:][:, order])


def test_columns_that_a_file_lacks_are_zero(caplog):
    x, _, _ = rows_of(features=30)
    found = matched(x, (), default_names(45))
    np.testing.assert_array_equal(found, np.pad(x.toarray()[1:], [(0, 0), (0, 15)]))
    assert not caplog.records


@pytest.mark.parametrize("named", [False, True])
def test_columns_that_training_never_saw_are_left_out_and_counted(caplog, named):
    x, _, _ = rows_of(features=30)
    own = default_names(30)
    columns = own[:20] if not named else ("word", *own[:20][::-1])
    with caplog.at_level(logging.WARNING):
        found = matched(x, own, columns)
    expected = x.toarray()[1:, :20]
    if named:
        expected = np.hstack([np.zeros((len(expected), 1)), expected[:, ::-1]])
    np.testing.assert_array_equal(found, expected)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"data: 10 columns, with {x.toarray()[:, 20:].astype(bool).sum()} of {x.nnz} values, are none of the run's "
        f"{len(columns)} features and are left out: 'x20', 'x21', 'x22', 'x23', 'x24', ... (10 in all)"
    )


def test_names_that_tell_no_columns_apart_are_refused():
    x, _, _ = rows_of(features=3)
    with pytest.raises(InputError, match="since several are called 'b'"):
        matched(x, ("a", "b", "b"), ("b", "b", "a"))
