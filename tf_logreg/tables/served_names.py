"""What the inputs of a served model are called, as TensorFlow and ONNX do not take every column's name."""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Iterable


def of(columns: Iterable[str]) -> dict[str, str]:
    """The name of the input of each column, by the column's name.

    It is the column's name, as far as TensorFlow allows: what is no ASCII letter or digit becomes '_', and
    'arg_' is put before a name that does not begin with a letter, or that Python reserves. If two columns
    have the same name then, but for case, the first whose name is unchanged keeps it, the others end with
    '_2', '_3'.

    TensorFlow changes the names of a call in Python likewise, so that 'hours-per-week' may be given there
    as it is; but it keeps letters other than ASCII's and knows of no endings. Servers change nothing.
    """
    names = list(columns)
    first = {name.lower(): name for name in reversed(names) if _allowed(name) == name}
    found, taken = {name: name for name in first.values()}, set(first)
    for name in names:
        if name not in found:
            allowed = _allowed(name)
            endings = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
            found[name] = next(allowed + end for end in endings if (allowed + end).lower() not in taken)
            taken.add(found[name].lower())
    return {name: found[name] for name in names}


def _allowed(name: str) -> str:
    """A name that TensorFlow allows for an input."""
    found = re.sub("[^A-Za-z0-9]", "_", name)
    plain = found[:1].isalpha() and not keyword.iskeyword(found) and found != "self"
    return found if plain else f"arg_{found}"
