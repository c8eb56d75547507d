"""Sources whose files are in a store give what they give on a disk, and say what is missing by its address."""

import os

import numpy as np
import pytest
import scipy.sparse
import tfds_sets
from hostile_store import registered

from tf_logreg import storage
from tf_logreg.data import load
from tf_logreg.errors import InputError

X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
Y = np.arange(20) % 2
LINES = "".join(f"{y} 1:{a} 3:{b}\n" for y, a, b in zip(Y, X[:, 0], X[:, 2], strict=True))


@pytest.fixture
def put(tmp_path):
    """Copies a folder to the store."""
    registered(tmp_path / "store")

    def copy(folder, address):
        for name in storage.files_below(str(folder)):
            parent, last = os.path.split(f"{address}/{name}")
            storage.Folder(parent).put(last, f"{folder}/{name}")

    return copy


def write(folder):
    os.makedirs(folder / "parts")
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    np.savez(folder / "rows.npz", x=X, y=Y)
    scipy.sparse.save_npz(folder / "sparse.npz", scipy.sparse.csr_array(X))
    for part in ("one.txt", "two.txt"):
        (folder / "parts" / part).write_text(LINES)


ASKED = {
    "npz": {"path": "rows.npz"},
    "npy": {"x": "x.npy", "y": "y.npy"},
    "npz, sparse": {"path": "sparse.npz", "labels": "y.npy"},
    "libsvm": {"path": "parts/*.txt"},
}


@pytest.mark.parametrize("name", ASKED)
def test_rows(name, put, tmp_path):
    write(tmp_path / "here")
    put(tmp_path / "here", "mem://data")

    def read(base):
        args = {key: f"{base}/{value}" for key, value in ASKED[name].items()}
        source = load.load(name.partition(",")[0], **args)
        return source, source.host(np.arange(20)), load.files(name.partition(",")[0], **args)

    (here, left, _), (there, right, files) = read(tmp_path / "here"), read("mem://data")
    assert there.class_names == here.class_names
    np.testing.assert_array_equal(right.y, left.y)
    one, other = (x.toarray() if scipy.sparse.issparse(x) else x for x in (left.x, right.x))
    np.testing.assert_array_equal(one, other)
    assert all(path.startswith("mem://data/") for path in files.values())


def test_a_set_of_tfds(put, tmp_path):
    folder = tfds_sets.prepare(tfds_sets.TinyDigits, tmp_path / "tfds")
    put(folder, "mem://sets/tiny")
    here, there = load.load("tfds", folder=str(folder)), load.load("tfds", folder="mem://sets/tiny")
    assert there.splits == here.splits
    rows = np.arange(0, 1797, 7)
    np.testing.assert_array_equal(there.host(rows).x, here.host(rows).x)
    assert (
        load.files("tfds", folder="mem://sets/tiny").keys() == load.files("tfds", folder=str(folder)).keys()
    )


MISSING = {
    "npz": ({"path": "mem://data/no.npz"}, "data.args.path: no such file. Received: 'mem://data/no.npz'"),
    "npy": ({"x": "mem://data/no.npy", "y": "mem://data/y"}, "data.args.x: no such file"),
    "libsvm": ({"path": "mem://data/no-*"}, "data.args.path: no file has a name of this pattern"),
    "csv": ({"path": "mem://data/no.csv"}, "data.args.path: expected a file. Received: 'mem://data/no.csv'; no such file"),
    "parquet": ({"path": "mem://data"}, "data.args.path: expected a file. Received: 'mem://data'; no such file"),
    "tfds": ({"folder": "mem://data/set"}, "data.args.folder: expected a folder with dataset_info.json"),
    "of TFDS's own": ({"name": "mnist", "data_dir": "ram://sets"}, "data.args.data_dir: expected a folder that TFDS can use"),
    "of nobody": ({"path": "s3://data/a.npz"}, "data.args.path: expected a path, or an address of "),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_what_is_not_there(put, name):
    args, message = MISSING[name]
    source = {"of TFDS's own": "tfds", "of nobody": "npz"}.get(name, name)
    with pytest.raises(InputError) as error:
        load.load(source, **args)
    assert str(error.value).startswith(message)
    if source == "tfds" and "name" in args:
        with pytest.raises(InputError, match=r"^data.args.data_dir"):
            load.files(source, **args)
