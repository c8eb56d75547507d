"""Data frames: every type of pandas has a plain one, and values of several kinds are refused with their row."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tf_logreg.errors import InputError
from tf_logreg.tables.frames import is_frame, table_of

NOON = dt.datetime(2024, 1, 1, 12)
# pandas' column -> (plain type, values)
PANDAS = {
    "int": (pd.Series([1, 2]), "int64", [1, 2]),
    "int8": (pd.Series([1, 2], dtype="int8"), "int64", [1, 2]),
    "float32": (pd.Series([0.5, np.nan], dtype="float32"), "double", [0.5, None]),
    "bool": (pd.Series([True, False]), "bool", [True, False]),
    "objects of str": (pd.Series(["x", None], dtype=object), "string", ["x", None]),
    "objects of str and NaN": (pd.Series(["x", np.nan], dtype=object), "string", ["x", None]),
    "objects of str and NA": (pd.Series(["x", pd.NA], dtype=object), "string", ["x", None]),
    "objects of int": (pd.Series([1, None], dtype=object), "int64", [1, None]),
    "objects of bool": (pd.Series([True, None], dtype=object), "bool", [True, None]),
    "objects of numbers": (pd.Series([1, 2.5], dtype=object), "double", [1.0, 2.5]),
    "str": (pd.Series(["x", None], dtype="string"), "string", ["x", None]),
    "category": (pd.Series(["x", None], dtype="category"), "string", ["x", None]),
    "category of int": (pd.Series([3, None], dtype="category"), "int64", [3, None]),
    "Int64": (pd.Series([1, None], dtype="Int64"), "int64", [1, None]),
    "Float32": (pd.Series([1.5, None], dtype="Float32"), "double", [1.5, None]),
    "boolean": (pd.Series([True, None], dtype="boolean"), "bool", [True, None]),
    "arrow": (pd.Series([1, None], dtype="int32[pyarrow]"), "int64", [1, None]),
    "time": (pd.Series([NOON, pd.NaT]), "timestamp[us]", [NOON, None]),
    "time with zone": (
        pd.Series([NOON, NOON]).dt.tz_localize("Etc/GMT-2"), "timestamp[us]", [NOON - dt.timedelta(hours=2)] * 2,
    ),
    "date": (pd.Series([dt.date(2024, 1, 1), None]), "timestamp[us]", [dt.datetime(2024, 1, 1), None]),
    "month": (
        pd.Series(pd.period_range("2024-01", periods=2, freq="M")), "timestamp[us]",
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 2, 1)],
    ),
    "decimal": (pd.Series([decimal.Decimal("1.5"), None]), "double", [1.5, None]),
    "sparse": (pd.Series(pd.arrays.SparseArray([0, 1])), "int64", [0, 1]),
    "missing": (pd.Series([None, None], dtype=object), "double", [None, None]),
    "list": (pd.Series([[1], [2, 3]]), "list<item: int64>", [[1], [2, 3]]),
}  # fmt: skip


@pytest.mark.parametrize("kind", PANDAS)
def test_types_of_pandas(kind):
    series, expected, values = PANDAS[kind]
    table = table_of(pd.DataFrame({"a": series}))
    assert str(table.columns.schema.field("a").type).replace("element", "item") == expected
    assert table.columns.column("a").to_pylist() == values
    assert table.splits == {"train": range(2)}


def test_the_index_counts_for_nothing():
    table = table_of(pd.DataFrame({"a": [1, 2]}, index=["x", "y"]))
    assert table.columns.to_pydict() == {"a": [1, 2]}
    assert table.place(1) == "row 1 of X, counted from 0"


class Exporter:
    """Another library's frame: polars has this protocol, and text as views."""

    columns = ("a",)

    def __arrow_c_stream__(self, requested_schema=None):
        return pa.table({"a": pa.array(["x", None], pa.string_view())}).__arrow_c_stream__(requested_schema)


class Converter(Exporter):
    """A frame with `to_arrow`, as polars has."""

    def to_arrow(self):
        return pa.table({"a": pa.array(["x", None], pa.large_string())})


FRAMES = [
    pa.table({"a": ["x", None]}),
    pa.RecordBatch.from_pydict({"a": ["x", None]}),
    pa.table({"a": pa.array(["x", None]).dictionary_encode()}),
    {"a": ["x", None]},
    {"a": pa.array(["x", None])},
    {"a": np.array(["x", None], object)},
    {"a": np.ma.array(["x", "y"], mask=[False, True])},
    {"a": pd.Series(["x", None])},
    Exporter(),
    Converter(),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_frames_of_all_kinds(frame):
    assert is_frame(frame)
    table = table_of(frame)
    assert table.columns.to_pydict() == {"a": ["x", None]}
    assert table.columns.schema.field("a").type == pa.string()


def test_arrays_of_numpy():
    table = table_of({
        "bytes": np.array([b"x", "ü".encode()]), "big": np.array([1, 2], ">i4"), "half": np.array([1, np.nan], "f2"),
        "day": np.array(["2024-01-01", "NaT"], "M8[D]"), "u": np.array([1, 2**63], np.uint64),
    })  # fmt: skip
    assert table.columns.to_pydict() == {
        "bytes": ["x", "ü"], "big": [1, 2], "half": [1.0, None], "day": [dt.datetime(2024, 1, 1), None], "u": [1.0, 2.0**63],
    }  # fmt: skip


@pytest.mark.parametrize("data", [np.eye(2), [[1]], 5, pd.Series([1]), "x", None])
def test_what_is_no_frame(data):
    assert not is_frame(data)
    with pytest.raises(InputError, match=r"X: expected a DataFrame, .* Received: "):
        table_of(data)


OBJECTS = "expected values of one kind in column 'a'. Received: "
BAD = [
    ({"a": [None, 1, "x"]}, OBJECTS + r"a number in row 1 and text \('x'\) in row 2, counted from 0"),
    ({"a": ["x", b"y"]}, OBJECTS + "text in row 0 and bytes"),
    ({"a": [True, 1]}, OBJECTS + "a truth value in row 0 and a number"),
    ({"a": [1, True]}, OBJECTS + "a number in row 0 and a truth value"),
    ({"a": [NOON, 1]}, OBJECTS + "a time in row 0 and a number"),
    ({"a": [{"x": 1}, 1]}, OBJECTS + "dict in row 0 and a number"),
    (pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)}), OBJECTS),
    (pd.DataFrame({"a": pd.Categorical([1, "x"])}), OBJECTS),
    ({"a": ["x", "\ud800"]}, "expected Unicode text in column 'a'. Received: text .* in row 1"),
    ({"a": np.array([b"\xff"])}, "expected text in UTF-8 in column 'a'"),
    ({"a": [2**70]}, "expected a column of numbers, .* Received: 'a', which Arrow cannot read"),
    ({"a": np.array([1j])}, "expected numbers, text or times in column 'a'. Received: dtype complex128"),
    ({"a": np.eye(2)}, r"expected shape \[n\] of column 'a'. Received: shape \[2, 2\]"),
    ({"a": "xy"}, "expected an array or a list as column 'a'. Received: str"),
    ({"a": [1], "b": [1, 2]}, "expected columns of one length. Received: 1 rows of 'a' and 2 of 'b'"),
    ({}, "expected columns. Received: none"),
    (pd.DataFrame(), "expected columns. Received: none"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "expected distinct names of columns. Received: 'a' twice"),
    (pd.DataFrame([[1, 2]], columns=["0", 0]), "expected distinct names of columns. Received: '0' twice"),
    (pa.table([[1], [2]], names=["a", "a"]), "expected distinct names of columns. Received: 'a' twice"),
    ({("a", 1): [1]}, r"expected names of columns that are text. Received: \('a', 1\)"),
]


@pytest.mark.parametrize(("frame", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_bad_frames(frame, message):
    with pytest.raises(InputError, match="X: " + message):
        table_of(frame)


def test_bytes_in_an_arrow_array_that_are_no_text():
    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    with pytest.raises(InputError, match="X"):
        table_of({"a": text})
    with pytest.raises(InputError, match="X"):
        table_of(pa.table({"a": text}))
