"""Every byte order, width and layout that NumPy has gives the numbers of the native array, or one line."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.load import load
from tf_logreg.data.source import with_offset
from tf_logreg.errors import InputError

RNG = np.random.default_rng(0)
# A mean far above the spread: float32 would leave nothing of it.
X = RNG.normal(size=(50, 3)) + 1e9
Y = RNG.integers(0, 2, 50).astype(np.int32)


def mapped(x, folder):
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode="r")


def read_only(x, folder):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "big-endian": lambda x, folder: x.astype(x.dtype.newbyteorder(">")),
    "little-endian": lambda x, folder: x.astype(x.dtype.newbyteorder("<")),
    "Fortran": lambda x, folder: np.asfortranarray(x),
    "big-endian Fortran": lambda x, folder: np.asfortranarray(x.astype(x.dtype.newbyteorder(">"))),
    "strided": lambda x, folder: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda x, folder: x[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": read_only,
    "memory-mapped": mapped,
    "unaligned": lambda x, folder: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "matrix": lambda x, folder: x.view(np.matrix),
}  # fmt: skip
DTYPES = ["float16", "float32", "float64", "int8", "uint16", "int32", "uint64", "bool"]


def batches(source):
    """What NumPy and what TensorFlow reads of all rows."""
    rows = np.arange(50)
    return source.host(rows), source.read(tf.constant(rows))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_read_as_the_native_array(layout, dtype, tmp_path):
    native = X if dtype == "float64" else (X - 1e9) * 3
    native = (native > 0) if dtype == "bool" else np.abs(native).astype(dtype)
    exact = np.float64 if dtype in ("float64", "int32", "uint64") else np.float32
    source = from_arrays(layout(native, tmp_path), Y, class_names=("a", "b"))
    assert source.x_dtype == exact
    for batch in batches(source):
        assert batch.x.dtype == exact
        np.testing.assert_array_equal(batch.x, native.astype(exact))


@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f8", "longdouble"])
def test_labels_weights_and_offsets_of_any_byte_order(dtype):
    weight, offset = RNG.uniform(size=50), RNG.normal(size=50)
    source = from_arrays(
        X,
        Y.astype(">i4"),
        class_names=("a", "b"),
        weight=weight.astype(dtype),
        extras={"o": offset.astype(dtype)},
    )
    source = with_offset(source, "o", 1)
    for batch in batches(source):
        np.testing.assert_array_equal(batch.y, Y)
        np.testing.assert_array_equal(batch.weight, weight.astype(dtype).astype(np.float32))
        np.testing.assert_array_equal(batch.offset[:, 0], offset.astype(dtype).astype(np.float64))


def test_long_doubles_are_rounded_to_float64_or_refused():
    third = np.ones((50, 3), np.longdouble) / 3
    source = from_arrays(third, Y, class_names=("a", "b"))
    assert source.x_dtype == np.float64
    for batch in batches(source):
        np.testing.assert_array_equal(batch.x, np.full((50, 3), 1 / 3))
    for text in ("1e+400", "-1e+4000", "1e-400"):
        beyond = third.copy()
        beyond[17, 2] = np.longdouble(text)
        message = f"that float64 holds. Received: {text} in row 17, column 'x2'"
        with pytest.raises(InputError, match=re.escape(message)):
            from_arrays(beyond, Y, class_names=("a", "b"))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, ">i8"])
def test_whole_numbers_that_float64_would_round(dtype):
    large = np.full((50, 3), 2**55, dtype)
    source = from_arrays(large, Y, class_names=("a", "b"))
    np.testing.assert_array_equal(source.host(np.arange(50)).x, 2.0**55)
    large[17, 2] = 2**55 + 1  # NumPy 1 adds to a uint64 in float64
    with pytest.raises(InputError, match=f"Received: {2**55 + 1} in row 17, column 'x2'"):
        from_arrays(large, Y, class_names=("a", "b"))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X.astype(complex), "dtype complex128"),
        (X.astype(str), "dtype <U"),
        (X.astype("datetime64[s]"), "dtype datetime64"),
        (np.zeros((50, 3), "V4"), "dtype |V4"),
        (np.zeros((50, 3), "V2"), r"dtype |V2; bfloat16 .*astype\(np\.float32\)"),
        (np.zeros((50, 3), [("a", float)]), "dtype"),
        (np.ma.masked_less(X, 1e9), "a masked array"),
        (np.float64(3), r"shape \(\)"),
        (X[0], r"shape \(3,\)"),
    ],
)
def test_what_is_no_table_of_numbers(x, message):
    with pytest.raises(InputError, match=f"x: expected .*Received: {message}".replace("|", r"\|")):
        from_arrays(x, Y, class_names=("a", "b"))


@pytest.mark.parametrize("y", [Y + 1, Y - 1, Y * 2.0, Y.astype(np.int64) + 2**32])
def test_indices_outside_the_classes(y):
    with pytest.raises(InputError, match=r"y: expected integers in 0\.\.1"):
        from_arrays(X, y, class_names=("a", "b"))


def test_a_big_endian_file_gives_the_native_files_fit(command, tmp_path):
    arrays = {"x": X, "y": Y, "weight": RNG.uniform(size=50), "shift": RNG.normal(size=50)}
    kernels = []
    for order in "<>":
        given = {name: array.astype(array.dtype.newbyteorder(order)) for name, array in arrays.items()}
        np.savez(tmp_path / f"{ord(order)}.npz", **given)
        code, _, err = command(
            "--config=numpy_arrays", f"--config.data.args.path={tmp_path}/{ord(order)}.npz", "--config.l2=0.1",
            "--config.data.offset=shift", f"--workdir={tmp_path}/{ord(order)}", "--dtype=float64",
        )  # fmt: skip
        assert code == 0, err
        with np.load(tmp_path / str(ord(order)) / "coefficients.npz") as found:
            kernels.append(found["kernel"])
    np.testing.assert_array_equal(*kernels)
    assert np.abs(kernels[0]).max() > 0
    assert load("npz", path=f"{tmp_path}/{ord('>')}.npz").x_dtype == np.float64
