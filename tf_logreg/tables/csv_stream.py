"""The bytes of a CSV file as Arrow reads them: unpacked, in UTF-8, without the header, and checked.

What Arrow's reader would let pass is seen here: NUL bytes, more text than fits in memory, whole numbers with
leading zeros. Arrow gets the whole text in memory rather than a stream of Python's. After an error its
threads go on to read such a stream for a while, and the interpreter hangs if it ends meanwhile.
"""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import psutil

from tf_logreg import machine, storage
from tf_logreg.errors import InputError, brief

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY_SHARE = 0.5  # of the available memory that the text of a file may take: a table of it comes beside
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_OTHERS = {
    b"PAR1": "Parquet; read it with data.source='parquet'",
    b"PK\x03\x04": "a zip archive, as spreadsheets are too; unpack it, or save the sheet as CSV",
    b"\xfd7zXZ\x00": "packed by xz; unpack it",
}
# UTF-32 first: the mark of UTF-16 is the beginning of its mark.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BLOCK = 2**20
_PIECE = 2**16  # bytes that stay in a core's cache while they are looked at


def whole(path: str, encoding: str, skip: int, tail: bytes) -> pa.Buffer:
    """The text of a file, from byte `skip` of its UTF-8 on, and `tail` behind it.

    Raises:
        InputError: as `Stream.read`.
    """
    import pyarrow as pa

    stream = Stream(path, encoding, skip)
    try:
        text = pa.BufferOutputStream()
        while data := stream.read(_BLOCK):
            text.write(data)
        text.write(tail)
        return text.getvalue()
    finally:
        stream.close()


def longest_line(text: pa.Buffer) -> int:
    """Number of bytes of the longest line."""
    longest, begun = 0, 0
    for start, ends in zip(*_blocks_and(_line_ends, text), strict=True):
        if len(ends):
            longest = max(longest, start + int(ends[0]) - begun, int(np.diff(ends).max(initial=0)))
            begun = start + int(ends[-1])
    return max(longest, text.size - begun)


def count(text: pa.Buffer, letter: str) -> int:
    """How often an ASCII letter is there."""
    return sum(_blocks_and(lambda codes: np.count_nonzero(codes == ord(letter)), text)[1])


def _blocks_and(function, text: pa.Buffer) -> tuple[Iterable[int], Iterable]:
    """Where blocks of a text begin, and function(block) of each."""
    codes = np.frombuffer(text, np.uint8)
    starts = range(0, len(codes), _BLOCK)
    return starts, machine.in_parallel(function, (codes[start : start + _BLOCK] for start in starts))


def _line_ends(codes: np.ndarray) -> np.ndarray:
    return np.flatnonzero((codes == ord("\n")) | (codes == ord("\r")))


def has_leading_zeros(text: pa.Buffer, separator: str, quote: str) -> bool:
    """Whether some value may begin with 0 and another digit; blanks may stand before it."""
    codes = np.frombuffer(text, np.uint8)
    starts = np.zeros(256, bool)
    starts[list((separator + quote + "\r\n").encode())] = True
    # The text begins with a value; so it is looked at as if there was a line before.
    blocks = (codes[max(start - 3, 0) : start + _BLOCK] for start in range(0, len(codes), _BLOCK))
    first = np.concatenate([np.frombuffer(b"\n", np.uint8), codes[:2]])
    return _begins_with_zero(first, starts) or any(
        machine.in_parallel(lambda block: _begins_with_zero(block, starts), blocks)
    )


def _begins_with_zero(codes: np.ndarray, starts: np.ndarray) -> bool:
    """Whether 0 and a digit follow what a value begins after, or a blank behind that.

    Args:
        codes: [bytes] uint8. starts: [256] bool, the bytes that a value begins after.
    """
    zero, blank = ord("0"), ord(" ")
    for start in range(0, len(codes), _PIECE):
        piece = codes[max(start - 3, 0) : start + _PIECE]
        at = np.flatnonzero((piece[:-1] == zero) & (piece[1:] - np.uint8(zero) < 10))
        at = at[at > 0]
        before = piece[at - 1]
        if starts[before].any():
            return True
        at = at[(before == blank) & (at > 1)]
        if starts[piece[at - 2]].any():
            return True
    return False


@dataclasses.dataclass
class Stream:
    """The text of a file in UTF-8, bit by bit: `read(size)` gives at most so many bytes, b'' at the end.

    path, encoding: of the file; a mark at its beginning counts more than `encoding`.
    skip: number of bytes, the header's, that are left out at the beginning.
    must_fit: whether more text than fits in memory is an error.
    """

    path: str
    encoding: str = "utf-8"
    skip: int = 0
    must_fit: bool = True

    def __post_init__(self):
        """Opens the file and leaves out what is to be skipped."""
        try:
            self._raw = _open(self.path)
            head = self._raw.read(_BLOCK)
        except OSError as error:
            raise _unreadable(self.path, error) from None
        marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
        self.used_encoding = marked or self.encoding
        self._decoder = None
        if self.used_encoding == "utf-8-sig":
            head = head[len(codecs.BOM_UTF8) :]
        elif codecs.lookup(self.used_encoding).name != "utf-8":
            self._decoder = codecs.getincrementaldecoder(self.used_encoding)()
        self._head, self._ready, self._at_end = head, b"", False
        self._bytes, self._lines = 0, 1
        self._limit = psutil.virtual_memory().available * MEMORY_SHARE
        left = self.skip
        while left and (data := self.read(min(left, _BLOCK))):
            left -= len(data)

    def close(self) -> None:
        """Closes the file."""
        self._raw.close()

    def read(self, size: int = -1) -> bytes:
        """The next bytes; all of them for -1.

        Raises:
            InputError: bytes that are not what the encoding says, a NUL byte, a damaged packed file, or more
                text than fits in memory.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(_BLOCK), b""))
        while not self._ready and not self._at_end:
            self._ready = self._next(size)
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def _next(self, size: int) -> bytes:
        """Checked text of about this size."""
        try:
            data, self._head = self._head or self._raw.read(size), b""
        except OSError as error:
            raise _unreadable(self.path, error) from None
        self._at_end = not data
        if self._decoder:
            data = self._decoded(data)
        self._check(data)
        return data

    def _decoded(self, data: bytes) -> bytes:
        try:
            return self._decoder.decode(data, final=self._at_end).encode()
        except UnicodeError as error:
            begun = getattr(error, "object", b"")[: getattr(error, "start", 0)]
            line = self._lines + begun.decode(self.used_encoding, "ignore").count("\n")
            raise InputError(
                f"data.args.encoding: expected the encoding of the file. Received: {self.used_encoding!r}, "
                f"in which line {line} of {self.path!r} cannot be read: {brief(error, 100)}."
            ) from None

    def _check(self, data: bytes) -> None:
        """Looks at bytes that come by."""
        if b"\0" in data:
            line = self._lines + data[: data.index(b"\0")].count(b"\n")
            raise InputError(
                f"data.args.path: expected text. Received: a NUL byte in line {line} of {self.path!r}; if "
                "the file is in UTF-16, give data.args.encoding='utf-16-le' or 'utf-16-be'."
            )
        self._bytes += len(data)
        if self.must_fit and self._bytes > self._limit:
            raise InputError(
                f"data.args.path: expected text that fits in memory, {self._limit / 2**30:.2f} GiB of it. "
                f"Received: more in {self.path!r}; read fewer files, or on a larger machine."
            )
        self._lines += data.count(b"\n")


def _open(path: str):
    """The unpacked bytes of a file."""
    import pyarrow as pa

    raw = pa.OSFile(storage.on_disk(path, "data.args.path"))
    head = raw.read(6)
    raw.seek(0)
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise InputError(f"data.args.path: expected CSV. Received: {path!r} is {what}.")
    for magic, codec in _MAGIC.items():
        if head.startswith(magic):
            return pa.CompressedInputStream(raw, codec)
    return raw


def _unreadable(path: str, error: OSError) -> InputError:
    return InputError(f"data.args.path: cannot read {path!r}: {brief(error)}.")
