"""CSV files: what they hold is read, whatever their form."""

import bz2
import codecs
import datetime as dt
import gzip
import logging
import random

import pyarrow as pa
import pytest
from csv_texts import columns, read, write

from tf_logreg.data import load as sources
from tf_logreg.data.sources import csv
from tf_logreg.errors import InputError
from tf_logreg.tables import csv_reader, csv_stream


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
    monkeypatch.setattr(csv_reader, "_BLOCK", block)
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
