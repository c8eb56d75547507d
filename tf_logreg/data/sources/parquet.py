"""Parquet files: a table of named columns in memory."""

from tf_logreg.tables import parquet_files, paths
from tf_logreg.tables.table import Table


def load(path: str, validation_path: str = "", test_path: str = "") -> Table:
    """Reads files of named columns; all share the columns, in any order.

    Args:
        path: a file, several with commas between, a pattern such as 'part-*.parquet', or a folder, of which
            all .parquet and .pq are read, also in folders within; a folder 'year=2024' there makes a column
            'year'. This is the split 'train'.
        validation_path, test_path: likewise, the splits 'validation' and 'test'; '' for none.

    Raises:
        InputError: files that are missing, empty or damaged, or have other columns or types than the first.
    """
    return parquet_files.read(path, validation_path, test_path)


def files(path: str, validation_path: str = "", test_path: str = "") -> dict[str, str]:
    """All files that `load` reads."""
    splits = paths.files_of_splits(path, validation_path, test_path, parquet_files.ENDINGS)
    return {file.path: file.path for some in splits.values() for file in some}
