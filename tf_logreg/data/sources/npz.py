"""The user's own arrays in one `.npz` file."""

import zipfile

import numpy as np

from tf_logreg.data import labels
from tf_logreg.data.source import Source, from_arrays
from tf_logreg.errors import InputError

_ARRAYS = ("x", "y", "weight", "feature_names", "class_names")


def load(path: str) -> Source:
    """Reads `path`, written for instance by `np.savez(path, x=x, y=y)`.

    Arrays: x [n, p] real; y [n] labels of any coding; optionally weight [n], feature_names [p] and
    class_names [C] (labels are then indices into it or its members). Any other array [n] can be named
    by data.group, data.time and data.offset (for a softmax [n, C]).

    Raises:
        InputError: the file is missing, is not an .npz, holds pickles, or lacks x or y.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS if name in file.files}
            found = file.files
            extras = {name: file[name] for name in found if name not in _ARRAYS}
    except FileNotFoundError:
        raise InputError(f"data.args.path: no such file. Received: {path!r}.") from None
    except (zipfile.BadZipFile, TypeError, AttributeError, OSError, EOFError) as error:
        raise InputError(f"data.args.path: expected an .npz file. Received: {path!r} ({error}).") from None
    except ValueError as error:
        raise InputError(
            f"data.args.path: expected plain arrays: pickled objects are not loaded, they can run code. "
            f"Received: {path!r} ({error})."
        ) from None
    missing = [name for name in ("x", "y") if name not in arrays]
    if missing:
        raise InputError(
            f"data.args.path: expected arrays x and y. Received: {path!r}, which lacks "
            f"{' and '.join(missing)} and holds {', '.join(found) or 'nothing'}."
        )
    x = arrays["x"]
    if x.dtype.kind not in "fiub":
        raise InputError(f"x: expected real numbers. Received: dtype {x.dtype} in {path!r}.")
    try:
        y, class_names = labels.encode(arrays["y"], tuple(str(c) for c in arrays.get("class_names", ())))
        return from_arrays(
            x.astype(np.uint8) if x.dtype.kind == "b" else x,
            y,
            class_names=class_names,
            columns=tuple(str(c) for c in arrays.get("feature_names", ())),
            weight=arrays.get("weight"),
            place=lambda row: f"row {row} of {path}",
            extras={name: array for name, array in extras.items() if array.shape[:1] == arrays["y"].shape},
        )
    except InputError as error:
        raise InputError(f"{error} File: {path!r}.") from None


def files(path: str) -> dict[str, str]:
    """The file itself."""
    return {path: path}
