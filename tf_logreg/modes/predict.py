"""`--mode=predict`: classes and probabilities of the rows of a file, by a finished run's model."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_logreg import storage
from tf_logreg.data import load
from tf_logreg.data.sources import table
from tf_logreg.errors import InputError
from tf_logreg.model.model import Model
from tf_logreg.results import workdir as directory
from tf_logreg.tables import encoding
from tf_logreg.tables.blocks import Blocks
from tf_logreg.tables.drift import Drift
from tf_logreg.tables.schema import Schema
from tf_logreg.tables.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_ROWS = 2**17
_ENDINGS = (".csv", ".csv.gz", ".parquet")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What each row of the output has beside class and probabilities, and how the input is read.

    Attributes:
        keep: columns of the input.
        explain: how many columns are named that moved the row most from the average training row.
        form: arguments of the source `csv` that differ from those of the run, as data.args has them.
    """

    keep: tuple[str, ...] = ()
    explain: int = 0
    form: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def predict(workdir: str, path: str, output: str, wanted: Wanted) -> str:
    """Scores the rows of files.

    Args:
        workdir: of a finished run on a table.
        path: CSV or Parquet, as data.args.path; the label may be missing.
        output: a file whose ending, .csv, .csv.gz or .parquet, is its format; replaced as a whole at the end.
        wanted: further columns.

    Returns:
        Lines to print: rows by class, and what training had not seen.

    Raises:
        InputError: no such run, a file that lacks a used column, or an output that cannot be written.
    """
    folder = directory.of(workdir)
    _, model = directory.read_model(folder)
    if model.schema is None:
        raise InputError(
            f"--mode=predict: expected a run on a table (csv, parquet). Received: {workdir!r}, on other rows."
        )
    for flag, text in (("--input", path), ("--output", output)):
        if not text:
            raise InputError(f"{flag}: expected a file. Received: ''.")
    if not output.endswith(_ENDINGS):
        raise InputError(
            f"--output: expected a name that ends in {', '.join(_ENDINGS)}. Received: {output!r}."
        )
    drift, counts = Drift(model.schema), np.zeros(len(model.class_names), np.int64)

    def scored_blocks() -> Iterator[pa.Table]:
        for block in rows.of_rows(_BLOCK_ROWS):
            drift.add(block)
            scored, chosen = _scored(model, block, wanted)
            counts[:] += np.bincount(chosen[chosen >= 0], minlength=len(counts))
            yield scored

    where = storage.path_or_address(output, "--output")
    if storage.identity(storage.path_or_address(path, "--input")) == storage.identity(where):
        raise InputError(f"--output: expected another file than --input. Received: {output!r}.")
    parent, name = os.path.split(where)
    data = directory.read_record(folder)["config"]["data"]
    with _naming_the_flag():
        rows = _rows(path, model, wanted, {**_form_of(data), **wanted.form})
        storage.Folder(parent or ".", "--output").write_with(
            name, lambda aside: _write(scored_blocks(), aside)
        )
    lines = _summary(model, counts, drift, output)
    if wanted.explain:
        toward = repr(model.class_names[1]) if model.head.outputs == 1 else "the class that is named"
        lines.append(f"explanation: by how much columns moved the log odds; + is towards {toward}.")
    if offset := data.get("offset"):
        lines.append(f"The run's data.offset={offset!r} is not added: these are the model's own answers.")
    return "\n".join(lines)


@contextlib.contextmanager
def _naming_the_flag() -> Iterator[None]:
    """Errors about the rows to score name the flag."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace("data.args.path", "--input", 1)) from None


def _form_of(data: dict) -> dict[str, Any]:
    """The form of CSV files that the run was told; types are those of its schema."""
    args = data["args"] if data["source"] in load.TABLES else {}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in args.items()
        if name not in (*load.PATHS, "types")
    }


def _rows(path: str, model: Model, wanted: Wanted, form: dict) -> Blocks:
    """The rows to score, with the columns that the model uses and those to keep."""
    rows = table.blocks(path, dict.fromkeys(wanted.keep, "") | expected_types(model.schema), **form)
    encoding.check_columns(model.schema, rows.names)
    _check_kept(rows.names, wanted, model)
    return rows


def expected_types(schema: Schema) -> dict[str, str]:
    """By used column what is expected of a CSV file, which does not say types: see `csv_blocks.read`."""
    expected = {}
    for column in schema.used:
        if column.type == "word":  # codes such as '1E5' look like numbers where they are alone
            expected[column.name] = "words"
        elif column.kind.takes == "numbers":
            expected[column.name] = "dates" if column.type == "date" else "numbers"
        else:
            expected[column.name] = ""
    return expected


def _check_kept(names: tuple[str, ...], wanted: Wanted, model: Model) -> None:
    """InputError for a column to keep that is not there, or is called as one of the output's own."""
    own = ["class", *(f"P({name})" for name in model.class_names), *["explanation"] * bool(wanted.explain)]
    for name in wanted.keep:
        if name in own:
            raise InputError(
                f"--keep: expected other columns than those of the output ({', '.join(own[:20])}). Received: "
                f"{name!r}."
            )
        if name not in names:
            known = ", ".join(names[:20])
            raise InputError(f"--keep: expected columns of the input ({known}). Received: {name!r}.")


def _scored(model: Model, block: pa.Table, wanted: Wanted) -> tuple[pa.Table, np.ndarray]:
    """The output's rows of a block, and the class index of each."""
    import pyarrow as pa

    x = model.encode(Table(block, {}))
    logits = model.logits(x)
    probabilities = model.head.probabilities(logits)
    chosen = model.classes(logits)
    columns = {name: block[name] for name in wanted.keep}
    # Index -1, for rows whose logits no float holds, finds the None at the end.
    columns["class"] = pa.array(np.array([*model.class_names, None], object)[chosen], pa.string())
    for k, name in enumerate(model.class_names):
        columns[f"P({name})"] = pa.array(probabilities[:, k])
    if wanted.explain:
        columns["explanation"] = pa.array(explanations(model, x, chosen, wanted.explain), pa.string())
    return pa.table(columns), chosen


def explanations(model: Model, x: np.ndarray, chosen: np.ndarray, most: int) -> list[str]:
    """By row the columns that move its logit most from that of the average training row.

    A column's contribution is the sum of w (x - mean) over its features. With one output w are its
    coefficients: above 0 is towards the second class. Else w are those of the chosen class less the average.

    Args:
        model: with the means of the training rows.
        x: [n, p] features. chosen: [n] class of each row. most: how many are named.
    """
    groups = model.schema.columns_of_features
    names = [c.name for c in model.schema.columns] + [" x ".join(c.columns) for c in model.schema.crosses]
    kernel = (
        model.kernel if model.head.outputs == 1 else model.kernel - model.kernel.mean(axis=1, keepdims=True)
    )
    found = np.zeros((x.shape[0], len(names)))
    average = np.zeros((len(names), kernel.shape[1]))
    np.add.at(average, groups, kernel * model.mean[:, None])
    for group in np.unique(groups):
        inside = np.flatnonzero(groups == group)
        moved = x[:, inside] @ kernel[inside] - average[group]
        found[:, group] = moved[:, 0] if kernel.shape[1] == 1 else moved[np.arange(len(chosen)), chosen]
    order = np.argsort(-np.abs(found), axis=1, kind="stable")[:, :most]
    return [
        "; ".join(f"{names[k]} {row[k]:+.3g}" for k in best) for row, best in zip(found, order, strict=True)
    ]


def _write(blocks, path: str) -> None:
    """Writes tables one below the other, in the format of the ending."""
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet

    first = next(blocks)
    if path.endswith(".parquet"):
        writer = parquet.ParquetWriter(path, first.schema)
    else:
        compression = "gzip" if path.endswith(".gz") else None
        writer = csv.CSVWriter(pa.output_stream(path, compression=compression), first.schema)
    with writer:
        writer.write_table(first)
        for block in blocks:
            writer.write_table(block)


def _summary(model: Model, counts: np.ndarray, drift: Drift, output: str) -> list[str]:
    """Lines to print."""
    shares = [f"{name} {n:,}" for name, n in zip(model.class_names, counts.tolist(), strict=True)]
    more = [f"... ({len(shares)} classes)"] * (len(shares) > 10)
    lines = [f"{drift.num_rows:,} rows in {output}: {', '.join([*shares[:10], *more])}."]
    if lost := drift.num_rows - int(counts.sum()):
        lines.append(f"No class: {lost:,} rows, as their numbers are too large.")
    if found := drift.lines():
        lines += ["Training had not seen:", *(f"  {line}" for line in found)]
    return lines
