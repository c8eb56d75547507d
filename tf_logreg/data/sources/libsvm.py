"""Rows in text files of LIBSVM's form, as they are or gzipped: sparse rows in memory.

Columns are named by their ids as the files have them. So it is the same feature wherever its id occurs,
also in another file whose ids seem to count from another number.
"""

import bisect
import dataclasses
import glob
import gzip
import logging
import zlib
from collections.abc import Iterator

import numpy as np
import psutil

from tf_logreg import machine, names, storage
from tf_logreg.data import labels, libsvm_text, sparse_arrays
from tf_logreg.data.csr import csr_array
from tf_logreg.data.source import Source
from tf_logreg.errors import InputError, brief

log = logging.getLogger(__name__)

_CHUNK = 2**21  # bytes of text that are read at a time


def load(
    path: str,
    validation_path: str = "",
    test_path: str = "",
    zero_based: str | bool = "auto",
    num_features: int = 0,
) -> Source:
    """Reads lines `label id:value id:value ...`; all files share the columns.

    Labels are whole numbers in any form, or else the names of classes. `qid:number` after each label becomes
    the column 'qid', for data.group.

    Args:
        path: a file, several with commas between, or a pattern such as 'part-*.gz'; the split 'train'.
        validation_path, test_path: likewise, the splits 'validation' and 'test'; '' for none.
        zero_based: whether ids count from 0 rather than 1; 'auto' if one of them is 0.
        num_features: number of columns; 0 for as many as the largest id needs.

    Raises:
        InputError: a file that is missing, empty or not in this form, with its line.
    """
    counted = str(zero_based).lower()
    if counted not in ("auto", "true", "false"):
        raise InputError(f"data.args.zero_based: expected 'auto', True or False. Received: {zero_based!r}.")
    if num_features < 0:
        raise InputError(f"data.args.num_features: expected a number >= 0. Received: {num_features}.")
    smallest = 1 if counted == "false" else 0
    known: dict[bytes, int] = {}  # labels as they stand in the files -> their codes
    parts, splits = [], {}
    for split, paths in _paths(path, validation_path, test_path).items():
        read = [_read(one, smallest, known) for one in paths]
        start = sum(len(part.code) for part in parts)
        splits[split] = range(start, start + sum(len(part.code) for part in read))
        parts += read
    has_zero = any(part.ids.min(initial=1) == 0 for part in parts)
    first_id = 0 if counted == "true" or has_zero else 1
    num_features = _columns(parts, first_id, num_features)
    starts = np.cumsum([0, *(len(part.code) for part in parts)])

    def place(row: int) -> str:
        at = bisect.bisect(starts, row) - 1
        return f"line {parts[at].line[row - starts[at]]} of {parts[at].path}"

    y, class_names = _classes(np.concatenate([part.code for part in parts]), tuple(known), place)
    qid = _qid(parts, place)
    x = _rows(parts, first_id, num_features)
    _say_unseen(x, splits)
    return sparse_arrays.from_sparse(
        x,
        y,
        class_names=class_names,
        feature_names=tuple(map(str, range(first_id, first_id + num_features))),
        splits=splits,
        place=place,
        extras={} if qid is None else {"qid": qid},
    )


def files(path: str, validation_path: str = "", test_path: str = "", **_) -> dict[str, str]:
    """All files that `load` reads; other arguments change none of them."""
    return {one: one for some in _paths(path, validation_path, test_path).values() for one in some}


@dataclasses.dataclass
class _Part:
    """A file's rows: line [n] and qid [n] int64, code [n] int32 of its label, indptr [n + 1], ids, values."""

    path: str
    line: np.ndarray
    code: np.ndarray
    qid: np.ndarray
    indptr: np.ndarray
    ids: np.ndarray | None
    values: np.ndarray | None


def _paths(path: str, validation_path: str, test_path: str) -> dict[str, list[str]]:
    """The files of each split; InputError where one has none."""
    asked = {"train": path, "validation": validation_path, "test": test_path}
    found = {}
    for split, text in asked.items():
        field = "data.args.path" if split == "train" else f"data.args.{split}_path"
        if not text:
            continue
        found[split] = []
        for one in [text] if storage.exists(text) else text.split(","):
            local = storage.path_or_address(one.strip(), field)
            is_pattern = not storage.exists(local) and glob.has_magic(local)
            some = storage.matching(local) if is_pattern else [local]
            if not some or not storage.exists(some[0]):
                what = "no file has a name of this pattern" if is_pattern else "no such file"
                raise InputError(f"{field}: {what}. Received: {one!r}.")
            found[split] += some
    if "train" not in found:
        raise InputError(f"data.args.path: expected a file. Received: {path!r}.")
    every = [one for some in found.values() for one in some]
    twice = {one for one in every if every.count(one) > 1}
    if twice:
        raise InputError(
            f"data.args: expected each file once. Received: {names.describe(tuple(twice))} twice."
        )
    return found


def _read(path: str, smallest_id: int, known: dict[bytes, int]) -> _Part:
    """The rows of a file; new labels get the next code in `known`."""
    chunks, codes = [], []
    try:
        for chunk in machine.in_parallel(lambda lines: libsvm_text.read(*lines, smallest_id), _chunks(path)):
            codes.append(np.array([known.setdefault(one, len(known)) for one in chunk.label], np.int32))
            chunks.append(dataclasses.replace(chunk, label=[]))
    except libsvm_text.FormError as fault:
        raise InputError(f"data.args.path: {fault} in line {fault.line} of {path!r}.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"data.args.path: cannot read {path!r}: {brief(error)}.") from None
    if not sum(map(len, codes)):
        raise InputError(f"data.args.path: expected lines of label id:value. Received: none in {path!r}.")

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(chunk, name) for chunk in chunks])

    indptr = np.concatenate([[0], np.cumsum(joined("count"))])
    return _Part(
        path, joined("line"), np.concatenate(codes), joined("qid"), indptr, joined("ids"), joined("values")
    )


def _chunks(path: str) -> Iterator[tuple[bytes, int]]:
    """Whole lines of a file and the number of the first of them, again and again."""
    with open(storage.on_disk(path, "data.args.path"), "rb") as raw:
        is_gzip = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if is_gzip else raw
        rest, line = [], 1
        text = file.read(_CHUNK).removeprefix(b"\xef\xbb\xbf")  # the mark of UTF-8 that some editors write
        while text:
            whole, end, begun = text.rpartition(b"\n")
            if end:
                lines = b"".join([*rest, whole, end])
                yield lines, line
                line += lines.count(b"\n")
                rest = []
            rest.append(begun)
            text = file.read(_CHUNK)
        yield b"".join(rest), line


def _columns(parts: list[_Part], first_id: int, asked: int) -> int:
    """The number of columns; InputError where an id is beyond those asked for, or beyond the memory."""
    largest, part = max(((part.ids.max(initial=-1), part) for part in parts), key=lambda one: one[0])
    if largest < 0:
        raise InputError(f"data.args.path: expected some id:value. Received: labels alone in {part.path!r}.")
    needed = int(largest) - first_id + 1
    row = np.searchsorted(part.indptr, part.ids.argmax(), side="right") - 1
    place = f"{largest} in line {part.line[row]} of {part.path!r}"
    if asked and needed > asked:
        raise InputError(
            f"data.args.num_features: expected ids from {first_id} to {first_id + asked - 1}. "
            f"Received: {place}."
        )
    columns = asked or needed
    free = psutil.virtual_memory().available
    if columns * sparse_arrays.COLUMN_BYTES > free:
        raise InputError(
            f"data.args.path: expected ids of columns that fit in memory, {free / 2**30:.1f} GiB. Received: "
            f"{columns} columns; the largest id is {place}. Number the ids again from 1 up."
        )
    return columns


def _rows(parts: list[_Part], first_id: int, columns: int) -> csr_array:
    """All rows as one matrix [n, p]; takes ids and values out of `parts`."""
    count = np.concatenate([np.diff(part.indptr) for part in parts])
    ids = parts[0].ids if len(parts) == 1 else np.concatenate([part.ids for part in parts])
    values = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts])
    for part in parts:
        part.ids = part.values = None
    ids -= np.int32(first_id)
    x = csr_array((values, ids, np.concatenate([[0], np.cumsum(count)])), (len(count), columns), copy=False)
    x.has_canonical_format = True  # the lines were read so
    return x


def _classes(code: np.ndarray, texts: tuple[bytes, ...], place) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class indices [n] and names: whole numbers where all labels are numbers, else the labels as text."""

    def refuse(which: int, expected: str) -> None:
        label, row = libsvm_text.shown(texts[which]), int((code == which).argmax())
        raise InputError(f"data.args.path: expected {expected}. Received: label {label} in {place(row)}.")

    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        words = [names.text(text) for text in texts]
        if None in words:
            refuse(words.index(None), "labels in UTF-8")
        return labels.encode(np.array(words)[code])
    for which, number in enumerate(numbers):
        if not number.is_integer() or abs(number) > 2**53:
            refuse(which, "classes as labels, whole numbers up to 2^53 or words")
    return labels.encode(np.array(numbers)[code])


def _qid(parts: list[_Part], place) -> np.ndarray | None:
    """The number of each row's group [n], or None; InputError where only some rows have one."""
    qid = np.concatenate([part.qid for part in parts])
    if (qid < 0).all():
        return None
    if (qid < 0).any():
        row = int((qid < 0).argmax())
        raise InputError(
            f"data.args.path: expected qid: in each row or in none. Received: none in {place(row)}."
        )
    return qid


def _say_unseen(x: csr_array, splits: dict[str, range]) -> None:
    """Says how many columns occur in another split only: no coefficient is learnt for them."""

    def occurring(rows: range) -> np.ndarray:
        return np.bincount(x.indices[x.indptr[rows.start] : x.indptr[rows.stop]], minlength=x.shape[1])

    seen = occurring(splits["train"]) > 0
    for split in set(splits) - {"train"}:
        count = occurring(splits[split])
        unseen = (count > 0) & ~seen
        if unseen.any():
            log.warning(
                "Split %r: %d ids, with %d of its %d values, never occur in 'train'.",
                split, unseen.sum(), count[unseen].sum(), count.sum(),
            )  # fmt: skip
