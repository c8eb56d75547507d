"""The arrays of an `.npz` or `.npy` file that a user gives, read without running code.

An `.npz` is a zip of `.npy` files. Each begins with a header that gives its dtype and shape. These are
checked against the file's size and the free memory before anything is read. Arrays that are not used are
not read.
"""

import dataclasses
import math
import textwrap
import zipfile
import zlib
from typing import BinaryIO

import numpy as np
import psutil
import scipy.sparse

from tf_logreg import storage
from tf_logreg.errors import InputError

_REMEDIES = {
    "x": "x.astype(float), of a table df.to_numpy(float)",
    "weight": "weight.astype(float)",
    "other": "array.astype(float) for numbers, array.astype(str) for text",
}
_NAMES = ("y", "feature_names", "class_names")
# Errors of zip files and .npy headers with damaged bytes.
BROKEN = (
    zipfile.BadZipFile, zlib.error, ValueError, TypeError, KeyError, OSError, EOFError, RuntimeError,
    NotImplementedError, OverflowError, SyntaxError, MemoryError, IndexError, AttributeError,
    ZeroDivisionError,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Header:
    """Header of a member; `fault` says why the member cannot be read, '' when it can."""

    shape: tuple[int, ...] = ()
    dtype: np.dtype = dataclasses.field(default_factory=lambda: np.dtype(float))
    fault: str = ""


def header_of(file: BinaryIO, size: int) -> Header:
    """The header at the start of an open .npy, and its fault if it is none or bytes are missing.

    Args:
        file: at its start.
        size: bytes of the whole file.
    """
    try:
        version = np.lib.format.read_magic(file)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = reader(file)
        there = size - file.tell()
    except BROKEN as error:
        return _no_array(error)
    needed = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and (min(shape, default=0) < 0 or needed != there):
        return Header(fault=f"it claims shape {shape} of {dtype}, {needed} bytes, and holds {there}")
    return Header(shape, dtype)


def _no_array(error: Exception) -> Header:
    """The header of what is no array."""
    return Header(fault=f"it is not a NumPy array ({textwrap.shorten(str(error), 200)})")


class Archive:
    """The members of an .npz file by the names of their arrays, read one at a time."""

    def __init__(self, path: str, argument: str = "path"):
        """Reads the list of members; InputError where there is none. `argument` is data.args' name of it."""
        self.path, self.argument = path, f"data.args.{argument}"
        self._on_disk = storage.on_disk(path, self.argument)
        try:
            with zipfile.ZipFile(self._on_disk) as file:
                entries = file.namelist()
        except FileNotFoundError:
            raise InputError(f"{self.argument}: no such file. Received: {path!r}.") from None
        except BROKEN as error:
            raise InputError(
                f"{self.argument}: expected an .npz file{if_pickle(self._on_disk)}. Received: {path!r} "
                f"({error})."
            ) from None
        self.members = {entry.removesuffix(".npy"): entry for entry in entries}

    def header(self, name: str) -> Header:
        """Dtype and shape of an array, and its fault if bytes are missing."""
        try:
            with zipfile.ZipFile(self._on_disk) as file, file.open(self.members[name]) as member:
                found = header_of(member, file.getinfo(self.members[name]).file_size)
        except BROKEN as error:
            return _no_array(error)
        if found.fault or found.dtype.hasobject:
            return found
        size, free = math.prod(found.shape) * found.dtype.itemsize, psutil.virtual_memory().available
        if size > free:
            needs = f"{size / 2**30:.1f} GiB; {free / 2**30:.1f} GiB are free"
            return Header(fault=f"shape {found.shape} of {found.dtype} takes {needs}")
        return found

    def read(self, name: str) -> np.ndarray:
        """Reads an array; an InputError names an array that cannot be read."""
        header = self.header(name)
        fault = header.fault
        if header.dtype.hasobject:
            remedy = _REMEDIES.get(name, f"{name}.astype(str)" if name in _NAMES else _REMEDIES["other"])
            fault = (
                f"it holds Python objects: pickled objects are not loaded, they can run code. Save {remedy}"
            )
        if not fault:
            try:
                with zipfile.ZipFile(self._on_disk) as file, file.open(self.members[name]) as member:
                    return np.lib.format.read_array(member, allow_pickle=False)
            except BROKEN as error:
                fault = f"it cannot be read ({textwrap.shorten(str(error), 200)})"
        raise InputError(f"{self.argument}: expected an array {name!r} in {self.path!r}. Received: {fault}.")


@dataclasses.dataclass(frozen=True)
class Labels:
    """The one array y of an .npy file, read like an `Archive`."""

    y: np.ndarray
    members: tuple[str, ...] = ("y",)

    def read(self, name: str) -> np.ndarray:
        """The labels."""
        return getattr(self, name)


def labels(path: str) -> Archive | Labels:
    """A file of labels: an .npz with y, or an .npy.

    Raises:
        InputError: it is neither, or cannot be read without running code.
    """
    on_disk = storage.on_disk(path, "data.args.labels")
    if zipfile.is_zipfile(on_disk):
        file = Archive(path, "labels")
        if "y" not in file.members:
            raise InputError(
                f"data.args.labels: expected an array y. Received: {path!r}, which holds "
                f"{', '.join(file.members) or 'nothing'}."
            )
        return file
    try:
        found = np.load(on_disk, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"data.args.labels: no such file. Received: {path!r}.") from None
    except BROKEN as error:
        raise InputError(
            f"data.args.labels: expected an .npy of labels, or an .npz with y{if_pickle(on_disk)}. Received: "
            f"{path!r} ({textwrap.shorten(str(error), 200)})."
        ) from None
    if found.ndim != 1:
        raise InputError(
            f"data.args.labels: expected one label a row, shape [n]. Received: shape {found.shape} in "
            f"{path!r}."
        )
    return Labels(found)


# Format -> the arrays that `scipy.sparse.save_npz` writes, beside format, shape and data.
_SPARSE = {
    "csr": ("indices", "indptr"),
    "csc": ("indices", "indptr"),
    "bsr": ("indices", "indptr"),
    "coo": ("row", "col"),
    "dia": ("offsets",),
}


def is_sparse(file: Archive) -> bool:
    """Whether a file holds a matrix as `scipy.sparse.save_npz` writes it."""
    return {"format", "shape", "data"} <= set(file.members) and "x" not in file.members


def num_rows(file: Archive) -> int:
    """Number of rows of the matrix x, dense or sparse; read from the headers alone where it is dense."""
    if not is_sparse(file):
        return (*file.header("x").shape, 0)[0]
    shape = file.read("shape")
    if shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise InputError(
            f"{file.argument}: expected rows and columns [n, p]. Received: shape {shape.tolist()} in "
            f"{file.path!r}."
        )
    return int(shape[0])


def sparse(file: Archive):
    """The matrix that a file holds, as an array of `scipy.sparse` in the file's format.

    Raises:
        InputError: an array is missing or cannot be read, or they do not make a matrix.
    """
    kind = file.read("format")
    name = kind.item() if kind.shape == () else ""
    name = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    if name not in _SPARSE:
        raise InputError(
            f"{file.argument}: expected a sparse matrix, format {', '.join(_SPARSE)}. Received: format "
            f"{name!r} in {file.path!r}."
        )
    lacking = [one for one in _SPARSE[name] if one not in file.members]
    if lacking:
        raise InputError(
            f"{file.argument}: expected the arrays of a sparse matrix of format {name}. Received: "
            f"{file.path!r}, which lacks {' and '.join(lacking)}."
        )
    num_rows(file)
    shape, data, *places = (file.read(one) for one in ("shape", "data", *_SPARSE[name]))
    for one, array in zip(("shape", *_SPARSE[name]), (shape, *places), strict=True):
        if array.dtype.kind not in "iu" or (name != "dia" and array.min(initial=0) < 0):
            raise InputError(
                f"{file.argument}: expected whole numbers from 0 in {one!r} of a sparse {name} matrix. "
                f"Received: others in {file.path!r}."
            )
    try:
        make = getattr(scipy.sparse, f"{name}_array")
        parts = (data, tuple(places)) if name == "coo" else (data, *places)
        found = make(parts, shape=tuple(shape.tolist()))
        if hasattr(found, "indptr"):
            found.check_format(full_check=True)
    except BROKEN as error:
        raise InputError(
            f"{file.argument}: expected a sparse matrix of format {name}. Received: arrays in "
            f"{file.path!r} that make none ({textwrap.shorten(str(error), 200)})."
        ) from None
    return found


def if_pickle(path: str) -> str:
    """Message about pickles if the file begins like one, else ''."""
    try:
        with open(path, "rb") as file:
            start = file.read(2)
    except OSError:
        return ""
    pickled = start[:1] == b"\x80" and start[1:] in (b"\2", b"\3", b"\4", b"\5")
    return ": pickled objects are not loaded, they can run code" if pickled else ""
