"""Names of features and classes: checks that they are valid text, and makes equal names distinct.

Features and classes are identified by position. Names may be empty or occur twice (ImageNet has two
classes 'crane'); they are refused only where a name must identify one.
"""

import collections
import difflib
from collections.abc import Iterable

import numpy as np

from tf_logreg.errors import InputError


def read(array: np.ndarray, argument: str) -> tuple[str, ...]:
    """Names from an array [k] of strings, of UTF-8 bytes or of numbers.

    Args:
        array: the names.
        argument: name of the argument, for messages.

    Raises:
        InputError: the shape or dtype is wrong, or text is not Unicode; the message names the row.
    """
    if array.ndim != 1:
        raise InputError(f"{argument}: expected a list of names, shape [k]. Received: shape {array.shape}.")
    if array.dtype.kind not in "USbiuf":
        raise InputError(f"{argument}: expected strings. Received: dtype {array.dtype}.")
    return checked(tuple(array.tolist() if array.dtype.kind in "US" else map(str, array)), argument)


def checked(names: tuple[str | bytes, ...], argument: str) -> tuple[str, ...]:
    """The names as text that can be written as UTF-8.

    Raises:
        InputError: bytes in another coding, or text with a lone surrogate, with its row.
    """
    try:
        "".join(names).encode()
        return names  # all at once: a million names take 20 ms, one by one a second
    except (TypeError, UnicodeError):
        texts = tuple(map(text, names))
    if None in texts:
        row = texts.index(None)
        raise InputError(
            f"{argument}: expected Unicode text, or bytes in UTF-8. Received: {names[row]!a} in row {row}."
        )
    return texts


def text(name: str | bytes) -> str | None:
    """The text of a string or UTF-8 bytes; None for other bytes, or half a surrogate pair."""
    try:
        if isinstance(name, bytes):
            return name.decode()
        name.encode()
    except UnicodeError:
        return None
    return name


def told_apart(names: tuple[str, ...]) -> tuple[str, ...]:
    """Distinct names for messages: an empty or repeated name gets its position appended.

    ('crane', '', 'crane', 'swan') -> ('crane #0', '#1', 'crane #2', 'swan').
    """
    if all(names) and len(set(names)) == len(names):
        return tuple(names)
    count = collections.Counter(names)
    return tuple(
        name if name and count[name] == 1 else f"{name} #{position}".strip()
        for position, name in enumerate(names)
    )


def describe(names: Iterable[str], most: int = 20) -> str:
    """Names for a message: quoted, and cut after the first `most`."""
    names = tuple(names)
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f", ... ({len(names)} in all)" if len(names) > most else "")


def shortened(name: str, most: int) -> str:
    """A name in one line of at most so many characters: its beginning and its end, where names differ."""
    name, half = " ".join(name.split()), (most - 3) // 2
    return name if len(name) <= most else f"{name[: most - 3 - half]}...{name[-half:]}"


def near(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that are like this one, the nearest first."""
    return difflib.get_close_matches(name, list(known), 3)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean 'age'?' for the end of a message; '' if no known name is like this one."""
    found = near(name, known)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


def positions(chosen: tuple[str, ...], names: tuple[str, ...], argument: str) -> list[int]:
    """Positions of some class names among the names of all classes, which contain them.

    Raises:
        InputError: several classes have the same one of these names.
    """
    places = collections.defaultdict(list)
    for place, name in enumerate(names):
        places[name].append(place)
    for name in chosen:
        if len(places[name]) > 1:
            raise InputError(
                f"{argument}: expected the name of one class. Received: {name!r}, the name of classes "
                f"{' and '.join(map(str, places[name]))}, counted from 0."
            )
    return [places[name][0] for name in chosen]
