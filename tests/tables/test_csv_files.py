"""CSV files: what they hold is read, and what is wrong with one is said with its file, row and column."""

import bz2
import codecs
import datetime as dt
import gzip
import logging
import os
import random

import numpy as np
import pyarrow as pa
import pytest

from tf_logreg.data import load as sources
from tf_logreg.data.sources import csv
from tf_logreg.errors import InputError
from tf_logreg.tables import csv_faults, csv_files, csv_form, csv_stream


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


def write(text, name="a.csv"):
    with open(name, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return name


def read(text, name="a.csv", **args):
    """A table of one file."""
    return csv.load(write(text, name), **args)


def columns(text, **args):
    return read(text, **args).columns.to_pydict()


def types(table):
    return [str(kind) for kind in table.columns.schema.types]


def test_a_file():
    table = read("a,b,c,d\n1,2.5,x,2024-01-31\n3,NaN,?,2024-01-31T10:30:00\n")
    assert types(table) == ["int64", "double", "string", "timestamp[us]"]
    assert table.columns.to_pydict() == {
        "a": [1, 3], "b": [2.5, None], "c": ["x", None], "d": [dt.datetime(2024, 1, 31), dt.datetime(2024, 1, 31, 10, 30)],
    }  # fmt: skip
    assert table.splits == {"train": range(2)}
    assert table.place(1) == "row 2 of a.csv"


VALUES = {
    "1 2": ("int64", [1, 2]),
    "1 2.5": ("double", [1.0, 2.5]),
    "1 ?": ("int64", [1, None]),
    "NA null NULL n/a N/A nan NaN #N/A": ("double", [None] * 8),
    "x NA null": ("string", ["x", None, None]),
    "true False": ("string", ["true", "False"]),
    "yes no": ("string", ["yes", "no"]),
    "01 10": ("string", ["01", "10"]),
    "0 10 100": ("int64", [0, 10, 100]),
    "-01 10": ("int64", [-1, 10]),
    "00.5 1": ("double", [0.5, 1.0]),
    "+1 -1": ("double", [1.0, -1.0]),
    "1e3 .5 5.": ("double", [1000.0, 0.5, 5.0]),
    "inf 1": ("double", [float("inf"), 1.0]),
    "12:30 13:00:01": ("string", ["12:30", "13:00:01"]),
    "2024-01-31 ?": ("timestamp[us]", [dt.datetime(2024, 1, 31), None]),
    "2024-01-31T10:00+02:00": ("timestamp[us]", [dt.datetime(2024, 1, 31, 8)]),
    "2024-01-31T10:00:00.123456789": ("timestamp[us]", [dt.datetime(2024, 1, 31, 10, 0, 0, 123456)]),
    "99999999999999999999 1": ("double", [1e20, 1.0]),
    "1 A": ("string", ["1", "A"]),
    '"1" 2': ("int64", [1, 2]),
    '"" x': ("string", [None, "x"]),
}


@pytest.mark.parametrize("quote_all", [False, True])
@pytest.mark.parametrize("values", VALUES)
def test_values(values, quote_all):
    kind, expected = VALUES[values]
    some = values.split()
    if quote_all:
        some = [f'"{one}"' if one[0] != '"' else one for one in some]
    table = read("a,b\n" + "".join(f"{one},1\n" for one in some))
    assert (types(table)[0], table.columns["a"].to_pylist()) == (kind, expected)


FORMS = {
    "semicolons": "a;b\n1;x\n2;y\n",
    "tabs": "a\tb\n1\tx\n2\ty\n",
    "bars": "a|b\n1|x\n2|y\n",
    "separators within quotes": '"a";b\n1;x\n"2";"y"\n',
    "the mark of UTF-8": "\ufeffa,b\n1,x\n2,y\n",
    "UTF-16": "a,b\n1,x\n2,y\n".encode("utf-16"),
    "UTF-16 BE": codecs.BOM_UTF16_BE + "a,b\n1,x\n2,y\n".encode("utf-16-be"),
    "UTF-32": "a,b\n1,x\n2,y\n".encode("utf-32"),
    "CRLF": "a,b\r\n1,x\r\n2,y\r\n",
    "CR": "a,b\r1,x\r2,y\r",
    "no end of the last line": "a,b\n1,x\n2,y",
    "empty lines": "\n\na,b\n\n1,x\n\n2,y\n\n\n",
    "blanks in the header": "a , b\n1,x\n2,y\n",
    "gzip": gzip.compress(b"a,b\n1,x\n2,y\n"),
    "gzip in two": gzip.compress(b"a,b\n1,x\n") + gzip.compress(b"2,y\n"),
    "zstd": pa.compress(b"a,b\n1,x\n2,y\n", "zstd", asbytes=True),
    "bzip2": bz2.compress(b"a,b\n1,x\n2,y\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form):
    assert columns(FORMS[form]) == {"a": [1, 2], "b": ["x", "y"]}


def test_arguments():
    assert columns("a!b\n'1!2'!3\n", separator="!", quote="'") == {"a": ["1!2"], "b": [3]}
    assert columns('a,b\n"1,2\n', quote="") == {"a": ['"1'], "b": [2]}
    assert columns('a\n1\n"2\n', quote="") == {"a": ["1", '"2']}
    assert columns("1,2\n3,4\n", header=False) == {"column 1": [1, 3], "column 2": [2, 4]}
    assert columns("1,2\n3,4\n", header=False, column_names=("x", "y")) == {"x": [1, 3], "y": [2, 4]}
    assert columns("a,b\n3,4\n", column_names=("x", "y")) == {"x": [3], "y": [4]}
    assert columns("a,b\n-1,none\n2,x\n", missing=("-1", "none")) == {"a": [None, 2], "b": [None, "x"]}
    assert columns("a,b\n1,M\xfc\n".encode("latin-1"), encoding="latin-1") == {"a": [1], "b": ["Mü"]}
    assert columns('a,b\n"3,5","1,25"\n', decimal=",") == {"a": [3.5], "b": [1.25]}
    assert columns("a,b\n1,01\n", types=("a:string", "b:int64")) == {"a": ["1"], "b": [1]}
    assert columns("a:b,c\n1,2024-01-01\n", types=("a:b:float64", "c:string")) == {
        "a:b": [1.0],
        "c": ["2024-01-01"],
    }
    assert types(read("a,b\n,\n,1\n", types=("a:timestamp",))) == ["timestamp[us]", "int64"]


def test_guesses_are_said(said):
    assert columns("a;b\n3,14;1\n2;2\n") == {"a": [3.14, 2.0], "b": [1, 2]}
    assert "'a.csv': read with separator ';', as its first rows suggest" in said.text
    assert "'a.csv': read with decimal ',', as its first rows suggest" in said.text
    said.clear()
    columns("a;b\n3,14;1\n2;2\n", separator=";", decimal=",")
    columns("a,b\n3,14\n")
    assert not said.text


@pytest.mark.parametrize(
    "text", ["a;b\n3,14;1.5\n", "a;b\n1,234;1\n1,200;2\n", "a;b\nx,y;1\n", "a;b\n3,14;1\nx;1\n"]
)
def test_decimal_commas_are_guessed_only_where_nothing_contradicts(text):
    assert isinstance(columns(text)["a"][0], str)


def test_a_header_of_numbers_is_doubted(said):
    columns("1,2\n3,4\n")
    assert (
        "a.csv: the first row, taken as the header, has numbers alone: '1', '2'. If it is data, set"
        in said.text
    )


def test_columns_without_a_name_are_counted(said):
    assert columns(",b, \n1,2,3\n") == {"column 1": [1], "b": [2], "column 3": [3]}
    assert "a.csv: columns without a name are called 'column 1', 'column 3'" in said.text


def test_leading_zeros_make_words(said):
    assert columns("zip,n\n01234,1\n12345,2\n") == {"zip": ["01234", "12345"], "n": [1, 2]}
    assert (
        "leading zeros, '01234' in row 1 of a.csv: they are read as words. data.args.types=('zip:int64',)"
        in said.text
    )
    # Wherever it stands: the first value, behind blanks, and in the last of many blocks.
    assert columns("a\n01\n2\n")["a"] == ["01", "2"]
    assert columns("a, b\n1, 2\n3, 04\n")["b"] == [" 2", " 04"]
    rows = 700_000
    table = read("n,zip\n" + "1,10000\n" * rows + "1,01234\n")
    assert table.columns["zip"][rows].as_py() == "01234"


@pytest.mark.parametrize("piece", [4, 5, 7, 16])
def test_leading_zeros_are_seen_across_pieces(monkeypatch, piece):
    monkeypatch.setattr(csv_stream, "_PIECE", piece)
    monkeypatch.setattr(csv_stream, "_BLOCK", 3 * piece)
    for before in range(40):
        for text, expected in (("1,01,", True), ("1, 02\n", True), ("1.00,0.5", False), ("a 05", False)):
            text = pa.py_buffer(("x" * before + text).encode())
            assert csv_stream.has_leading_zeros(text, ",", "") == expected, (before, text)


def test_lines_are_measured(monkeypatch):
    monkeypatch.setattr(csv_stream, "_BLOCK", 7)
    rng = random.Random(0)
    for _ in range(200):
        text = "".join(rng.choice('abc"' + "\n" * rng.randrange(1, 3)) for _ in range(rng.randrange(1, 60)))
        buffer = pa.py_buffer(text.encode())
        assert csv_stream.count(buffer, '"') == text.count('"')
        longest = max(map(len, text.split("\n")))
        assert longest <= csv_stream.longest_line(buffer) <= longest + 1


def test_words_in_columns_of_numbers(said):
    numbers = "1\n" * 1500
    with pytest.raises(
        InputError, match=r"numbers in column 'x'. Received: 'abc' in row 1501 of a.csv. If this stands"
    ):
        read("x\n" + numbers + "abc\n2\n")
    with pytest.raises(InputError, match=r"times in column 'x'. Received: 'soon' in row 1201 of a.csv"):
        read("x\n" + "2024-01-01\n" * 1200 + "soon\n")
    assert columns("x\n" + numbers + "abc\n", missing=("abc",))["x"][1499:] == [1, None]
    assert columns("x\n" + numbers + "abc\n", types=("x:string",))["x"][1499:] == ["1", "abc"]
    assert not said.text
    # Among the first thousand a word makes words of all, which is worth a warning where it is a rare one.
    assert columns("x\n" + "1\n" * 500 + "abc\n" + numbers)["x"][499:501] == ["1", "abc"]
    assert (
        "'x' is read as words: 1 of its values are not numbers, the first is 'abc' in row 501 of a.csv"
        in said.text
    )
    said.clear()
    assert columns("x\n1\nA\n2\n")["x"] == ["1", "A", "2"]
    assert not said.text


@pytest.mark.parametrize("block", [40, 1000, 10**6])
def test_types_do_not_depend_on_blocks(monkeypatch, block):
    monkeypatch.setattr(csv_files, "_BLOCK", block)
    rng = random.Random(0)
    text = "a,b,c,d\n" + "".join(
        f'{row},{row if row < 900 else 0.5},"x\n{row}",{rng.random()}\n' for row in range(1000)
    )
    table = read(text)
    assert types(table) == ["int64", "double", "string", "double"]
    assert table.columns["c"].to_pylist() == [f"x\n{row}" for row in range(1000)]
    assert table.columns["b"][899:901].to_pylist() == [899, 0.5]
    with pytest.raises(InputError, match=r"Received: 3 in row 1001 of a.csv, '1,2,3'"):
        read(text + "1,2,3\n")


def test_files_share_columns_and_types(said):
    write("b,a\n0.5,7\n", "b.csv")
    write("b,a\n,8\n", "t.csv")
    write("a,b\n1,2\n3,4\n", "1.csv")
    table = csv.load("1.csv,b.csv", test_path="t.csv")
    assert table.columns.to_pydict() == {"a": [1, 3, 7, 8], "b": [2.0, 4.0, 0.5, None]}
    assert table.splits == {"train": range(3), "test": range(3, 4)}
    assert [table.place(row) for row in (1, 2, 3)] == ["row 2 of 1.csv", "row 1 of b.csv", "row 1 of t.csv"]
    write("a,b\n007,1\n9,2\n", "b.csv")
    assert csv.load("1.csv,b.csv").columns.to_pydict() == {"a": ["1", "3", "007", "9"], "b": [2, 4, 1, 2]}
    write("a,b\n5,x\n9,y\n", "b.csv")
    said.clear()
    assert csv.load("1.csv,b.csv").columns.to_pydict() == {"a": [1, 3, 5, 9], "b": ["2", "4", "x", "y"]}
    assert "Column 'b' is read as words: 'b.csv' has words there, '1.csv' has none" in said.text


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("a,b\n1,2\n", "a,c,d\n1,2,3\n", "'2.csv' to have the columns of '1.csv'. Received: it lacks 'b' and it has 'c', 'd' more"),
        ("a\n1\n", "a\n2\nx\n", "expected numbers as in '1.csv' in column 'a'. Received: 'x' in row 2 of 2.csv. If"),
        ("a\n2024-01-01\n", "a\n2024-01-01\nx\n", "expected times as in '1.csv' in column 'a'. Received: 'x' in row 2 of 2.csv"),
        ("a\n1\n", "a\n2024-01-01\n", r"'a' to have one type in all files. Received: int64 in '1.csv' and timestamp\[us\] in '2"),
    ],
)  # fmt: skip
def test_files_that_do_not_go_together(first, second, message):
    with pytest.raises(InputError, match=message):
        csv.load(f"{write(first, '1.csv')},{write(second, '2.csv')}")


def test_folders(folder):
    (folder / "d/year=2024").mkdir(parents=True)
    (folder / "d/year=2025").mkdir()
    write("a\n1\n", "d/year=2024/a.csv")
    write(gzip.compress(b"a\n2\n"), "d/year=2025/b.csv.gz")
    write("a\n3\n", "d/year=2025/c.tsv")
    write("no", "d/year=2025/readme.txt")
    assert csv.load("d").columns.to_pydict() == {"a": [1, 2, 3], "year": [2024, 2025, 2025]}
    names = ["d/year=2024/a.csv", "d/year=2025/b.csv.gz", "d/year=2025/c.tsv"]
    assert sources.files("csv", path="d", separator=",") == {name: name for name in names}


def test_empty_parts_of_a_folder_are_no_fault():
    write("a,b\n", "2.csv")
    read("a,b\n1,x\n", name="1.csv")
    assert csv.load("[12].csv").columns.to_pydict() == {"a": [1], "b": ["x"]}


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
    monkeypatch.setattr(csv_files, "_BLOCK", 1000)
    monkeypatch.setattr(csv_form, "_SAMPLE", 1000)
    for module in (csv_files, csv_form, csv_faults):
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
