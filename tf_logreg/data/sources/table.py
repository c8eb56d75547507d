"""CSV or Parquet, by the ending of a path or the prefix `csv:` or `parquet:` before it."""

import inspect
from collections.abc import Mapping

from tf_logreg.data.sources import csv, parquet
from tf_logreg.errors import InputError
from tf_logreg.tables import csv_blocks, csv_files, parquet_blocks, parquet_files, paths
from tf_logreg.tables.blocks import Blocks
from tf_logreg.tables.csv_form import Form
from tf_logreg.tables.table import Table

_FORMATS = {"csv": csv, "parquet": parquet}
_PATHS = ("path", "validation_path", "test_path")


def load(path: str, validation_path: str = "", test_path: str = "", **form) -> Table:
    """Reads files of named columns, all of one format.

    Args:
        path, validation_path, test_path: as of the sources `csv` and `parquet`, whose format the endings of
            the files say, .parquet and .pq or .csv and .tsv, or else a prefix: 'csv:adult.data'.
        **form: the further arguments of the source `csv`; with Parquet they are refused.

    Raises:
        InputError: as these sources, or files of which neither the ending nor a prefix says the format.
    """
    name, files = _format({"path": path, "validation_path": validation_path, "test_path": test_path})
    if name == "csv":
        return csv.load(**files, **form)
    for key, value in form.items():
        default = inspect.signature(csv.load).parameters[key].default
        if value != default:
            raise InputError(
                f"data.args.{key}: expected {default!r} with Parquet, which says this itself. "
                f"Received: {value!r}."
            )
    return parquet.load(**files)


load.__signature__ = inspect.signature(csv.load)  # what data.args takes


def blocks(path: str, columns: Mapping[str, str], **form) -> Blocks:
    """The rows of files block by block, in memory that does not grow with them.

    Args:
        path: as of `load`.
        columns: those that are read, and what is expected of a CSV file's: see `csv_blocks.read`.
        **form: the further arguments of the source `csv`; with Parquet they say nothing.

    Raises:
        InputError: as of `load`; also while blocks are read.
    """
    name, files = _format({"path": path, "validation_path": "", "test_path": ""})
    if name == "csv":
        return csv_blocks.read(files["path"], Form(**form), columns)
    return parquet_blocks.read(files["path"], columns)


def files(path: str, validation_path: str = "", test_path: str = "", **_) -> dict[str, str]:
    """All files that `load` reads; other arguments change none of them."""
    name, given = _format({"path": path, "validation_path": validation_path, "test_path": test_path})
    return _FORMATS[name].files(**given)


def _format(given: dict) -> tuple[str, dict]:
    """The format of all files, and the arguments with paths that have no prefix."""
    found, without = {}, dict(given)
    for key in _PATHS:
        prefix, colon, rest = given[key].partition(":")
        if colon and prefix in _FORMATS:
            found[key], without[key] = prefix, rest
    every = paths.files_of_splits(
        *(without[key] for key in _PATHS), csv_files.ENDINGS + parquet_files.ENDINGS
    )
    for split, some in every.items():
        key = "path" if split == "train" else f"{split}_path"
        if key in found:
            continue
        names = {_by_ending(file.path) for file in some}
        if None in names or len(names) > 1:
            strange = next((file.path for file in some if _by_ending(file.path) is None), None)
            what = f"{strange!r}" if strange else f"both in {given[key]!r}"
            raise InputError(
                f"data.args.{key}: expected files that all end with .csv or .tsv, or all with .parquet or "
                f".pq. Received: {what}; 'csv:' or 'parquet:' before the path says the format."
            )
        found[key] = names.pop()
    if len(set(found.values())) > 1:
        raise InputError(
            "data.args: expected one format of all files. Received: "
            f"{' and '.join(f'{name} in {key}' for key, name in found.items())}."
        )
    return found["path"], without


def _by_ending(path: str) -> str | None:
    """The format that a path's ending says; None where it says none."""
    path = path.lower()
    if path.endswith(parquet_files.ENDINGS):
        return "parquet"
    return "csv" if path.endswith(csv_files.ENDINGS) else None
