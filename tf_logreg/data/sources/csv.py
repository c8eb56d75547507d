"""CSV files: a table of named columns in memory."""

from tf_logreg.tables import csv_files, paths
from tf_logreg.tables.csv_form import Form
from tf_logreg.tables.table import Table


def load(
    path: str,
    validation_path: str = "",
    test_path: str = "",
    separator: str = "",
    quote: str = '"',
    decimal: str = "",
    header: bool = True,
    column_names: tuple = (),
    missing: tuple = (),
    encoding: str = "utf-8",
    on_bad_lines: str = "error",
    types: tuple = (),
) -> Table:
    """Reads files with a row of named columns a line; all files share the columns, in any order.

    A column of numbers has numbers in all rows, or else the first that is none is reported. Words keep their
    spelling, and so do whole numbers with leading zeros. Dates and times are read in the form of ISO 8601.

    Args:
        path: a file, several with commas between, a pattern such as 'part-*.csv', or a folder, of which all
            .csv and .tsv are read, also in folders within; a folder 'year=2024' there makes a column 'year'.
            Files may be packed by gzip, zstd or bzip2. This is the split 'train'.
        validation_path, test_path: likewise, the splits 'validation' and 'test'; '' for none.
        separator: of values; '' to guess one of comma, semicolon, tab and |.
        quote: around values with separators, quotes (doubled) or ends of lines in them; '' for none.
        decimal: '.' or ','; '' for '.', or ',' where the first rows have numbers such as 3,14 and commas do
            not separate.
        header: whether the first row has the names. Those without are 'column 1', 'column 2'.
        column_names: names in place of the header's.
        missing: words that stand for a missing value, beside '', NA, N/A, n/a, NaN, nan, NULL, null, #N/A, ?.
        encoding: of the text; UTF-8 and UTF-16 with a byte order mark are recognised.
        on_bad_lines: 'error' at a row of another number of values, or 'skip' or 'warn': it is left out.
        types: 'column:type' for columns whose type is not to be guessed, with string, int64, float64 or
            timestamp.

    Raises:
        InputError: files that are missing, empty, damaged or not of this form, with row and column.
    """
    form = Form(
        separator, quote, decimal, header, column_names, missing, encoding, on_bad_lines, types,
    )  # fmt: skip
    return csv_files.read(path, validation_path, test_path, form)


def files(path: str, validation_path: str = "", test_path: str = "", **_) -> dict[str, str]:
    """All files that `load` reads; other arguments change none of them."""
    splits = paths.files_of_splits(path, validation_path, test_path, csv_files.ENDINGS)
    return {file.path: file.path for some in splits.values() for file in some}
