"""A model of sparse rows: it predicts from them, and its file keeps what is not zero."""

import dataclasses
import os

import numpy as np
import pytest
import scipy.sparse
from problems import sparse_rows

from tf_logreg import storage
from tf_logreg.errors import InputError
from tf_logreg.model import coefficients, compact
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model, default_names

FORMATS = ("csr", "csc", "coo", "bsr", "lil", "dok", "dia")
COUNTED = tuple(map(str, range(1, 61)))
HEADS = [("sigmoid", 2), ("softmax", 3), ("one_vs_rest", 3)]


def sparse_model(output="sigmoid", classes=2, features=60, density=1.0, dtype="float64"):
    head, random = Head(output, classes), np.random.default_rng(0)
    kernel = random.standard_normal((features, head.outputs)) * (
        random.random((features, head.outputs)) < density
    )
    names = default_names(features), ("ash", "birch", "cedar")[:classes]
    return Model(kernel, random.standard_normal(head.outputs), *names, head, dtype=dtype, sparse=True)


@pytest.mark.parametrize(("output", "classes"), HEADS)
@pytest.mark.parametrize("kind", [*FORMATS, "int64 indices", "float32", "whole numbers", "booleans"])
def test_sparse_rows_are_predicted_as_dense_ones(output, classes, kind):
    model = sparse_model(output, classes)
    x = sparse_rows(np.random.default_rng(1), 40, 60, 0.1)
    if kind in FORMATS:
        x = x.asformat(kind)
    elif kind == "int64 indices":
        x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    else:
        x = (x * 10).astype({"float32": np.float32, "whole numbers": np.int16, "booleans": bool}[kind])
    dense = x.toarray()
    np.testing.assert_allclose(model.decision_function(x), model.decision_function(dense), atol=1e-13)
    np.testing.assert_allclose(model.predict_proba(x), model.predict_proba(dense), atol=1e-13)
    assert model.predict(x).tolist() == model.predict(dense).tolist()


def test_a_million_features_are_not_laid_out():
    """10,000 rows of a million features would be 80 GB."""
    model = sparse_model(features=1_000_000)
    rows = np.arange(10_000)
    x = scipy.sparse.coo_array((np.ones(10_000), (rows, 99 * rows)), shape=(10_000, 1_000_000))
    np.testing.assert_allclose(model.decision_function(x), model.kernel[99 * rows, 0] + model.bias[0])


def test_other_sparse_rows_are_refused():
    with pytest.raises(
        InputError, match=r"x: expected \[n, 60\], a column a feature. Received: shape \(2, 61\)"
    ):
        sparse_model().predict(scipy.sparse.csr_array((2, 61)))


def test_a_sparse_row_with_a_gap_has_no_answer():
    x = scipy.sparse.csr_array(np.eye(3, 60))
    x.data[1] = np.nan
    assert np.isnan(sparse_model().predict_proba(x)).all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize(("output", "classes"), HEADS)
@pytest.mark.parametrize("density", [0.0, 0.05, 1.0])
@pytest.mark.parametrize(
    "named", [(), COUNTED, (*COUNTED[1:], "word 1"), ("", *COUNTED[1:]), ("007", *COUNTED[1:])]
)
def test_coefficients_are_read_as_they_were_written(tmp_path, output, classes, density, named):
    model = sparse_model(output, classes, density=density)
    if named:
        model = dataclasses.replace(model, feature_names=named)
    folder = storage.Folder(str(tmp_path))
    coefficients.write(folder, model)
    found = coefficients.read(folder)
    for field in dataclasses.fields(Model):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(model, field.name))
    assert ("kernel" in folder.read_arrays(coefficients.NAME)) == (density == 1.0)
    assert ("feature_names" in folder.read_arrays(coefficients.NAME)) == (named not in ((), COUNTED))


def test_the_file_of_a_million_features_has_the_size_of_what_is_not_zero(tmp_path):
    model, folder = sparse_model(features=1_000_000, density=0.01), storage.Folder(str(tmp_path))
    coefficients.write(folder, model)
    assert os.path.getsize(tmp_path / coefficients.NAME) < 16 * np.count_nonzero(model.kernel) + 4096


def test_a_model_of_dense_rows_has_the_arrays_that_all_versions_read(tmp_path):
    model = dataclasses.replace(sparse_model(density=0.05), sparse=False)
    folder = storage.Folder(str(tmp_path))
    coefficients.write(folder, model)
    found = folder.read_arrays(coefficients.NAME)
    of_all_versions = {"kernel", "bias", "feature_names", "class_names", "output", "dtype"}
    assert found.keys() == of_all_versions | {"has_bias"}
    np.testing.assert_array_equal(found["kernel"], model.kernel)
    assert found["feature_names"].tolist() == list(model.feature_names)
    assert not coefficients.read(folder).sparse


def test_kernels_of_a_path_are_kept_alike():
    kernel = np.zeros((5, 60, 2))
    kernel[2, 7, 1], kernel[4, 0, 0] = 3.0, -1.0
    found = compact.packed(kernel, default_names(60), sparse=True)
    assert found.keys() == {"kernel_index", "kernel_value", "kernel_shape", "first_feature_name"}
    again = np.zeros(found["kernel_shape"])
    again.flat[found["kernel_index"]] = found["kernel_value"]
    np.testing.assert_array_equal(again, kernel)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kernel_value": None}, "it lacks 'kernel_value'"),
        ({"kernel_index": np.array([0.5])}, "its 'kernel_index' is of shape (1,) and dtype float64"),
        ({"kernel_index": np.array([3, 60]), "kernel_value": np.ones(2)}, "not ascending within a kernel"),
        ({"kernel_index": np.array([-1, 3]), "kernel_value": np.ones(2)}, "not ascending within a kernel"),
        ({"kernel_index": np.array([3, 3]), "kernel_value": np.ones(2)}, "not ascending within a kernel"),
        ({"kernel_value": np.ones(1)}, "and 1 values"),
        ({"kernel_shape": np.array([2**40, 1])}, "its 'kernel_shape' is [1099511627776, 1]"),
        ({"kernel_shape": np.array([60])}, "its 'kernel_shape' is [60]"),
        ({"kernel_shape": np.array([60, 3])}, "disagree with a kernel (60, 3)"),
        ({"first_feature_name": None}, "it lacks 'feature_names'"),
        (
            {"first_feature_name": np.array("x")},
            "its 'first_feature_name' is x, no name that ends in a number",
        ),
        ({"first_feature_name": np.array(["x0"])}, "its 'first_feature_name' is ['x0']"),
        ({"sparse": np.array([True, True])}, "its 'sparse' is of shape (2,)"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, said):
    folder = storage.Folder(str(tmp_path))
    coefficients.write(folder, sparse_model(density=0.1))
    arrays = folder.read_arrays(coefficients.NAME) | change
    folder.write_arrays(coefficients.NAME, {name: a for name, a in arrays.items() if a is not None})
    with pytest.raises(InputError) as caught:
        coefficients.read(folder)
    assert said in str(caught.value)
