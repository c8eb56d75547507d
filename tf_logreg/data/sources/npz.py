"""The user's own arrays in one `.npz` file.

An `.npz` is a zip of `.npy` files. Each begins with a header that gives its dtype and shape. These are
checked against the file's size and the free memory before anything is read. Arrays that are not used are
not read.
"""

import dataclasses
import math
import textwrap
import zipfile
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import psutil

from tf_logreg.data import labels, names
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import Source
from tf_logreg.errors import InputError

_ARRAYS = ("x", "y", "weight", "feature_names", "class_names")
_REMEDIES = {
    "x": "x.astype(float), of a table df.to_numpy(float)",
    "weight": "weight.astype(float)",
    "other": "array.astype(float) for numbers, array.astype(str) for text",
}
# Errors of zip files and .npy headers with damaged bytes.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, ValueError, TypeError, KeyError, OSError, EOFError, RuntimeError,
    NotImplementedError, OverflowError, SyntaxError, MemoryError, IndexError, AttributeError,
)  # fmt: skip


def load(path: str) -> Source:
    """Reads `path`, written for instance by `np.savez(path, x=x, y=y)`.

    Arrays: x [n, p] real; y [n] labels of any coding; optionally weight [n], feature_names [p] and
    class_names [C] (labels are then indices into it or its members). Any other array [n] can be named
    by data.group, data.time and data.offset (for a softmax [n, C]), and is read then.

    Raises:
        InputError: the file is missing, is not an .npz or lacks x or y; or one of these arrays holds Python
            objects, is not an array, or is larger than the file or the memory.
    """
    file = _File(path)
    missing = [name for name in ("x", "y") if name not in file.members]
    if missing:
        raise InputError(
            f"data.args.path: expected arrays x and y. Received: {path!r}, which lacks "
            f"{' and '.join(missing)} and holds {', '.join(file.members) or 'nothing'}."
        )
    arrays = {name: file.read(name) for name in _ARRAYS if name in file.members}
    none = np.zeros(0, "U1")
    try:
        class_names = names.read(arrays.get("class_names", none), "class_names")
        y, class_names = labels.encode(arrays["y"], class_names)
        return from_arrays(
            arrays["x"],
            y,
            class_names=class_names,
            feature_names=names.read(arrays.get("feature_names", none), "feature_names"),
            weight=arrays.get("weight"),
            place=lambda row: f"row {row} of {path}",
            extras=_Extras(file, len(y)),
        )
    except InputError as error:
        raise InputError(f"{error} File: {path!r}.") from None


def files(path: str) -> dict[str, str]:
    """The file itself."""
    return {path: path}


@dataclasses.dataclass(frozen=True)
class _Header:
    """Header of a member; `fault` says why the member cannot be read, '' when it can."""

    shape: tuple[int, ...] = ()
    dtype: np.dtype = dataclasses.field(default_factory=lambda: np.dtype(float))
    fault: str = ""


class _File:
    """The members of an .npz file by the names of their arrays, read one at a time."""

    def __init__(self, path: str):
        self.path = path
        try:
            with zipfile.ZipFile(path) as file:
                entries = file.namelist()
        except FileNotFoundError:
            raise InputError(f"data.args.path: no such file. Received: {path!r}.") from None
        except _BROKEN as error:
            raise InputError(
                f"data.args.path: expected an .npz file{_if_pickle(path)}. Received: {path!r} ({error})."
            ) from None
        self.members = {entry.removesuffix(".npy"): entry for entry in entries}

    def header(self, name: str) -> _Header:
        """Dtype and shape of an array, and its fault if bytes are missing."""
        try:
            with zipfile.ZipFile(self.path) as file, file.open(self.members[name]) as member:
                version = np.lib.format.read_magic(member)
                reader = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, _, dtype = reader(member)
                there = file.getinfo(self.members[name]).file_size - member.tell()
        except _BROKEN as error:
            return _Header(fault=f"it is not a NumPy array ({textwrap.shorten(str(error), 200)})")
        if dtype.hasobject:
            return _Header(shape, dtype)
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != there:
            return _Header(fault=f"it claims shape {shape} of {dtype}, {size} bytes, and holds {there}")
        free = psutil.virtual_memory().available
        if size > free:
            needs = f"{size / 2**30:.1f} GiB; {free / 2**30:.1f} GiB are free"
            return _Header(fault=f"shape {shape} of {dtype} takes {needs}")
        return _Header(shape, dtype)

    def read(self, name: str) -> np.ndarray:
        """Reads an array; an InputError names an array that cannot be read."""
        header = self.header(name)
        fault = header.fault
        if header.dtype.hasobject:
            remedy = _REMEDIES.get(name, f"{name}.astype(str)" if name in _ARRAYS else _REMEDIES["other"])
            fault = (
                f"it holds Python objects: pickled objects are not loaded, they can run code. Save {remedy}"
            )
        if not fault:
            try:
                with zipfile.ZipFile(self.path) as file, file.open(self.members[name]) as member:
                    return np.lib.format.read_array(member, allow_pickle=False)
            except _BROKEN as error:
                fault = f"it cannot be read ({textwrap.shorten(str(error), 200)})"
        raise InputError(f"data.args.path: expected an array {name!r} in {self.path!r}. Received: {fault}.")


class _Extras(Mapping):
    """Further arrays by name, those with `num_rows` values; each is read at its first use."""

    def __init__(self, file: _File, num_rows: int):
        self._file, self._num_rows, self._read = file, num_rows, {}

    def __iter__(self) -> Iterator[str]:
        for name in self._file.members:
            if name not in _ARRAYS and self._file.header(name).shape[:1] == (self._num_rows,):
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._file.members and name not in _ARRAYS and not self._is_other(name)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = self._file.read(name)
        return self._read[name]

    def _is_other(self, name: str) -> bool:
        """Whether it is a valid array of another length; a faulty one is reported when it is read."""
        header = self._file.header(name)
        return not header.fault and header.shape[:1] != (self._num_rows,)


def _if_pickle(path: str) -> str:
    """Message about pickles if the file begins like one, else ''."""
    try:
        with open(path, "rb") as file:
            start = file.read(2)
    except OSError:
        return ""
    pickled = start[:1] == b"\x80" and start[1:] in (b"\2", b"\3", b"\4", b"\5")
    return ": pickled objects are not loaded, they can run code" if pickled else ""
