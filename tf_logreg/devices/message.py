"""Encodes values as bytes that workers send each other: JSON for the structure, then the arrays' bytes.

Unlike a pickle, a message cannot run code. Decoded values have their original types: None, bool, int, float
and str; lists, tuples and dicts with str keys of such values; NumPy's numbers and its arrays of numbers,
bools or text. A caller sends a record as its fields.
"""

import io
import json
import math
from typing import Any

import numpy as np

_PLAIN = {type(None), bool, int, float, str}
_KINDS = "biufcSU"  # kinds of arrays: not objects, records or types such as bfloat16


def encode(value: Any) -> bytes:
    """Bytes that `decode` turns into the same value; arrays as their own bytes, not as lists of numbers.

    Raises:
        TypeError: a part of it has a type that cannot be sent; the message names the part.
    """
    arrays: list[np.ndarray] = []
    text = json.dumps(outline(value, arrays)).encode()
    return b"".join((len(text).to_bytes(8, "little"), text, *(array.tobytes() for array in arrays)))


def decode(data: bytes) -> Any:
    """The value from the bytes of `encode`.

    Raises:
        ValueError: the bytes are not from `encode`.
    """
    file = io.BytesIO(data)
    size = min(int.from_bytes(file.read(8), "little"), len(data))
    try:
        return _restored(json.loads(file.read(size)), file)
    except (LookupError, AttributeError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise ValueError(f"no message of a worker: {error}") from None


def outline(value: Any, arrays: list[np.ndarray], place: str = "value") -> Any:
    """The value in JSON's types; its arrays are appended to `arrays`, in order.

    Lists stay lists. Other types that JSON lacks become a dict of one key, which names the type.

    Raises:
        TypeError: as `encode`, with the place.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in (list, tuple):
        if set(map(type, value)) <= _PLAIN:  # a million names take no time
            items = list(value)
        else:
            items = [outline(one, arrays, f"{place}[{k}]") for k, one in enumerate(value)]
        return items if kind is list else {"tuple": items}
    if kind is dict and all(type(key) is str for key in value):
        return {"dict": {key: outline(one, arrays, f"{place}[{key!r}]") for key, one in value.items()}}
    if (kind is np.ndarray or isinstance(value, np.generic)) and value.dtype.kind in _KINDS:
        arrays.append(np.asarray(value))
        return {"array" if kind is np.ndarray else "number": [value.dtype.str, *value.shape]}
    raise TypeError(
        f"{place}: expected None, numbers, text, lists, tuples, dicts with str keys or plain arrays. "
        f"Received: {kind.__name__}{' of ' + str(value.dtype) if isinstance(value, np.ndarray) else ''}."
    )


def _restored(part: Any, file: io.BytesIO) -> Any:
    """Inverse of `outline`, with the arrays read in the same order."""
    if isinstance(part, list):
        return [_restored(one, file) for one in part]
    if not isinstance(part, dict):
        return part
    ((kind, inner),) = part.items()
    if kind == "tuple":
        return tuple(_restored(one, file) for one in inner)
    if kind == "dict":
        return {key: _restored(one, file) for key, one in inner.items()}
    dtype, shape = np.dtype(inner[0]), inner[1:]
    data = file.read(math.prod(shape) * dtype.itemsize)
    if kind not in ("array", "number") or dtype.kind not in _KINDS or (kind == "number" and shape):
        raise ValueError(f"no message of a worker: {kind!r} of {dtype}")
    array = np.ndarray(shape, dtype, data).copy()
    return array if kind == "array" else array[()]
