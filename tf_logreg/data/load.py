"""`load('npz', path=...)`: finds a source's module in `data/sources/` by its name.

To add a source, add a file there. It holds `load(...) -> Source`, whose arguments with their types are what
`data.args` takes. If it reads files, it holds `files(...)` too, their paths by name, so that a changed file
is noticed; if it makes rows itself, a `VERSION` that rises when the same arguments give other rows. An
argument that is a path has one of the names `_PATHS`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tf_logreg import storage
from tf_logreg.data import sources

if TYPE_CHECKING:  # it imports TensorFlow, and names of sources are asked for without
    from tf_logreg.data.source import Source

_PATHS = ("path", "folder", "data_dir")  # what sources call an argument that is a path


def known() -> list[str]:
    """The names that `load` takes."""
    return sorted(module.name for module in pkgutil.iter_modules(sources.__path__))


def faults(name: str, args: Mapping) -> list[str]:
    """What is wrong with a source's name and arguments, a line each: empty when nothing is."""
    if name not in known():
        return [f"data.source: expected one of {', '.join(known())}. Received: {name!r}."]
    parameters = inspect.signature(_loader(name)).parameters
    lines = [
        f"data.args.{key}: no such argument of source {name!r}. It takes: {', '.join(parameters)}."
        for key in args
        if key not in parameters
    ]
    for key, parameter in parameters.items():
        if key not in args and parameter.default is parameter.empty:
            lines.append(f"data.args.{key}: source {name!r} needs it. Received: nothing.")
        if key in args and not isinstance(args[key], parameter.annotation):
            # A whole number is a fine float; what a command line gives for 1e3 is not a fine int.
            if parameter.annotation is float and type(args[key]) is int:
                continue
            lines.append(
                f"data.args.{key}: expected {parameter.annotation.__name__}. Received: {args[key]!r}."
            )
    return lines


def load(source: str, **args) -> "Source":
    """Loads a source.

    Args:
        source: one of `known()`.
        **args: that source's own (config `data.args`), checked by `faults`.

    Raises:
        InputError: as the source's module says.
    """
    return _loader(source)(**_local(args))


def files(source: str, **args) -> dict[str, str]:
    """Paths of the files that a source reads, by the names that a run records them under.

    None for a source that reads none, or whose files are not there yet.

    Raises:
        InputError: as `load`.
    """
    module = _module(source)
    return module.files(**_local(args)) if hasattr(module, "files") else {}


def version(source: str) -> int:
    """Of what a source makes without files; it rises when the same arguments give other rows."""
    return getattr(_module(source), "VERSION", 0)


def _local(args: Mapping) -> dict:
    """The arguments, with paths as this machine's file system takes them."""
    return {
        key: storage.local_path(value, f"data.args.{key}") if key in _PATHS else value
        for key, value in args.items()
    }


def _loader(name: str):
    return _module(name).load


def _module(name: str):
    return importlib.import_module(f"{sources.__name__}.{name}")
