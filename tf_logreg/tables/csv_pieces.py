"""The text of a CSV file in pieces of whole rows, in memory that does not grow with the file."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tf_logreg.tables import csv_faults
from tf_logreg.tables.csv_form import MOST_ROW, Form, Layout
from tf_logreg.tables.csv_stream import Stream

SIZE = 2**24  # bytes of a piece, about
_READ = 2**20


def pieces(layout: Layout, form: Form) -> Iterator[bytes]:
    """The rows of a file behind its header, as text in UTF-8; each piece ends where a row ends.

    Raises:
        InputError: as of `csv_stream.Stream`; a quote that is never closed, or a row that is too long.
    """
    stream = Stream(layout.path, form.encoding, layout.skip, must_fit=False)
    try:
        held, length, most = [], 0, SIZE
        while data := stream.read(_READ):
            held.append(data)
            length += len(data)
            if length < most:
                continue
            text = b"".join(held)
            end = end_of_rows(text, layout.quote, layout.separator)
            if end:
                yield text[:end]
                text, most = text[end:], SIZE
            elif length >= MOST_ROW:
                raise csv_faults.explained("straddling", layout.path, layout, form, [])
            else:
                most = 2 * length
            held, length = [text], len(text)
    finally:
        stream.close()
    text = b"".join(held)
    if text and end_of_rows(text + b"\n", layout.quote, layout.separator) != len(text) + 1:
        raise csv_faults.open_quote(layout.path, layout, form)
    yield text


def end_of_rows(text: bytes, quote: str, separator: str) -> int:
    """Number of bytes up to the last end of a row; 0 where no row ends.

    A quote opens at the beginning of a field, elsewhere it is a letter. Lines may end within quotes.

    Args:
        text: begins where a row begins.
        quote: '' for none.
    """
    codes = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero((codes == ord("\n")) | (codes == ord("\r")))
    if quote and len(ends) and quote.encode() in text:
        ends = ends[~_is_quoted(text, codes, ends, quote, separator)]
    return int(ends[-1]) + 1 if len(ends) else 0


def _is_quoted(text: bytes, codes: np.ndarray, places: np.ndarray, quote: str, separator: str) -> np.ndarray:
    """Which places of a text are within quotes: bool [k].

    Args:
        text, codes: the text twice, as bytes and as uint8 [bytes].
        places: [k] ascending.
    """
    quotes = np.flatnonzero(codes == ord(quote))
    opening = quotes[::2]
    before = codes[opening[opening > 0] - 1]
    # Quotes take turns in opening and closing, where each that opens stands at the beginning of a field, or
    # behind one that closed, with which it is a doubled quote.
    if np.isin(before, list((separator + quote + "\r\n").encode())).all():
        return np.searchsorted(quotes, places) % 2 == 1
    # Somewhere a quote is a letter.
    q, s = re.escape(quote.encode()), re.escape(separator.encode())
    field = re.compile(b"(?:^|(?<=[%s\r\n]))%s[^%s]*(?:%s%s[^%s]*)*(?:%s|\\Z)" % (s, q, q, q, q, q, q))
    spans = np.array([(0, 0), *(match.span() for match in field.finditer(text))])
    last = np.searchsorted(spans[:, 0], places, side="right") - 1  # that begins before a place
    return places < spans[last, 1]
