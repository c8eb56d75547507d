"""Texts as CSV files in the current folder, and what is read from them."""

from tf_logreg.data.sources import csv


def write(text, name="a.csv"):
    with open(name, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return name


def read(text, name="a.csv", **args):
    """A table of one file."""
    return csv.load(write(text, name), **args)


def columns(text, **args):
    return read(text, **args).columns.to_pydict()
