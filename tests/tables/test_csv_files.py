"""CSV files: what they hold is read, and what is wrong with one is said with its file, row and column."""

import logging

import pytest

from tf_logreg.data.sources import csv
from tf_logreg.errors import InputError


@pytest.fixture
def read(tmp_path, monkeypatch):
    """read(text, name, **args) -> Table: writes a file and reads it; paths in messages are names."""
    monkeypatch.chdir(tmp_path)

    def write_and_read(text, name="a.csv", **args):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return csv.load(name, **args)

    return write_and_read


def columns(table):
    return table.columns.to_pydict()


def types(table):
    return [str(kind) for kind in table.columns.schema.types]


def test_a_file(read):
    table = read("a,b,c,d\n1,2.5,x,2024-01-31\n3,NaN,?,2024-01-31T10:30:00\n")
    assert types(table) == ["int64", "double", "string", "timestamp[us]"]
    assert columns(table)["a"] == [1, 3]
    assert columns(table)["b"] == [2.5, None]
    assert columns(table)["c"] == ["x", None]
    assert table.splits == {"train": range(2)}
    assert table.place(1) == "row 2 of a.csv"


def test_a_word_in_a_column_of_numbers_is_reported_with_its_row(read):
    with pytest.raises(InputError, match=r"numbers in column 'x'. Received: 'abc' in row 1501 of a.csv"):
        read("x\n" + "1\n" * 1500 + "abc\n2\n")


def test_a_quote_that_is_never_closed(read):
    with pytest.raises(InputError, match=r'each quote " to be closed. Received: one in row 2 of a.csv'):
        read('a,b\n1,2\n3,"4\n5,6\n')


def test_leading_zeros_make_words(read, caplog):
    with caplog.at_level(logging.INFO):
        table = read("zip,n\n01234,1\n12345,2\n")
    assert columns(table) == {"zip": ["01234", "12345"], "n": [1, 2]}
    assert "leading zeros, '01234' in row 1 of a.csv" in caplog.text
