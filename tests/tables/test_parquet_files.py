"""Parquet files, whole and damaged, and the choice between Parquet and CSV."""

import datetime as dt
import decimal
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tf_logreg.data import load as sources
from tf_logreg.data.sources import parquet, table
from tf_logreg.errors import InputError
from tf_logreg.tables import parquet_files


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name="a.parquet", columns=None, **options):
    columns = {"a": [1, 2], "w": ["x", "y"]} if columns is None else columns
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), name, **options)
    return name


def test_types_are_plain():
    zone = dt.timezone(dt.timedelta(hours=2))
    columns = pa.table({
        "int8": pa.array([1, None], pa.int8()), "uint64": pa.array([2**64 - 1, 1], pa.uint64()),
        "float32": pa.array([0.5, np.nan], pa.float32()), "bool": pa.array([True, None]),
        "category": pa.array(["x", None]).dictionary_encode(), "large": pa.array(["x", None], pa.large_string()),
        "date": pa.array([dt.date(2024, 1, 2), None]), "time": pa.array([dt.datetime(2024, 1, 2, tzinfo=zone), None]),
        "decimal": pa.array([decimal.Decimal("1.25"), None]), "null": pa.nulls(2), "list": pa.array([[1], None]),
    })  # fmt: skip
    found = parquet.load(write(columns=columns)).columns
    assert {field.name: str(field.type).replace("element", "item") for field in found.schema} == {
        "int8": "int64", "uint64": "double", "float32": "double", "bool": "bool", "category": "string", "large": "string",
        "date": "timestamp[us]", "time": "timestamp[us]", "decimal": "double", "null": "double", "list": "list<item: int64>",
    }  # fmt: skip
    assert [column[0].as_py() for column in found.columns] == [
        1, 2.0**64, 0.5, True, "x", "x", dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 1, 22), 1.25, None, [1],
    ]  # fmt: skip
    assert all(column[1].as_py() is None for name, column in zip(found.column_names, found.columns, strict=True)
               if name != "uint64")  # fmt: skip


def test_files_share_columns_and_types(folder):
    write("1.parquet", {"a": [1, 2], "w": ["x", "y"], "n": pa.nulls(2)})
    write("2.parquet", {"n": [7], "w": ["z"], "a": [0.5]})
    write("t.parquet", {"a": [1], "w": ["z"], "n": pa.nulls(1)})
    found = parquet.load("1.parquet,2.parquet", test_path="t.parquet")
    assert found.columns.to_pydict() == {
        "a": [1.0, 2.0, 0.5, 1.0],
        "w": ["x", "y", "z", "z"],
        "n": [None, None, 7, None],
    }
    assert found.splits == {"train": range(3), "test": range(3, 4)}
    assert [found.place(row) for row in (1, 2, 3)] == [
        "row 2 of 1.parquet", "row 1 of 2.parquet", "row 1 of t.parquet",
    ]  # fmt: skip


def test_folders_are_columns(folder):
    for year, part in ((2024, "01"), (2025, "x")):
        (folder / f"d/year={year}/part={part}").mkdir(parents=True)
        write(f"d/year={year}/part={part}/a.parquet", {"a": [1]})
    found = parquet.load("d").columns
    assert found.to_pydict() == {"a": [1, 1], "year": [2024, 2025], "part": ["01", "x"]}
    assert sources.files("parquet", path="d") == {
        name: name for name in ("d/year=2024/part=01/a.parquet", "d/year=2025/part=x/a.parquet")
    }
    write("d/year=2025/part=x/a.parquet", {"a": [1], "year": [1]})
    with pytest.raises(
        InputError, match=r"each column once. Received: 'year' both in the file and in the fold"
    ):
        parquet.load("d")


def test_other_columns_or_types():
    write("1.parquet")
    write("2.parquet", {"a": [1], "v": ["x"]})
    with pytest.raises(
        InputError,
        match=r"'2.parquet' to have the columns of '1.parquet'. Received: it lacks 'w' and it has 'v' more",
    ):
        parquet.load("1.parquet,2.parquet")
    write("2.parquet", {"a": ["u"], "w": ["x"]})
    with pytest.raises(
        InputError,
        match=r"column 'a' to have one type in all files. Received: int64 in '1.parquet' and string in '2.p",
    ):
        parquet.load("1.parquet,2.parquet")
    write("2.parquet", pa.table([[1], [2]], names=["a", "a"]))
    with pytest.raises(InputError, match=r"distinct names of columns in '2.parquet'. Received: 'a' twice"):
        parquet.load("2.parquet")
    write("2.parquet", {})
    with pytest.raises(InputError, match=r"expected columns. Received: none in '2.parquet'"):
        parquet.load("2.parquet")
    write("2.parquet", {"a": pa.array([], pa.int64())})
    with pytest.raises(
        InputError, match=r"data.args.test_path: expected rows. Received: none in '2.parquet'"
    ):
        write("1.parquet", {"a": [1]})
        parquet.load("1.parquet", test_path="2.parquet")


def test_text_that_is_not_utf8():
    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    with pytest.raises(InputError, match=r"'a.parquet', which cannot be read: .*UTF8"):
        parquet.load(write(columns=pa.table({"a": text})))


def test_files_that_are_no_parquet(folder):
    (folder / "a").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected Parquet. Received: an empty file, 'a'"):
        parquet.load("a")
    (folder / "a").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(InputError, match=r"expected Parquet. Received: 'a', which begins with b'a,b"):
        parquet.load("a")
    whole = (folder / write()).read_bytes()
    (folder / "a").write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"whole Parquet file. Received: 'a', whose end is missing"):
        parquet.load("a")
    (folder / "a").write_bytes(whole[:-8] + b"\xff\xff\xff\x7fPAR1")
    with pytest.raises(InputError, match=r"whole Parquet file. Received: 'a', which cannot be read"):
        parquet.load("a")


def test_a_footer_that_says_other_rows(monkeypatch):
    class Said:
        """A footer: rows in all, and in its only group."""

        def __init__(self, rows, in_group, size=10):
            self.metadata, self.schema_arrow = self, pa.schema({"a": pa.int64()})
            self.num_rows, self.num_row_groups = rows, 1
            self.row_group = lambda at: type("Group", (), {"num_rows": in_group, "total_byte_size": size})

    with pytest.raises(
        InputError, match=r"'a' that agrees with itself. Received: 3 rows in all, and 2 in its 1"
    ):
        parquet_files._check_footer(Said(3, 2), "a")
    with pytest.raises(InputError, match=r"agrees with itself. Received: -3 rows"):
        parquet_files._check_footer(Said(-3, -3), "a")
    with pytest.raises(InputError, match=r"columns that fit in memory, .*Received: 1048576.00 GiB in 'a'"):
        parquet_files._check_footer(Said(3, 3, 2**50), "a")
    with pytest.raises(InputError, match=r"columns that fit in memory"):
        parquet_files._check_footer(Said(2**50, 2**50), "a")
    parquet_files._check_footer(Said(3, 3), "a")


def test_damaged_files_raise_nothing_else(folder):
    columns = {
        "x": np.arange(500.0),
        "w": [f"word {row}" for row in range(500)],
        "l": [[row] for row in range(500)],
    }
    whole = (folder / write(columns=columns)).read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(300):
        bad = bytearray(whole)
        if rng.random() < 0.2:
            bad[rng.randrange(len(bad)) :] = b"PAR1"
        for _ in range(rng.randrange(1, 5)):
            back = 900 if rng.random() < 0.6 else len(bad)
            bad[len(bad) - 1 - rng.randrange(min(back, len(bad)))] = rng.randrange(256)
        (folder / "bad").write_bytes(bad)
        try:
            parquet.load("bad")
        except InputError:
            refused += 1
    assert refused > 100


def test_the_source_table_reads_either(folder):
    write()
    (folder / "b.csv").write_text("a;w\n1;x\n")
    (folder / "c.data").write_text("a;w\n1;x\n")
    (folder / "a.csv").write_text("a,w\n1,x\n")
    assert table.load("a.parquet").columns.num_rows == 2
    assert table.load("b.csv", separator=";").columns.to_pydict() == {"a": [1], "w": ["x"]}
    assert table.load("csv:c.data", test_path="csv:a.csv").splits == {"train": range(1), "test": range(1, 2)}
    assert sources.files("table", path="csv:c.data,b.csv") == {"c.data": "c.data", "b.csv": "b.csv"}
    assert sources.files("table", path="a.parquet", missing=()) == {"a.parquet": "a.parquet"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"path": "c.data"}, "data.args.path: expected files that all end with .* Received: 'c.data'; 'csv:' or"),
        ({"path": "*"}, "Received: 'c.data'; 'csv:' or 'parquet:' before the path says the format"),
        ({"path": "a.*"}, "Received: both in 'a.[*]'"),
        ({"path": "a.csv", "test_path": "a.parquet"}, "one format of all files. Received: csv in path and parquet in test_path"),
        ({"path": "a.parquet", "separator": ";"}, "data.args.separator: expected '' with Parquet, .* Received: ';'"),
        ({"path": "a.parquet", "types": ("a:string",)}, r"data.args.types: expected \(\) with Parquet"),
        ({"path": "csv:a.parquet"}, "expected CSV. Received: 'a.parquet' is Parquet"),
        ({"path": "parquet:a.csv"}, "expected Parquet. Received: 'a.csv', which begins with"),
    ],
)  # fmt: skip
def test_bad_arguments_of_table(folder, args, message):
    write()
    (folder / "a.csv").write_text("a,w\n1,x\n")
    (folder / "c.data").write_text("a,w\n1,x\n")
    with pytest.raises(InputError, match=message):
        table.load(**args)
