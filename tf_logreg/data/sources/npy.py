"""The user's own arrays in pairs of `.npy` files, features and labels, read from the disk as they are used.

Rows may take more than the memory. float16, bfloat16 and whole numbers keep their bytes on the disk and are
read as float32.
"""

import dataclasses

import ml_dtypes
import numpy as np

from tf_logreg.data import labels, npy_file
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.joined import joined
from tf_logreg.data.source import Source
from tf_logreg.devices import memory
from tf_logreg.errors import InputError

_SPLITS = {"train": "", "validation": "validation_", "test": "test_"}


def load(
    x: str,
    y: str,
    validation_x: str = "",
    validation_y: str = "",
    test_x: str = "",
    test_y: str = "",
    dtype: str = "",
) -> Source:
    """Maps `x`, written for instance by `np.save(path, x)`, into memory, and reads the labels `y`.

    An .npy has no name for bfloat16: `np.save` writes such arrays as raw bytes, two a number ('V2'), which
    are taken as bfloat16. The same bits as whole numbers, `x.view(np.uint16)`, are taken so with
    dtype='bfloat16' alone, since they may be whole numbers indeed.

    Args:
        x: an .npy [n, p], numbers of any real dtype, or bfloat16; rows [n, ...], images for one, are
            flattened. In C order, or else it is copied into memory. The files must not change during a run.
        y: an .npy [n], labels of any coding; the labels of all files make the classes. These are the split
            'train'.
        validation_x, validation_y, test_x, test_y: likewise, the splits 'validation' and 'test'; '' for none.
        dtype: 'bfloat16' where x holds its bits as whole numbers of 16 bits; '' for what the files say.

    Raises:
        InputError: a file is missing, is not an .npy or cut short; x has no rows or columns, or another
            number of rows than y; or one of x and y is given without the other.
    """
    if dtype not in ("", "bfloat16"):
        raise InputError(f"data.args.dtype: expected '' or 'bfloat16'. Received: {dtype!r}.")
    given = {"x": x, "y": y, "validation_x": validation_x, "validation_y": validation_y}
    given |= {"test_x": test_x, "test_y": test_y}
    features, codes = {}, {}
    for split, prefix in _SPLITS.items():
        names = f"{prefix}x", f"{prefix}y"
        one, other = (given[name] for name in names)
        if bool(one) != bool(other):
            lacking = names[1] if one else names[0]
            raise InputError(f"data.args.{lacking}: expected a file beside {one or other!r}. Received: ''.")
        if one or split == "train":
            features[split] = _numbers(one, names[0], dtype)
            codes[split] = _labels(other, names[1], (*features[split].shape, 0)[0], one)
    try:
        y_of_all, class_names = labels.encode(np.concatenate(list(codes.values())))
        starts = np.cumsum([0, *map(len, codes.values())])
        parts = {}
        for k, (split, array) in enumerate(features.items()):
            path = given[f"{_SPLITS[split]}x"]
            own = y_of_all[starts[k] : starts[k + 1]]
            flat = array.reshape(len(array), -1) if array.ndim > 2 and array.size else array
            part = from_arrays(
                flat, own, class_names=class_names, place=lambda row, path=path: f"row {row} of {path}"
            )
            shape = array.shape[1:] if flat is not array else ()
            parts[split] = dataclasses.replace(part, row_shape=shape)
        return joined(parts)
    except InputError as error:
        paths = ", ".join(repr(path) for path in given.values() if path)
        raise InputError(f"{error} Files: {paths}.") from None


def files(
    x: str, y: str, validation_x: str = "", validation_y: str = "", test_x: str = "", test_y: str = "", **_
) -> dict[str, str]:
    """The files themselves."""
    return {one: one for one in (x, y, validation_x, validation_y, test_x, test_y) if one}


def _numbers(path: str, argument: str, dtype: str) -> np.ndarray:
    """X of a file, [n, ...], mapped; bfloat16 by its dtype."""
    found = npy_file.mapped(path, argument)
    if dtype == "bfloat16" and found.dtype not in (np.uint16, np.dtype("V2")):
        raise InputError(
            f"data.args.dtype: expected '' where the file says its dtype. Received: 'bfloat16' for "
            f"{found.dtype} in {path!r}."
        )
    if dtype == "bfloat16" or found.dtype == np.dtype("V2"):
        found = found.view(ml_dtypes.bfloat16)
    if not found.flags.c_contiguous:
        memory.check(found.nbytes, f"data.args.{argument}: {path!r} in Fortran order, which is copied,")
        found = np.ascontiguousarray(found)
    return found


def _labels(path: str, argument: str, num_rows: int, beside: str) -> np.ndarray:
    """The labels of a file, in memory."""
    found = np.array(npy_file.mapped(path, argument))
    if found.shape != (num_rows,):
        raise InputError(
            f"data.args.{argument}: expected {num_rows} labels, one a row of {beside!r}. Received: shape "
            f"{found.shape} in {path!r}."
        )
    return found
