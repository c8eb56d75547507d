"""An .npz of any content: what is asked for is read or named with the reason; the rest is left alone."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tf_logreg.data.load import load
from tf_logreg.errors import InputError

X, Y = np.arange(12.0).reshape(6, 2), np.arange(6) % 2


def npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    return buffer.getvalue()


def header(shape, dtype="<f8"):
    """The first bytes of an .npy of some shape, without its numbers."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def write(path: Path, *, compression=zipfile.ZIP_STORED, **members):
    """An .npz of x, y and further members, arrays or bytes."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in {"x": X, "y": Y, **members}.items():
            file.writestr(f"{name}.npy", content if isinstance(content, bytes) else npy(content))
    return path


HUGE = 10**12
BAD = {
    "declared huge": (header((HUGE, 2)), rf"claims shape \({HUGE}, 2\) of float64, {HUGE * 16} bytes, and holds 0"),
    "declared negative": (header((-1, -2)), "claims shape"),
    "shape that overflows": (header((2**62, 2**62)), "claims shape"),
    "one number short": (npy(X)[:-8], "and holds 88"),
    "one number more": (npy(X) + bytes(8), "and holds 104"),
    "garbage header": (npy(X)[:10] + b"\xff" * 118 + npy(X)[128:], "not a NumPy array"),
    "header that is code": (b"\x93NUMPY\x01\0\x20\0" + b"__import__('os').getcwd()       " + bytes(96), "not a NumPy array"),
    "version of the future": (b"\x93NUMPY\x09\0" + npy(X)[8:], "not a NumPy array"),
    "text": (b"a,b\n1,2\n", "not a NumPy array"),
    "nothing": (b"", "not a NumPy array"),
    "half a header": (npy(X)[:40], "not a NumPy array"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["x", "y", "weight", "feature_names"])
@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_a_member_that_is_no_array_is_named(tmp_path, name, content, message):
    path = write(tmp_path / "a.npz", **{name: content})
    with pytest.raises(InputError, match=f"expected an array '{name}' in .*{message}") as error:
        load("npz", path=str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert "can run code" not in str(error.value)


@pytest.mark.parametrize("content", [content for content, _ in BAD.values()], ids=BAD)
def test_a_member_that_no_one_asks_for_is_left_alone(tmp_path, content):
    source = load("npz", path=str(write(tmp_path / "a.npz", other=content, group=Y)))
    assert "group" in source.extras
    np.testing.assert_array_equal(source.extras["group"], Y)
    with pytest.raises(InputError, match="expected an array 'other'"):
        source.extras["other"]
    assert tuple(source.extras) == ("group",)


def test_an_array_larger_than_the_memory(tmp_path, monkeypatch):
    path = write(tmp_path / "a.npz")
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("", (), {"available": 64}))
    with pytest.raises(InputError, match=r"expected an array 'x' .*GiB are free"):
        load("npz", path=str(path))


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("x", r"df\.to_numpy\(float\)"),
        ("y", r"y\.astype\(str\)"),
        ("class_names", r"class_names\.astype\(str\)"),
        ("feature_names", r"feature_names\.astype\(str\)"),
        ("weight", r"weight\.astype\(float\)"),
    ],
)
def test_objects_that_matter_are_named_with_the_remedy(tmp_path, name, remedy):
    arrays = {"x": X, "y": Y, name: X.astype(object) if name == "x" else np.array(["a", None] * 3)}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(
        InputError, match=f"array '{name}'.*pickled objects are not loaded, they can run code.*{remedy}"
    ):
        load("npz", path=f"{tmp_path}/a.npz")


def test_objects_that_do_not_matter(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y, comments=np.array(["a", None] * 3))
    source = load("npz", path=f"{tmp_path}/a.npz")
    np.testing.assert_array_equal(source.host(np.arange(6)).x, X)
    with pytest.raises(InputError, match=r"array 'comments'.*astype\(str\)"):
        source.extras["comments"]


def test_only_a_pickle_is_said_to_run_code(tmp_path):
    path = tmp_path / "a.npz"
    for content, said in (
        (pickle.dumps({"x": X}), True),
        (b"x,y\n1,2\n", False),
        (npy(X), False),
        (b"", False),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"expected an \.npz file") as error:
            load("npz", path=str(path))
        assert ("can run code" in str(error.value)) == said


def said(path):
    """What comes of a file that may be broken."""
    try:
        source = load("npz", path=str(path))
    except InputError as error:
        message = str(error)
        return f"one line about {path}" if str(path) in message and "\n" not in message else message
    rows = np.arange(6)
    same = (source.host(rows).x == X).all() and (source.labels(rows) == Y).all()
    return "the arrays" if same else "other arrays"


def test_files_cut_anywhere_or_with_a_changed_byte(tmp_path):
    """Whatever the bytes: the arrays as they were written, or one line that names the file."""
    path = tmp_path / "a.npz"
    whole = write(tmp_path / "b.npz", compression=zipfile.ZIP_DEFLATED).read_bytes()
    rng = np.random.default_rng(0)
    cut = [whole[:size] for size in range(0, len(whole), 7)]
    changed = [
        whole[:at] + bytes([value]) + whole[at + 1 :]
        for at, value in zip(rng.integers(0, len(whole), 300), rng.integers(0, 256, 300), strict=True)
    ]
    for content in cut + changed:
        path.write_bytes(content)
        assert said(path) in ("the arrays", f"one line about {path}")


def test_an_encrypted_member_and_names_without_npy(tmp_path):
    path = write(tmp_path / "a.npz")
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[6] |= 1
    content[directory + 8] |= 1
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"array 'x'.*encrypted"):
        load("npz", path=f"{tmp_path}/b.npz")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as file:
        file.writestr("x", npy(X))
        file.writestr("y", npy(Y))
    np.testing.assert_array_equal(load("npz", path=f"{tmp_path}/c.npz").labels(np.arange(6)), Y)
