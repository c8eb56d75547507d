"""CSV files block by block, with the types of whole columns.

A block cannot tell the type of its column: the last one may hold the only word among numbers. So files are
looked through for the types first, and read then; both in pieces of some megabytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tf_logreg.errors import InputError
from tf_logreg.tables import blocks, csv_types, joining
from tf_logreg.tables.blocks import Blocks
from tf_logreg.tables.csv_files import ENDINGS, check_forced, say_skipped
from tf_logreg.tables.csv_form import Form, Layout, layout, say_guesses
from tf_logreg.tables.csv_pieces import pieces
from tf_logreg.tables.csv_reader import Reader
from tf_logreg.tables.joining import Part
from tf_logreg.tables.paths import File, files_of_splits
from tf_logreg.tables.table import plain_type, require_arrow

if TYPE_CHECKING:
    import pyarrow as pa


def read(path: str, form: Form, columns: Mapping[str, str]) -> Blocks:
    """Rows of files.

    Args:
        path, form: as of the source `csv`.
        columns: those that are read -> 'words', as the file spells them; 'numbers' or 'dates', among which a
            word is an error; or '' for what the file suggests.

    Raises:
        InputError: with file, row and column where there is one; also while blocks are read.
    """
    import pyarrow as pa

    require_arrow("--input")
    files = files_of_splits(path, "", "", ENDINGS)["train"]
    layouts = [layout(file.path, form) for file in files]
    say_guesses(layouts, form)
    check_forced(form, layouts)
    looked = [_look(file, one, form, columns) for file, one in zip(files, layouts, strict=True)]
    parts = [Part(one.file, one.schema.empty_table()) for one in looked]
    by_path = {one.file.path: one for one in looked}

    def read_part(part: Part, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        own = by_path[part.file.path]
        return own.tables({name: kind for name, kind in types.items() if name in own.layout.names})

    def settle(parts: list[Part], mixed: joining.MixedTypesError) -> pa.DataType:
        if pa.string() not in mixed.kinds:
            joining.refuse_mixed(parts, mixed)
        return pa.string()

    return blocks.of_parts(parts, columns, read_part, is_known=lambda part, name: True, settle=settle)


@dataclasses.dataclass(frozen=True)
class _Looked:
    """A file whose columns are known.

    types: as Arrow reads each column of the file; null for those without a value, and those not looked at.
    """

    file: File
    layout: Layout
    form: Form
    types: dict[str, pa.DataType]

    @property
    def schema(self) -> pa.Schema:
        """The plain types."""
        import pyarrow as pa

        types = self.types.items()
        return pa.schema([(name, kind if kind == pa.null() else plain_type(kind)) for name, kind in types])

    def tables(self, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        """The rows bit by bit, with these columns, which are words where their common type says so."""
        import pyarrow as pa

        own = {name: kind if kind == pa.string() else self.types[name] for name, kind in types.items()}
        skipped: list[int] = []
        for reader in _readers(self.file, self.layout, self.form):
            yield reader.table(own, list(own) or list(self.layout.names[:1]))
            skipped += (one.number for one in reader.bad)
        say_skipped([Part(self.file, self.schema.empty_table(), skipped)], self.form)


def _readers(file: File, layout: Layout, form: Form) -> Iterator[Reader]:
    """A reader for each piece of a file, whose rows must be read before the next one is asked for."""
    before = 0
    for piece in pieces(layout, form):
        reader = Reader(file, layout, form, piece, before)
        yield reader
        before += reader.count


def _look(file: File, layout: Layout, form: Form, columns: Mapping[str, str]) -> _Looked:
    """Finds the types of a file's columns, all rows considered."""
    import pyarrow as pa

    types = dict.fromkeys(layout.names, pa.null())
    asked = [name for name in layout.names if name in columns]
    types |= {name: pa.string() for name in asked if columns[name] == "words"}
    types |= {name: kind for name, kind in Reader(file, layout, form).forced.items() if name in asked}
    free = [name for name in asked if types[name] == pa.null()]
    if not free:
        return _Looked(file, layout, form, types)
    zeros, far = set(), set()
    for reader in _readers(file, layout, form):
        table = reader.table({}, free)
        reader.refuse_bytes(table)
        for name in free:
            types[name] = csv_types.joined(types[name], table.column(name).type)
        zeros |= _with_leading_zeros(reader, table)
        far |= {name for name in free if csv_types.is_far(table.column(name))}
    for name in free:
        kind = types[name]
        is_code = kind == pa.int64() and name in zeros and not columns[name]
        is_odd = pa.types.is_timestamp(kind) and kind.unit == "ns" and name in far
        if is_code or is_odd or pa.types.is_time(kind):
            types[name] = pa.string()
        if types[name] == pa.string() and columns[name]:
            _refuse_word(file, layout, form, name, columns[name])
    return _Looked(file, layout, form, types)


def _with_leading_zeros(reader: Reader, table: pa.Table) -> set[str]:
    """Columns with whole numbers with leading zeros, which are codes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = [name for name in table.column_names if table.column(name).type == pa.int64()]
    if not whole or not reader.has_leading_zeros():
        return set()
    words = reader.table({name: pa.string() for name in whole}, whole)
    return {name for name in whole if pc.any(csv_types.leading_zeros(words.column(name))).as_py()}


def _refuse_word(file: File, layout: Layout, form: Form, name: str, what: str) -> None:
    """InputError at the first value that is no number, or no date; where there is one."""
    for reader in _readers(file, layout, form):
        words = reader.words(name)
        row = csv_types.first_other(words, what, layout.decimal)
        if row >= 0:
            place = Part(file, words, before=reader.before).place(row)
            raise InputError(
                f"data: expected {what} in column {name!r}, as in training. Received: "
                f"{words[row].as_py()[:50]!r} in {place}."
            )
