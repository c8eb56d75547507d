"""The LIBSVM form of rows as text -> their labels, ids and values, a chunk of lines at a time.

A line is `label id:value id:value ... # comment`, with `qid:number` after the label where rows come in
groups. Ids may come in any order. Blank lines and lines of comments hold no row.
"""

import dataclasses
import re

import numpy as np

from tf_logreg.data import decimals

LARGEST_ID = 2**31 - 1
_LONGEST_LABEL = 255
_COLON, _HASH, _TAB, _NEWLINE, _SPACE = b":#\t\n "


@dataclasses.dataclass(frozen=True)
class Lines:
    """Rows of a text.

    Attributes:
        line: [n] int64, the line of each row in its file, counted from 1.
        label: n texts as they stand there.
        qid: [n] int64, -1 for rows without one.
        count: [n] int64, how many ids each row has.
        ids: [m] int32, as they stand there, ascending within a row.
        values: [m] float32 where it holds them exactly, else float64.
    """

    line: np.ndarray
    label: list[bytes]
    qid: np.ndarray
    count: np.ndarray
    ids: np.ndarray
    values: np.ndarray


class FormError(Exception):
    """A line that is not in this form: its number, and what is wrong with it."""

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line


def read(text: bytes, first_line: int, smallest_id: int = 0, largest_id: int = LARGEST_ID) -> Lines:
    """Reads whole lines.

    Args:
        text: the lines, the last one with or without its end.
        first_line: number of the first.
        smallest_id, largest_id: ids that are taken.

    Raises:
        FormError: at the first line found that is not in this form.
    """
    text = _without_comments(decimals.padded(text))
    start, stop, line = _words(text)
    first = np.flatnonzero(np.diff(line, prepend=-1))  # the word of each row's label
    line = line + first_line
    lines = line[first]
    label = _labels(text, start[first], stop[first], lines)
    is_pair = np.ones(len(start), bool)
    is_pair[first] = False
    start, stop, line = start[is_pair], stop[is_pair], line[is_pair]
    colon = np.flatnonzero(text == _COLON)
    if len(colon) != len(start) or not ((colon > start) & (colon < stop - 1)).all():
        _refuse_pairs(text, start, stop, line)
    row = np.cumsum(~is_pair)[is_pair] - 1
    qid, grouped = _qids(text, start, stop, row, line, len(lines))
    ids = _ids(text, start, colon, stop, line, grouped, (smallest_id, largest_id))
    values = _values(text, start, colon, stop, line)
    if grouped.size:
        ids, values, row, line = (np.delete(some, grouped) for some in (ids, values, row, line))
    ids, values = _ascending(ids, values, row, line)
    return Lines(lines, label, qid, np.bincount(row, minlength=len(lines)), ids, values)


def _without_comments(text: np.ndarray) -> np.ndarray:
    """The text with spaces from each # to the end of its line."""
    if not (text == _HASH).any():
        return text
    blank = re.sub(rb"#[^\n]*", lambda found: b" " * len(found[0]), text.tobytes())
    return np.frombuffer(blank, np.uint8)


def _words(text: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where words begin and end, and how many ends of lines stand before each."""
    # What is not a space, a tab or the end of a line; others below are words, and refused.
    is_word = (text > _SPACE) | (text < _TAB)
    edge = np.flatnonzero(is_word[1:] != is_word[:-1]) + 1
    if len(edge) % 2:
        edge = np.append(edge, len(text))
    start, stop = edge[0::2], edge[1::2]
    return start, stop, np.searchsorted(np.flatnonzero(text == _NEWLINE), start)


def _labels(text: np.ndarray, start: np.ndarray, stop: np.ndarray, line: np.ndarray) -> list[bytes]:
    """The first word of each row; FormError where that is no label."""
    whole = text.tobytes()
    label = [whole[i:j] for i, j in zip(start.tolist(), stop.tolist(), strict=True)]
    for one in set(label):
        if b":" in one or b"," in one or len(one) > _LONGEST_LABEL:
            what = "no label" if b":" in one else "several labels" if b"," in one else "a label"
            raise FormError(
                int(line[label.index(one)]),
                f"expected a label, then id:value. Received: {what}, {shown(one)}",
            )
    return label


def _refuse_pairs(text: np.ndarray, start: np.ndarray, stop: np.ndarray, line: np.ndarray) -> None:
    """FormError at the first word that is not two words with a colon between."""
    whole = text.tobytes()
    for i, j, where in zip(start.tolist(), stop.tolist(), line.tolist(), strict=True):
        name, _, value = whole[i:j].partition(b":")
        if not name or not value or b":" in value:
            raise FormError(where, f"expected id:value. Received: {shown(whole[i:j])}")


def _qids(text, start, stop, row, line, num_rows) -> tuple[np.ndarray, np.ndarray]:
    """The number of each row's group, [n], -1 for none; and which words say it."""
    qid = np.full(num_rows, -1)
    grouped = np.flatnonzero(text[start] == ord("q"))
    for at in grouped.tolist():
        word = text[start[at] : stop[at]].tobytes()
        is_second = at == 0 or row[at - 1] != row[at]
        if not (is_second and re.fullmatch(rb"qid:\d{1,18}", word)):
            raise FormError(
                int(line[at]), f"expected qid:number after the label, or id:value. Received: {shown(word)}"
            )
        qid[row[at]] = int(word[4:])
    return qid, grouped


def _ids(text, start, colon, stop, line, skipped, between) -> np.ndarray:
    """The ids, int32; FormError at the first that is none, or not within `between`."""
    ids, good = decimals.whole(text, start, colon)
    good &= (ids >= between[0]) & (ids <= between[1])
    good[skipped] = True
    if not good.all():
        at = int(good.argmin())
        word = text[start[at] : stop[at]].tobytes()
        raise FormError(
            int(line[at]),
            f"expected id:value, id a whole number from {between[0]} to {between[1]}. "
            f"Received: {shown(word)}",
        )
    return ids.astype(np.int32)


def _values(text, start, colon, stop, line) -> np.ndarray:
    """The values, float32 or float64; FormError at the first that is not a finite number."""
    if (stop - colon == 2).all():  # 0 to 9, as indicators and small counts are
        values = text[colon + 1] - ord("0")
        if (values <= 9).all():
            return values.astype(np.float32)
    values, good = decimals.real(text, colon + 1, stop)
    for at in np.flatnonzero(~good).tolist():
        word = text[colon[at] + 1 : stop[at]].tobytes()
        try:
            values[at] = float(word) if b"_" not in word else np.nan
        except ValueError:
            values[at] = np.nan
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        at = bad[0]
        word = text[start[at] : stop[at]].tobytes()
        raise FormError(int(line[at]), f"expected id:value, value a finite number. Received: {shown(word)}")
    with np.errstate(over="ignore", under="ignore"):
        single = values.astype(np.float32)
    return single if (single == values).all() else values


def _ascending(ids, values, row, line) -> tuple[np.ndarray, np.ndarray]:
    """Ids and values with ids ascending within a row; FormError where a row has an id twice."""
    if len(ids) < 2:
        return ids, values
    same_row = row[1:] == row[:-1]
    if (same_row & (ids[1:] < ids[:-1])).any():
        order = np.lexsort((ids, row))
        ids, values = ids[order], values[order]
    twice = np.flatnonzero(same_row & (ids[1:] == ids[:-1]))
    if twice.size:
        at = twice[0]
        raise FormError(int(line[at]), f"expected each id once. Received: {ids[at]} twice")
    return ids, values


def shown(word: bytes) -> str:
    """A word for a message, its beginning where it is long."""
    text = repr(word[:40].decode("utf-8", "backslashreplace"))
    return text + "..." * (len(word) > 40)
