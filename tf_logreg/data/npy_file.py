"""A user's `.npy` file as an array that is read from the disk where it is used, without running code."""

import zipfile

import numpy as np

from tf_logreg import storage
from tf_logreg.data import npz_file
from tf_logreg.errors import InputError


def mapped(path: str, argument: str) -> np.ndarray:
    """The array of a file, mapped into memory: what is never read takes none.

    The file must not change while the array is in use. The array may be written to, which does not reach the
    file; so TensorFlow can share it.

    Args:
        path: an .npy file.
        argument: the name in data.args that gave it, for messages.

    Raises:
        InputError: there is no such file, it is none of NumPy's, holds Python objects, or is cut short.
    """
    on_disk = storage.on_disk(path, f"data.args.{argument}")
    try:
        with open(on_disk, "rb") as file:
            if zipfile.is_zipfile(file):
                raise InputError(
                    f"data.args.{argument}: expected an .npy file. Received: {path!r}, an .npz, which "
                    "data.source='npz' reads."
                )
            size = file.seek(0, 2)
            file.seek(0)
            header = npz_file.header_of(file, size)
        if header.fault or header.dtype.hasobject:
            fault = header.fault or "it holds Python objects, which only running code could load"
            raise InputError(
                f"data.args.{argument}: expected an .npy file{npz_file.if_pickle(on_disk)}. Received: "
                f"{path!r}: {fault}."
            )
        return np.asarray(np.lib.format.open_memmap(on_disk, mode="c"))
    except FileNotFoundError:
        raise InputError(f"data.args.{argument}: no such file. Received: {path!r}.") from None
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"data.args.{argument}: cannot read {path!r}: {why}.") from None
