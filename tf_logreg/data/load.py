"""`load('npz', path=...)`: finds a source's module in `data/sources/` by its name.

To add a source, add a file there. It holds `load(...) -> Source`, or `stream(...) -> Stream` for rows that
are read only in their order. The arguments with their types are what `data.args` takes. If it reads files, it
holds `files(...)` too, their paths by name, so that a changed file is noticed; if it makes rows itself, a
`VERSION` that rises when the same arguments give other rows. An argument that is a path has one of the names
`PATHS`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tf_logreg import storage
from tf_logreg.data import sources
from tf_logreg.data.stream import Stream

if TYPE_CHECKING:  # it imports TensorFlow, which `known` must not need
    from tf_logreg.data.source import Source
    from tf_logreg.tables.table import Table

PATHS = (
    "path",
    "validation_path",
    "test_path",
    "labels",
    "folder",
    "data_dir",
    "x",
    "y",
    "validation_x",
    "validation_y",
    "test_x",
    "test_y",
)  # names of arguments that are paths
TABLES = ("csv", "frame", "parquet", "table")  # sources whose `load` gives a `Table` of raw columns


def known() -> list[str]:
    """Names of the sources."""
    return sorted(module.name for module in pkgutil.iter_modules(sources.__path__))


def faults(name: str, args: Mapping) -> list[str]:
    """Faults of a source's name and arguments, one message each; [] when there are none."""
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
            # An int may stand for a float, but not a float, as the command line makes of 1e3, for an int.
            if parameter.annotation is float and type(args[key]) is int:
                continue
            expected = getattr(
                parameter.annotation, "__name__", parameter.annotation
            )  # 'str | bool' has none
            lines.append(f"data.args.{key}: expected {expected}. Received: {args[key]!r}.")
    return lines


def load(source: str, *, cache_dir: str = "", **args) -> "Source | Table":
    """Loads a source; one of `TABLES` gives a `Table`.

    Args:
        source: one of `known()`.
        cache_dir: where rows are kept that took long to make (config `data.cache_dir`).
        **args: arguments of the source (config `data.args`), checked by `faults`.

    Raises:
        InputError: as documented in the source's module.
    """
    found = opened(source, **args)
    if not isinstance(found, Stream):
        return found
    from tf_logreg.data import kept_rows  # imports SciPy

    return kept_rows.source_of(found, cache_dir)


def opened(source: str, **args) -> "Source | Table | Stream":
    """What a source gives: `load` without reading rows that come one after another."""
    return _loader(source)(**_local(args))


def files(source: str, **args) -> dict[str, str]:
    """Paths of the files that a source reads, by the names under which a run records them.

    {} for a source that reads no files, or whose files do not exist yet.

    Raises:
        InputError: as `load`.
    """
    module = _module(source)
    return module.files(**_local(args)) if hasattr(module, "files") else {}


def version(source: str) -> int:
    """Version of a source that generates rows; it increases when the same arguments give other rows."""
    return getattr(_module(source), "VERSION", 0)


def _local(args: Mapping) -> dict:
    """The arguments, with paths as this machine's file system or a store has them."""
    return {
        key: storage.path_or_address(value, f"data.args.{key}") if key in PATHS else value
        for key, value in args.items()
    }


def _loader(name: str):
    """The function of a source that gives a `Source`, a `Table` or a `Stream`."""
    module = _module(name)
    return module.stream if hasattr(module, "stream") else module.load


def _module(name: str):
    return importlib.import_module(f"{sources.__name__}.{name}")
