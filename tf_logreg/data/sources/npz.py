"""The user's own arrays in `.npz` files: dense rows with labels, or sparse rows beside a file of labels."""

from collections.abc import Iterator, Mapping

import numpy as np

from tf_logreg import names
from tf_logreg.data import labels as codings
from tf_logreg.data import npz_file
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import Source
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.errors import InputError

_ARRAYS = ("x", "y", "weight", "feature_names", "class_names")


def load(path: str, labels: str = "") -> Source:
    """Reads `path`, written for instance by `np.savez(path, x=x, y=y)` or `scipy.sparse.save_npz(path, x)`.

    Arrays: x [n, p] real; y [n] labels of any coding; optionally weight [n], feature_names [p] and
    class_names [C] (labels are then indices into it or its members). Any other array [n] can be named
    by data.group, data.time and data.offset (for a softmax [n, C]), and is read then.

    Args:
        path: an .npz with these arrays, or with a sparse matrix in any format that `save_npz` writes.
        labels: an .npy of y, or an .npz with y and the other arrays but x; '' if they are in `path`.

    Raises:
        InputError: a file is missing, is not an .npz or lacks x or y; or one of these arrays holds Python
            objects, is not an array, has another length, or is larger than the file or the memory.
    """
    file = npz_file.Archive(path)
    beside = npz_file.labels(labels) if labels else file
    is_sparse = npz_file.is_sparse(file)
    missing = [] if is_sparse or "x" in file.members else ["x"]
    missing += [] if labels or "y" in file.members else ["y"]
    if is_sparse and missing:
        raise InputError(
            f"data.args.labels: expected the file of labels of the sparse rows in {path!r}: an .npy of y, "
            "or an .npz with y. Received: ''."
        )
    if missing:
        raise InputError(
            f"data.args.path: expected arrays x and y. Received: {path!r}, which lacks "
            f"{' and '.join(missing)} and holds {', '.join(file.members) or 'nothing'}."
        )
    arrays = {name: beside.read(name) for name in _ARRAYS[1:] if name in beside.members}
    if labels:
        _check_length(npz_file.num_rows(file), len(arrays["y"]), path, labels)
    x = npz_file.sparse(file) if is_sparse else file.read("x")
    none = np.zeros(0, "U1")
    try:
        class_names = names.read(arrays.get("class_names", none), "class_names")
        y, class_names = codings.encode(arrays["y"], class_names)
        make = from_sparse if is_sparse else from_arrays
        return make(
            x,
            y,
            class_names=class_names,
            feature_names=names.read(arrays.get("feature_names", none), "feature_names"),
            weight=arrays.get("weight"),
            place=lambda row: f"row {row} of {path}",
            extras=_Extras(beside, len(y)),
        )
    except InputError as error:
        raise InputError(f"{error} File: {path!r}.") from None


def files(path: str, labels: str = "") -> dict[str, str]:
    """The files themselves."""
    return {one: one for one in (path, labels) if one}


def _check_length(rows: int, count: int, path: str, labels: str) -> None:
    """InputError where the files have other numbers of rows."""
    if rows != count:
        raise InputError(
            f"data.args.labels: expected {rows} labels, one a row of {path!r}. Received: {count} in "
            f"{labels!r}."
        )


class _Extras(Mapping):
    """Further arrays by name, those with `num_rows` values; each is read at its first use."""

    def __init__(self, file: npz_file.Archive | npz_file.Labels, num_rows: int):
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
