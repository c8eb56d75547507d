"""CSV files: what is wrong with one is said with its file, row and column."""

import gzip
import logging
import os
import random

import numpy as np
import pytest
from csv_texts import columns, read, write

from tf_logreg.data import load as sources
from tf_logreg.data.sources import csv
from tf_logreg.errors import InputError
from tf_logreg.tables import csv_faults, csv_form, csv_reader, csv_stream


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Paths in messages are names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def said(caplog):
    """What is logged."""
    caplog.set_level(logging.INFO)
    return caplog


def test_bad_lines_are_left_out_and_counted(said):
    text = "a,b\n0,1\n\n1\n2,3\n4,5\n7,8,9\n6,7\n"
    for way, level in (("skip", "INFO"), ("warn", "WARNING")):
        said.clear()
        table = read(text, on_bad_lines=way)
        assert table.columns.to_pydict() == {"a": [0, 2, 4, 6], "b": [1, 3, 5, 7]}
        (record,) = said.records
        assert record.levelname == level
        assert record.message == (
            "2 rows with another number of fields were left out: row 2 of a.csv, row 5 of a.csv."
        )
        assert [table.place(row) for row in range(4)] == [f"row {number} of a.csv" for number in (1, 3, 4, 6)]
    said.clear()
    read("a,b\n1,2\n" + "1\n" * 12, on_bad_lines="skip")
    assert "12 rows with another number of fields were left out: row 2 of a.csv, " in said.text
    assert "row 11 of a.csv, ...." in said.text
    with pytest.raises(InputError, match=r"expected rows. Received: none in 'a.csv'"):
        read("a,b\n1\n", on_bad_lines="skip")
    with pytest.raises(InputError, match=r"expected int64 in column 'a'. Received: 'x' in row 3 of a.csv"):
        read("a,b\n1\n1,2\nx,2\n", on_bad_lines="skip", types=("a:int64",))


QUOTE = r'expected each quote " to be closed. Received: one in '
BAD = {
    "a row that is too short": ("a,b\n1,2\n3\n", "expected 2 fields a row, as the first row has. Received: 1 in row 2 of a.csv, '3'; data.args.on_b"),
    "a row that is too long": ("a,b\n1,2\n3,4,5\n", "Received: 3 in row 2 of a.csv, '3,4,5'"),
    "an open quote in the last column": ('a,b\n1,2\n3,"4\n5,6\n', QUOTE + "row 2 of a.csv that is not; data.args.quote=''"),
    "an open quote in the first column": ('a,b\n1,2\n"3,4\n5,6\n', QUOTE + "row 2 of a.csv"),
    "an open quote in a single column": ('a\n1\n"2\n3\n', QUOTE + "row 2 of a.csv"),
    "an open quote in the header": ('"a,b\n1,2\n', QUOTE + "the first row of 'a.csv'"),
    "a NUL byte": ("a,b\n1,2\n3,\0\n", "expected text. Received: a NUL byte in line 3 of 'a.csv'; if the file is in UTF-16"),
    "UTF-16 without its mark": ("a,b\n1,2\n".encode("utf-16-le"), "a NUL byte in line 1 of 'a.csv'; if the file is in UTF-16"),
    "a header of names that are equal": ("a,b,a\n1,2,3\n", "distinct names in the header of 'a.csv'. Received: 'a' for columns 1, 3. Give others by"),
    "a header alone": ("a,b\n", "data.args.path: expected rows. Received: none in 'a.csv'"),
    "an empty file": ("", "expected rows. Received: an empty file, 'a.csv'"),
    "empty lines": ("\n\n", "expected rows. Received: an empty file, 'a.csv'"),
    "text in another encoding": ("a,b\n1,x\n2,M\xfc\n".encode("latin-1"), r"'utf-8', in which b'M\\xfc' in row 2 of a.csv, column 'b', cannot be read; try 'latin-1'"),
    "a header in another encoding": ("M\xfc,b\n1,x\n".encode("latin-1"), "'utf-8', in which the first row of 'a.csv' cannot be read: "),
    "half of a gzip file": (gzip.compress(random.Random(0).randbytes(999))[:500], "cannot read 'a.csv': Truncated compressed stream"),
    "a damaged gzip file": (gzip.compress(b"a,b\n1,2\n")[:12] + b"\xff" * 20, "cannot read 'a.csv': "),
    "a zip file": (b"PK\x03\x04abc", "expected CSV. Received: 'a.csv' is a zip archive"),
    "Parquet": (b"PAR1abc", "expected CSV. Received: 'a.csv' is Parquet; read it with data.source='parquet'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files(case):
    text, message = BAD[case]
    with pytest.raises(InputError, match=message):
        read(text)


def test_an_open_quote_is_no_bad_line():
    for text in ('a,b\n1\n2,3\n4,"5\n6,7\n', 'a,b\n1\n2,3\n"4,5\n6,7\n'):
        with pytest.raises(InputError, match=QUOTE + "row 3 of a.csv"):
            read(text, on_bad_lines="skip")


def test_a_quote_within_a_field_is_a_letter():
    assert columns('a,b\n5" pipe,1\nx "y" z,2\n') == {"a": ['5" pipe', 'x "y" z'], "b": [1, 2]}


def test_faults_behind_the_first_block():
    """What is seen while Arrow reads comes through Arrow as it is."""
    rows = "123456,abcdef\n" * 200_000
    with pytest.raises(InputError, match=r"a NUL byte in line 200002 of 'a.csv'"):
        read("a,b\n" + rows + "1,\0\n")
    with pytest.raises(InputError, match=r"Received: 1 in row 200001 of a.csv, '1'"):
        read("a,b\n" + rows + "1\n" + rows)
    with pytest.raises(InputError, match=QUOTE + "row 200001 of a.csv"):
        read("a,b\n" + rows + '1,"\n' + rows)
    with pytest.raises(InputError, match=r"b'\\xff' in row 200001 of a.csv, column 'b'"):
        read(("a,b\n" + rows).encode() + b"1,\xff\n")
    with pytest.raises(InputError, match=r"'ascii', in which line 200002 of 'a.csv' cannot be read"):
        read(("a,b\n" + rows).encode() + b"1,\xff\n", encoding="ascii")
    noise = "".join(f"{value},x\n" for value in np.random.default_rng(0).random(200_000))
    with pytest.raises(InputError, match=r"cannot read 'a.csv': Truncated compressed stream"):
        read(gzip.compress(("a,b\n" + noise).encode(), 1)[:-1000])


def test_more_text_than_memory(monkeypatch):
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 3_000_000)
    assert len(packed) < 100_000
    monkeypatch.setattr(csv_stream.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2**24}))
    with pytest.raises(
        InputError, match=r"text that fits in memory, 0.01 GiB of it. Received: more in 'a.csv'"
    ):
        read(packed)


def test_long_rows(monkeypatch):
    monkeypatch.setattr(csv_reader, "_BLOCK", 1000)
    monkeypatch.setattr(csv_form, "_SAMPLE", 1000)
    for module in (csv_reader, csv_form, csv_faults):
        monkeypatch.setattr(module, "MOST_ROW", 50_000)
    assert columns("a,b\n1,2\n" + "x" * 20_000 + ",2\n")["a"][1] == "x" * 20_000
    assert columns("a" * 20_000 + ",b\n1,2\n")["b"] == [2]
    with pytest.raises(InputError, match=r"rows of at most 0.0476837 MiB. Received: a longer one in 'a.csv'"):
        read("a,b\n1,2\n" + "x" * 200_000 + ",2\n")
    with pytest.raises(
        InputError, match=r"rows of at most 0.0476837 MiB. Received: a longer first row in 'a.csv'"
    ):
        read("a" * 200_000 + ",b\n1,2\n")
    with pytest.raises(InputError, match=QUOTE + "row 2 of a.csv"):
        read('a,b\n1,2\n3,"' + "x,y\n" * 50_000)


def test_values_that_are_not_of_a_forced_type():
    with pytest.raises(
        InputError,
        match=r"types: expected int64 in column 'b'. Received: 'x' in row 2 of a.csv. If this stands",
    ):
        read("a,b\n1,1\n1,x\n", types=("b:int64",))
    with pytest.raises(
        InputError, match=r"types: expected timestamp.* in column 'b'. Received: 'x' in row 1 of a.csv"
    ):
        read("a,b\n1,x\n", types=("b:timestamp",))
    with pytest.raises(
        InputError, match=r"encoding: .* 'utf-8', in which column 'b' in row 1 of a.csv cannot be read"
    ):
        read(b"a,b\n1,\xff\n", types=("b:string",))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"separator": ",,"}, "data.args.separator: expected one ASCII character or ''. Received: ',,'"),
        ({"separator": "\n"}, "data.args.separator: expected one ASCII character"),
        ({"quote": "é"}, "data.args.quote: expected one ASCII character"),
        ({"decimal": ";"}, "data.args.decimal: expected '.', ',' or ''. Received: ';'"),
        ({"separator": "'", "quote": "'"}, "data.args.quote: expected not the separator"),
        ({"encoding": "utf-9"}, "data.args.encoding: expected the name of an encoding .* Received: 'utf-9'"),
        ({"encoding": "base64"}, "data.args.encoding: expected the name of an encoding"),
        ({"on_bad_lines": "x"}, "data.args.on_bad_lines: expected 'error', 'skip' or 'warn'. Received: 'x'"),
        ({"missing": (1,)}, "data.args.missing: expected strings. Received: 1"),
        ({"column_names": ("x",)}, "data.args.column_names: expected 2 names, one a column of 'a.csv'. Received: 1"),
        ({"column_names": ("x", "x")}, "data.args.column_names: expected distinct names. Received: 'x' for columns 1, 2"),
        ({"types": ("a",)}, "data.args.types: expected 'column:type' with a type of string, int64, float64, timestamp. Rec"),
        ({"types": ("a:bool",)}, "data.args.types: expected 'column:type'"),
        ({"types": ("a:int64", "a:string")}, "data.args.types: expected one type of column 'a'. Received: 'a:string' too"),
        ({"types": ("c:int64",)}, "data.args.types: expected a column of the files. Received: 'c'; 'a.csv' has 'a', 'b'"),
    ],
)  # fmt: skip
def test_bad_arguments(args, message):
    with pytest.raises(InputError, match=message):
        read("a,b\n1,2\n", **args)


def test_arguments_are_checked_by_type():
    assert sources.faults("csv", {"path": "a.csv", "missing": ("x",), "header": True}) == []
    assert sources.faults("csv", {"path": "a.csv", "missing": "x"}) == [
        "data.args.missing: expected tuple. Received: 'x'."
    ]


def test_a_file_that_may_not_be_read():
    write("a\n1\n")
    os.chmod("a.csv", 0)
    if os.access("a.csv", os.R_OK):
        pytest.skip("this user may read all files")
    with pytest.raises(InputError, match=r"cannot read 'a.csv'"):
        csv.load("a.csv")


def test_damaged_files_raise_nothing_else():
    rng = random.Random(0)
    whole = b'a,b,c\n1,"x, y",2.5\n2,"z ""q""\nw",3.5\n03,?,-1e5\n' * 3
    read_well = 0
    for _ in range(150):
        bad = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(bad))
            bad[at : at + rng.randrange(2)] = bytes([rng.choice(b'",\n\r;\0\xff\xef1a ')])
        try:
            read(bytes(bad), on_bad_lines=rng.choice(["error", "skip"]), header=rng.random() < 0.8)
            read_well += 1
        except InputError:
            pass
    assert 10 < read_well < 140
