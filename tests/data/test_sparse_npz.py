"""A sparse matrix as SciPy writes it, beside a file of labels."""

import pickle

import numpy as np
import pytest
import scipy.sparse

from tf_logreg.data.load import faults, files, load
from tf_logreg.errors import InputError

FORMATS = ("csr", "csc", "bsr", "coo", "dia")
X = np.array([[1.5, 0, 0, 0], [0, 0, -2, 0], [0, 0, 0, 0], [3, 4, 0, 0], [0, 0, 0, 5], [0, 6, 0, 0]])
Y = np.array(["b", "a", "a", "b", "a", "b"])


@pytest.fixture
def saved(tmp_path):
    """Writes a matrix and labels; what `load` takes."""

    def save(x=None, y=Y, **beside):
        scipy.sparse.save_npz(tmp_path / "x.npz", scipy.sparse.csr_array(X) if x is None else x)
        if beside:
            np.savez(tmp_path / "y.npz", y=y, **beside)
        else:
            np.save(tmp_path / "y.npy", y)
        return {"path": f"{tmp_path}/x.npz", "labels": f"{tmp_path}/y.np{'z' if beside else 'y'}"}

    return save


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int8, bool])
def test_every_format_and_kind_of_number(saved, name, kind, dtype):
    x = getattr(scipy.sparse, f"{name}_{kind}")(X.astype(dtype))
    source = load("npz", **saved(x))
    batch = source.host(np.arange(6))
    assert source.sparse
    assert source.class_names == ("a", "b")
    assert batch.x.dtype == (np.float32 if dtype in (np.float32, np.int8, bool) else np.float64)
    np.testing.assert_array_equal(batch.x.toarray(), X.astype(dtype))
    np.testing.assert_array_equal(batch.y, [1, 0, 0, 1, 0, 1])
    assert source.place(3).startswith("row 3 of ")


def test_the_labels_file_has_all_else(saved):
    names = np.array(["p", "q", "r", "s"])
    args = saved(
        y=[1, 0, 0, 1, 0, 1], weight=np.arange(6.0), feature_names=names, class_names=["no", "yes"], person=Y
    )
    source = load("npz", **args)
    assert source.feature_names == tuple(names)
    assert source.class_names == ("no", "yes")
    np.testing.assert_array_equal(source.host(np.arange(6)).weight, np.arange(6.0))
    np.testing.assert_array_equal(source.extras["person"], Y)
    assert files("npz", **args) == {one: one for one in args.values()}
    assert not faults("npz", args)


def test_labels_beside_a_dense_array(tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    np.save(tmp_path / "y.npy", Y)
    source = load("npz", path=f"{tmp_path}/x.npz", labels=f"{tmp_path}/y.npy")
    np.testing.assert_array_equal(source.host(np.arange(6)).x, X)
    np.save(tmp_path / "y.npy", Y[:4])
    with pytest.raises(
        InputError, match=r"expected 6 labels, one a row of '.*x.npz'. Received: 4 in '.*y.npy'"
    ):
        load("npz", path=f"{tmp_path}/x.npz", labels=f"{tmp_path}/y.npy")


def test_labels_of_another_length(saved):
    with pytest.raises(
        InputError, match=r"labels: expected 6 labels, one a row of '.*x.npz'. Received: 5 in '.*y.npy'"
    ):
        load("npz", **saved(y=Y[:5]))
    with pytest.raises(InputError, match=r"labels: expected one label a row.*shape \(6, 1\) in '.*y.npy'"):
        load("npz", **saved(y=Y[:, None]))


def test_labels_that_are_missing_or_something_else(saved, tmp_path):
    args = saved()
    with pytest.raises(
        InputError,
        match=r"data\.args\.labels: expected the file of labels of the sparse rows in '.*x.npz'",
    ):
        load("npz", path=args["path"])
    with pytest.raises(InputError, match=r"data\.args\.labels: no such file\. Received: 'none.npy'"):
        load("npz", path=args["path"], labels="none.npy")
    for content, said in (
        (b"a,b\n", "expected an .npy of labels"),
        (pickle.dumps(Y), "pickled objects are not loaded"),
        (b"", "expected an .npy"),
    ):
        (tmp_path / "bad.npy").write_bytes(content)
        with pytest.raises(InputError, match=f"data.args.labels: .*{said}.*bad.npy"):
            load("npz", path=args["path"], labels=f"{tmp_path}/bad.npy")
    np.save(tmp_path / "objects.npy", np.array(["a", None]), allow_pickle=True)
    with pytest.raises(InputError, match=r"data\.args\.labels: .*objects.npy"):
        load("npz", path=args["path"], labels=f"{tmp_path}/objects.npy")
    np.savez(tmp_path / "z.npz", z=Y)
    with pytest.raises(
        InputError, match=r"data\.args\.labels: expected an array y\. Received: '.*z.npz', which holds z"
    ):
        load("npz", path=args["path"], labels=f"{tmp_path}/z.npz")


GOOD = {"format": b"csr", "shape": [2, 3], "data": [1.0, 2.0], "indices": [0, 2], "indptr": [0, 1, 2]}
BAD = {
    "an id beyond the columns": ({"indices": [0, 3]}, "make none"),
    "a negative id": ({"indices": [-1, 2]}, "whole numbers from 0 in 'indices'"),
    "ids with fractions": ({"indices": [0.5, 2.0]}, "whole numbers from 0 in 'indices'"),
    "blocks of no rows": ({"format": b"bsr", "data": np.ones((2, 0, 1)), "indices": [0, 0], "indptr": [0, 2]}, "make none"),
    "too few ids": ({"indices": [0]}, "make none"),
    "rows that go back": ({"indptr": [0, 2, 1]}, "make none"),
    "rows that are not there": ({"indptr": [0, 1]}, "make none"),
    "a format of another time": ({"format": b"lil"}, "format csr, csc, bsr, coo, dia. Received: format 'lil'"),
    "a format that is a list": ({"format": [b"csr", b"csc"]}, "Received: format ''"),
    "three dimensions": ({"shape": [2, 3, 1]}, r"rows and columns \[n, p\]"),
    "no ids": ({"indices": None}, "lacks indices"),
    "complex numbers": ({"data": [1j, 2]}, "real numbers"),
    "objects": ({"data": np.array([1, None], object)}, "can run code"),
    "a NaN": ({"data": [1.0, np.nan]}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_files_that_hold_no_sparse_matrix(tmp_path, change, message):
    arrays = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    np.savez(tmp_path / "x.npz", **arrays)
    np.save(tmp_path / "y.npy", [0, 1])
    args = {"path": f"{tmp_path}/x.npz", "labels": f"{tmp_path}/y.npy"}
    if not message:  # values are looked at by the scan of all sources
        assert np.isnan(load("npz", **args).host(np.arange(2)).x.data).any()
        return
    with pytest.raises(InputError, match=f"{message}.*x.npz|x.npz.*{message}") as error:
        load("npz", **args)
    assert "\n" not in str(error.value)


def test_more_columns_than_fit_in_memory(saved, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("", (), {"available": 2**34}))
    x = scipy.sparse.coo_array(([1.0, 2.0], ([0, 5], [0, 2**31 - 2])), (6, 2**31 - 1))
    with pytest.raises(
        InputError, match=r"columns whose coefficients fit in memory.*2147483647 columns.*x\.npz"
    ):
        load("npz", **saved(x))
