"""Pairs of .npy files: rows are read from the disk, in any dtype, and what is wrong with a file is named."""

import pickle

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tf_logreg import config as configs
from tf_logreg import training
from tf_logreg.data import identity
from tf_logreg.data.load import files, load
from tf_logreg.errors import InputError

DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3


def write(folder, **arrays):
    """The arrays in files of their names; the arguments that name them."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return {name: str(folder / f"{name}.npy") for name in arrays}


def rows_of(source, split="train"):
    return np.arange(source.splits[split].start, source.splits[split].stop)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", ">f4", "uint8", "int32", "bool", "longdouble"]
)
def test_numbers_of_any_dtype_are_read_alike_by_numpy_and_tensorflow(tmp_path, dtype):
    x = (X * 10).astype(dtype)
    source = load("npy", **write(tmp_path, x=x, y=Y))
    assert source.x_dtype == (np.float64 if dtype in ("float64", "int32", "longdouble") else np.float32)
    rows = np.array([3, 59, 3, 0])
    for batch in (source.host(rows), source.read(tf.constant(rows))):
        np.testing.assert_array_equal(batch.x, x[rows].astype(source.x_dtype))
        np.testing.assert_array_equal(batch.y, Y[rows])
    assert source.place(7) == f"row 7 of {tmp_path}/x.npy"


def test_bfloat16_as_numpy_saves_it_and_as_whole_numbers(tmp_path):
    x = X.astype(ml_dtypes.bfloat16)
    given = write(tmp_path, x=x, y=Y)
    assert np.load(given["x"]).dtype == "V2"
    bits = write(tmp_path, x_bits=x.view(np.uint16))["x_bits"]
    for source in (load("npy", **given), load("npy", x=bits, y=given["y"], dtype="bfloat16")):
        rows = np.arange(60)
        assert source.x_dtype == np.float32
        for batch in (source.host(rows), source.read(tf.constant(rows))):
            np.testing.assert_array_equal(batch.x, x.astype(np.float32))
    # Without being told, whole numbers are what they are.
    assert load("npy", x=bits, y=given["y"]).host(np.arange(1)).x[0, 0] == x.view(np.uint16)[0, 0]


def test_rows_stay_in_the_file_until_they_are_read(tmp_path):
    """X of 16 GiB in a file with a hole: neither NumPy nor TensorFlow takes memory for it."""
    given = write(tmp_path, y=np.arange(2**21) % 2)
    path = tmp_path / "x.npy"
    with open(path, "wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (2**21, 2**12)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 2**34)
    source = load("npy", x=str(path), **given)
    rows = np.array([0, 2**21 - 1])
    assert not source.host(rows).x.any()
    assert not source.read(tf.constant(rows)).x.numpy().any()


def test_splits_in_files_of_their_own(tmp_path):
    parts = {"x": X, "y": Y, "validation_x": X[:7].astype(np.float64), "validation_y": Y[:7]}
    parts |= {"test_x": X[:9].astype(np.float16), "test_y": Y[:9] % 2}
    given = write(tmp_path, **parts)
    source = load("npy", **given)
    assert source.splits == {"train": range(60), "validation": range(60, 67), "test": range(67, 76)}
    assert source.class_names == ("0", "1", "2")
    assert source.place(66) == f"row 6 of {given['validation_x']}"
    whole = np.concatenate([X, X[:7], X[:9].astype(np.float16)]).astype(np.float64)
    y = np.concatenate([Y, Y[:7], Y[:9] % 2])
    mixed = np.array([75, 0, 60, 66, 59, 67])
    for rows in (mixed, np.arange(76), rows_of(source, "validation"), rows_of(source, "test"), mixed[:0]):
        for batch in (source.host(rows), source.read(tf.constant(rows))):
            assert batch.x.dtype == np.float64
            np.testing.assert_array_equal(batch.x, whole[rows])
            np.testing.assert_array_equal(batch.y, y[rows])
            np.testing.assert_array_equal(batch.row, rows)
            np.testing.assert_array_equal(batch.weight, np.ones(len(rows)))
        np.testing.assert_array_equal(source.labels(rows), y[rows])
    assert set(files("npy", **given)) == set(given.values())


def test_rows_of_one_file_are_not_copied(tmp_path):
    source = load("npy", **write(tmp_path, x=X, y=Y, test_x=X, test_y=Y))
    for split in ("train", "test"):
        first, again = (source.host(rows_of(source, split)).x for _ in range(2))
        assert np.may_share_memory(first, again)


def config_of(given, solver="auto"):
    config = configs.get_config()
    config.data.source, config.data.args = "npy", given
    config.data.test_split, config.l2, config.solver.name = "test", 0.1, solver
    config.minibatch.update(epochs=2, batch_size=16)
    return config


@pytest.mark.parametrize("solver", ["auto", "minibatch"])
def test_a_run_gives_the_bits_of_the_same_rows_in_an_npz(tmp_path, strategies, solver):
    """Also where rows are streamed, from the file mapped into memory."""
    given = write(tmp_path, x=X, y=Y, test_x=X[:20], test_y=Y[:20])
    found = []
    for name, fraction in (("resident", 0.5), ("streamed", 0.0)):
        run = tmp_path / name
        result = training.train_and_evaluate(
            config_of(given, solver),
            str(run),
            strategy=strategies["one_device"],
            device_memory_fraction=fraction,
        )
        assert result["metrics"]["test"]["num_rows"] == 20
        found.append(np.load(run / "coefficients.npz")["kernel"])
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    config = config_of({"path": str(tmp_path / "a.npz")}, solver)
    config.data.source, config.data.test_split = "npz", ""
    training.train_and_evaluate(config, str(tmp_path / "npz"), strategy=strategies["one_device"])
    for kernel in found:
        np.testing.assert_array_equal(kernel, np.load(tmp_path / "npz" / "coefficients.npz")["kernel"])


def test_the_command_line_takes_files_of_test_rows_for_the_test_split(tmp_path, command):
    given = write(tmp_path, x=X, y=Y, test_x=X, test_y=Y, validation_x=X, validation_y=Y)
    arguments = [f"--config.data.args.{name}={path}" for name, path in given.items()]
    code, out, err = command(
        "--config=linear_probe", "--config.data.source=npy", *arguments, f"--workdir={tmp_path}/run"
    )
    assert code == 0, err
    assert "validation" in out
    assert "test " in out


def test_a_file_that_changed_is_noticed(tmp_path):
    given = write(tmp_path, x=X, y=Y)
    before = identity.digests(config_of(given), {})
    write(tmp_path, x=X + 1)
    assert identity.digests(config_of(given), {}) != before


BAD = {
    "no file": ({}, {"x": "none.npy", "y": "none.npy"}, "data.args.x: no such file. Received: .*none.npy"),
    "no labels": ({"x": X}, {"y": ""}, "data.args.y: expected a file beside .*x.npy"),
    "no features": ({"x": X, "y": Y, "test_y": Y}, {}, "data.args.test_x: expected a file beside .*test_y.npy"),
    "neither": ({}, {"x": "", "y": ""}, "data.args.x: no such file. Received: ''"),
    "objects": ({"x": np.array([[{}]]), "y": Y}, {}, "data.args.x: .* it holds Python objects"),
    "other numbers of rows": ({"x": X, "y": Y[1:]}, {}, r"data.args.y: expected 60 labels, .*x.npy.* shape \(59,\) in .*y.npy"),
    "labels of two columns": ({"x": X, "y": X}, {}, r"data.args.y: expected 60 labels, .*shape \(60, 3\)"),
    "one column without a second axis": ({"x": Y, "y": Y}, {}, r"rows and columns \[n, p\].*shape \(60,\)\. Files: .*x.npy"),
    "a number": ({"x": np.float32(3), "y": Y}, {}, r"expected 0 labels"),
    "words": ({"x": X.astype(str), "y": Y}, {}, "x: expected real numbers. .*Files: .*x.npy"),
    "other columns": ({"x": X, "y": Y, "test_x": X[:, :2], "test_y": Y}, {}, "x: expected 3 columns, .*: 2 in split 'test'"),
    "another dtype": ({"x": X, "y": Y}, {"dtype": "float16"}, "data.args.dtype: expected '' or 'bfloat16'"),
    "no bits of bfloat16": ({"x": X, "y": Y}, {"dtype": "bfloat16"}, "data.args.dtype: expected '' where .*float32 in .*x.npy"),
    "fractions for labels": ({"x": X, "y": Y + 0.5}, {}, "0.5 in row 0. Files: .*y.npy"),
}  # fmt: skip


@pytest.mark.parametrize(("arrays", "more", "message"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path, arrays, more, message):
    with pytest.raises(InputError, match=message) as error:
        load("npy", **{**write(tmp_path, **arrays), **more})
    assert "\n" not in str(error.value)


BYTES = {
    "text": (b"a,b\n1,2\n", "expected an .npy file. .*it is not a NumPy array"),
    "nothing": (b"", "it is not a NumPy array"),
    "a pickle": (pickle.dumps(X), "pickled objects are not loaded, they can run code"),
}


@pytest.mark.parametrize(("content", "message"), BYTES.values(), ids=BYTES)
def test_files_that_are_no_arrays(tmp_path, content, message):
    given = write(tmp_path, y=Y)
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load("npy", x=str(tmp_path / "x.npy"), **given)
    assert f"{tmp_path}/x.npy" in str(error.value)


def test_files_cut_short_folders_and_archives(tmp_path):
    given = write(tmp_path, x=X, y=Y)
    path = tmp_path / "x.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"claims shape \(60, 3\) of float32, 720 bytes, and holds 719"):
        load("npy", **given)
    np.savez(tmp_path / "a.npz", x=X)
    with pytest.raises(InputError, match=r"an \.npz, which data.source='npz' reads"):
        load("npy", x=str(tmp_path / "a.npz"), y=given["y"])
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        load("npy", x=str(tmp_path), y=given["y"])


def test_columns_one_after_another_are_copied_where_they_fit(tmp_path, monkeypatch):
    given = write(tmp_path, x=np.asfortranarray(X), y=Y)
    np.testing.assert_array_equal(load("npy", **given).host(np.arange(60)).x, X)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("", (), {"total": 64}))
    with pytest.raises(InputError, match="in Fortran order, which is copied, takes about"):
        load("npy", **given)
