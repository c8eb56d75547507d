"""Reads and writes arrays in open .npz files, without pickles, which could run code."""

import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np


def save_arrays(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an .npz into an open file, as `np.savez` does.

    Raises:
        ValueError: an array of Python objects, which only a pickle could hold.
    """
    # In NumPy 2.1 `savez` has no `allow_pickle`, and takes it for the name of an array.
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(value), allow_pickle=False)


def arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    """All arrays of an open .npz file.

    Raises:
        ValueError: it is not an .npz file, or holds pickles, which could run code.
    """
    try:
        with np.load(file, allow_pickle=False) as found:
            return {key: found[key] for key in found.files}
    except Exception as error:  # NumPy and zipfile raise any kind of error on damaged bytes
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"it is not an .npz of plain arrays ({why})") from None
