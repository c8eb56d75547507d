"""Dates that are text, as data frames and Parquet files have them: the same times as from a CSV file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tf_logreg.tables import csv_types
from tf_logreg.tables.csv_form import MISSING
from tf_logreg.tables.table import plain_column

if TYPE_CHECKING:
    import pyarrow as pa

_HEAD = 20  # values that are looked at before all are


def are_dates(texts: pa.ChunkedArray) -> bool:
    """Whether there are texts, and all of them are dates or stand for a missing value."""
    head = _known(texts.slice(0, 2 * _HEAD).combine_chunks())
    if len(head) and csv_types.first_other(head[:_HEAD], "dates", ".") >= 0:
        return False
    times = of_texts(texts)
    return times is not None and times.null_count < len(times)


def of_texts(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Texts of the form of ISO 8601 as timestamp('us') [n]; None where some text is none.

    The words for a missing value in CSV files are missing here too.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = pc.dictionary_encode(texts.combine_chunks())
    words = _known(encoded.dictionary)
    if csv_types.first_other(words, "dates", ".") >= 0:
        return None
    times = _read(words)
    if not pa.types.is_date(times.type) and not pa.types.is_timestamp(times.type):
        return None
    place = pc.index_in(encoded.dictionary, value_set=words)
    return plain_column(pa.chunked_array([times.take(place.take(encoded.indices))]))


def first_other(texts: pa.ChunkedArray) -> str:
    """The first text that is no date; '' where there is none."""
    import pyarrow.compute as pc

    words = _known(pc.unique(texts))
    row = csv_types.first_other(words, "dates", ".")
    return words[row].as_py() if row >= 0 else ""


def _known(words: pa.Array) -> pa.Array:
    """The words that do not stand for a missing value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words = words.drop_null()
    return words.filter(pc.invert(pc.is_in(words, value_set=pa.array(MISSING))))


def _read(words: pa.Array) -> pa.Array:
    """Distinct texts that look like dates, in the type that Arrow finds in a CSV file of them."""
    import pyarrow as pa
    from pyarrow import csv

    if not len(words):
        return pa.array([], pa.timestamp("us"))
    text = "\n".join(words.to_pylist()).encode()
    options = csv.ReadOptions(column_names=["date"], block_size=len(text) + 1)
    return csv.read_csv(pa.BufferReader(text), read_options=options).column(0).combine_chunks()
