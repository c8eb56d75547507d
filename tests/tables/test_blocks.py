"""Files read block by block: the same rows and types as of whole files, and what is wrong is said with its row."""

import gzip
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from csv_texts import write

from tf_logreg.data import load as sources
from tf_logreg.data.sources import table
from tf_logreg.errors import InputError
from tf_logreg.tables import csv_blocks, csv_pieces, parquet_blocks
from tf_logreg.tables.csv_form import Form


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Paths in messages are names; pieces are short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(csv_pieces, "SIZE", 40)
    monkeypatch.setattr(csv_pieces, "_READ", 16)
    monkeypatch.setattr(parquet_blocks, "_ROWS", 3)
    return tmp_path


def in_blocks(path, **columns):
    """All rows of files, whose columns are taken as they come."""
    columns = columns or dict.fromkeys(table.blocks(path, {}).names, "")
    return pa.concat_tables(table.blocks(path, columns).pieces())


def assert_same(path):
    whole, found = sources.load("table", path=path).columns, in_blocks(path)
    assert found.schema == whole.schema
    assert found.to_pydict() == whole.to_pydict()


def end_of_rows(text):
    """Slowly: letter by letter."""
    state, end = "begin", 0
    for place, letter in enumerate(text, 1):
        if state == "quoted":
            state = "closed" if letter == '"' else "quoted"
        elif letter == '"' and state in ("begin", "closed"):
            state = "quoted"
        elif letter in ",\n":
            state, end = "begin", place if letter == "\n" else end
        else:
            state = "letters"
    return end


def test_rows_end_outside_quotes():
    rng = random.Random(0)
    for _ in range(3000):
        text = "".join(rng.choice('ab,,""\n\n') for _ in range(rng.randrange(1, 40)))
        assert csv_pieces.end_of_rows(text.encode(), '"', ",") == end_of_rows(text), text
        assert csv_pieces.end_of_rows(text.encode(), "", ",") == text.rfind("\n") + 1


VALUES = (
    ["1", "22", "-3"], ["1", "2.5", "1e3"], ["x", "y z", '"a, b"'], ["1", "2", "x"], ["", "NA", "?"],
    ["2024-01-31"], ["2024-01-31", "2024-01-31 10:30"], ["2024-01-31", "2024-01-31T10:30:00.25"],
    ["0001-01-01", "2024-01-31 10:30:00.5"], ["2024-01-31T10:30:00Z", "2024-01-31T10:30:00+02:00"],
    ["2024-01-31T10:30:00Z", "2024-01-31"], ["12:30", "01:15:20"], ["12:30", "7"], ["007", "12"], ["007", "1.5"],
    ["true", "False"], ['"two\nlines"', '"say ""so"""'], ['5" pipe', "7"], ["99999999999999999999", "1"],
    ["2024", "2024-01-31"], ["é", "ü"],
)  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_types_are_those_of_whole_columns(seed):
    rng, compared = random.Random(seed), 0
    for _ in range(25):
        kinds = [rng.choice(VALUES) for _ in range(rng.randrange(2, 5))]
        rows = []
        for _ in range(rng.randrange(1, 40)):
            common = [rng.choice(some[: rng.randrange(1, len(some) + 1)]) for some in kinds]
            rows.append(",".join("" if rng.random() < 0.2 else value for value in common))
            rows += [""] * (rng.random() < 0.1)
        text = "\n".join([",".join(f"c{j}" for j in range(len(kinds))), *rows]) + "\n" * rng.randrange(2)
        if rng.random() < 0.3:
            text = text.replace("\n", "\r\n")
        path = write(gzip.compress(text.encode()) if rng.random() < 0.3 else text)
        try:
            sources.load("table", path=path)
        except InputError:  # a word among numbers, or no row
            continue
        assert_same(path)
        compared += 1
    assert compared > 3


def test_several_files_and_folders(folder):
    for year, text in (("2023", "a,b\n1,x\n2,y\n"), ("2024", "b,a\nz,0.5\n,\n"), ("2025", "a,b\n,\n")):
        (folder / f"sales/year={year}").mkdir(parents=True)
        write(text, f"sales/year={year}/a.csv")
    assert_same("sales")
    assert in_blocks("sales", year="").column_names == ["year"]
    write("a,b\n1,x\n", "1.csv")
    write("a,b\n2,7\n", "2.csv")
    assert in_blocks("1.csv,2.csv")["b"].to_pylist() == ["x", "7"]
    write("a,b\n2,2024-01-31\n", "3.csv")
    with pytest.raises(InputError, match=r"column 'b' to have one type in all files. Received: int64 in '2"):
        in_blocks("2.csv,3.csv")
    write("a\n2\n", "4.csv")
    with pytest.raises(
        InputError, match=r"expected '4.csv' to have the columns of '1.csv'. Received: it lacks 'b'"
    ):
        in_blocks("1.csv,4.csv")


def test_other_encodings():
    for encoding in ("utf-8-sig", "utf-16"):
        write(("a,b\n" + "1,ü\n" * 40).encode(encoding))
        assert_same("a.csv")


def test_what_is_expected_of_a_column():
    write("code,zip,n,d\n" + "1E5,01,007,2024-01-31\n" * 20 + "7,2,8,2024-02-01 10:00\n")
    found = in_blocks("a.csv", code="words", zip="", n="numbers", d="dates")
    assert found.slice(20).to_pylist()[0]["code"] == "7"
    assert [str(kind) for kind in found.schema.types] == ["string", "string", "int64", "timestamp[us]"]
    forced = csv_blocks.read("a.csv", Form(types=("zip:float64",)), {"zip": ""})
    assert pa.concat_tables(forced.pieces())["zip"].type == pa.float64()


ROWS = "a,b\n" + "1,x\n" * 30
BAD = {
    "a short row": (ROWS + "1\n" + ROWS[4:], r"expected 2 fields .* Received: 1 in row 31 of a.csv"),
    "an open quote": (ROWS + '1,"x\n' + ROWS[4:], r'each quote " to be closed. Received: one in row 31'),
    "an open quote at the end": (ROWS + '1,"x', r'each quote " to be closed. Received: one in row 31'),
    "bytes": (ROWS.encode() + b"1,\xff\n" + ROWS.encode()[4:], r"b'\\xff' in row 31 of a.csv, column 'b'"),
    "a word among numbers": (ROWS + "low,x\n", r"numbers in column 'a', as in training. Received: 'low' in row 31"),
    "a NUL byte": (ROWS + "1,\0\n", r"a NUL byte in line 32"),
    "no row": ("a,b\n", r"data.args.path: expected rows. Received: none in 'a.csv'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_has_its_row(case):
    text, message = BAD[case]
    write(text)
    with pytest.raises(InputError, match=message):
        in_blocks("a.csv", a="numbers", b="")


def test_bytes_and_bad_types_where_the_type_is_given():
    write(ROWS.encode() + b"1,\xff\n" + ROWS.encode()[4:])
    with pytest.raises(InputError, match=r"column 'b' in row 31 of a.csv cannot be read"):
        in_blocks("a.csv", b="words")
    write("a,b\n" + "1,2024-01-31\n" * 20 + "1,soon\n")
    with pytest.raises(
        InputError, match=r"expected dates in column 'b', as in training. Received: 'soon' in row 21"
    ):
        in_blocks("a.csv", b="dates")


def test_rows_that_are_left_out_are_counted(caplog):
    caplog.set_level("INFO", "tf_logreg")
    write(ROWS + "1\n" + ROWS[4:] + "1,2,3\n2,y\n")
    found = pa.concat_tables(csv_blocks.read("a.csv", Form(on_bad_lines="skip"), {"a": "", "b": ""}).pieces())
    assert found["a"].to_pylist() == [1] * 60 + [2]
    said = "2 rows with another number of fields were left out: row 31 of a.csv, row 62 of a.csv."
    assert caplog.text.count(said) == 1


def test_a_row_that_is_too_long(monkeypatch):
    monkeypatch.setattr(csv_pieces, "MOST_ROW", 400)
    write("a,b\n1,2\n" + "x" * 300 + ",2\n1,2\n")
    assert in_blocks("a.csv")["a"].to_pylist() == ["1", "x" * 300, "1"]
    write("a,b\n1,2\n" + "x" * 900 + ",2\n1,2\n")
    with pytest.raises(InputError, match=r"Received: a longer one in 'a.csv'"):
        in_blocks("a.csv")


def parquet(name, **columns):
    pq.write_table(pa.table(columns), name, row_group_size=4)


def test_parquet(monkeypatch):
    n, rng = 11, np.random.default_rng(0)
    small, large = pa.array([*range(n)], pa.uint64()), pa.array([1] * (n - 1) + [2**63], pa.uint64())
    category = pa.array(rng.choice(["u", "v"], n)).dictionary_encode()
    both = {"x.y": rng.normal(size=n), "x": range(n), "w": category, "s": small, "l": large, "n": pa.nulls(n)}
    parquet("1.parquet", **both)
    assert_same("1.parquet")
    parquet("2.parquet", **both | {"x": rng.normal(size=n), "n": ["a"] * n, "w": pa.nulls(n, pa.int32())})
    assert_same("1.parquet,2.parquet")
    parquet("3.parquet", **both | {"w": range(n)})
    with pytest.raises(InputError, match=r"column 'w' to have one type in all files"):
        in_blocks("1.parquet,3.parquet")
    monkeypatch.setattr(parquet_blocks.parquet_files, "check_rows", lambda count, *_: pytest.fail(str(count)))
    with pytest.raises(pytest.fail.Exception, match="11"):
        in_blocks("1.parquet")


def test_parquet_without_rows_and_damaged(folder):
    parquet("0.parquet", x=pa.array([], pa.int64()))
    with pytest.raises(InputError, match=r"expected rows. Received: none in '0.parquet'"):
        in_blocks("0.parquet")
    parquet("1.parquet", x=np.random.default_rng(0).normal(size=3000))
    damaged = bytearray((folder / "1.parquet").read_bytes())
    damaged[10_000:10_100] = bytes(100)
    (folder / "1.parquet").write_bytes(damaged)
    with pytest.raises(
        InputError, match=r"a whole Parquet file. Received: '1.parquet', which cannot be read"
    ):
        in_blocks("1.parquet")


def test_blocks_have_the_asked_number_of_rows():
    parquet("1.parquet", x=range(20))
    for size, expected in ((1, [1] * 20), (6, [6, 6, 6, 2]), (5, [5] * 4), (50, [20])):
        found = list(table.blocks("1.parquet", {"x": ""}).of_rows(size))
        assert [len(block) for block in found] == expected
        assert pa.concat_tables(found)["x"].to_pylist() == list(range(20))
