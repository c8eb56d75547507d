"""Numbers in a text, many at a time: where they stand -> their values, by NumPy alone.

Eight digits are read as one 64-bit word and added up by three multiplications (D. Lemire, "Quickly
parsing eight digits", 2018).
"""

import numpy as np

PADDING = 16  # readable bytes before the first number
_ZEROS = np.uint64(0x3030303030303030)
_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_CARRY = np.uint64(0x0606060606060606)
_PAIRS = np.uint64(0x000000FF000000FF)
_POWERS = 10.0 ** np.arange(17)


def padded(text: bytes) -> np.ndarray:
    """The text as bytes, uint8, with spaces in front, so that a word that ends anywhere can be read."""
    return np.frombuffer(b" " * PADDING + text, np.uint8)


def whole(text: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of up to 16 digits without a sign.

    Args:
        text: from `padded`.
        start, stop: [n] int64, where each begins and ends.

    Returns:
        int64 [n]; and which of them are such numbers, bool [n].
    """
    length = stop - start
    number, good = _eight(text, np.minimum(length, 8), stop)
    good &= (length > 0) & (length <= 16)
    long = np.flatnonzero(good & (length > 8))
    if long.size:
        high, fine = _eight(text, length[long] - 8, stop[long] - 8)
        number[long] += high * np.int64(10**8)
        good[long] &= fine
    return number, good


def real(text: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decimal numbers such as -12.5, correctly rounded.

    Args:
        text, start, stop: as of `whole`; none of them is empty.

    Returns:
        float64 [n]; and which were read, bool [n]: others are longer, have an exponent, or are none.
    """
    sign = text[start]
    negative = sign == ord("-")
    start = start + (negative | (sign == ord("+")))
    is_point = text == ord(".")
    points = np.flatnonzero(is_point)
    if not points.size:
        number, good = whole(text, start, stop)
        return np.where(negative, -number, number).astype(np.float64), good
    # The digits without the point are a whole number; a power of ten says where the point stood.
    up_to = np.cumsum(is_point, dtype=np.int32)
    before, within = up_to[start - 1], up_to[stop - 1]
    number, good = whole(text[~is_point], start - before, stop - within)
    after = np.where(within > before, stop - 1 - points[within - 1], 0)
    # Both are exact below 2^53 and 10^22, so that the one division rounds correctly.
    good &= (within - before <= 1) & (after <= 16) & (number < 2**53)
    found = number / _POWERS[np.minimum(after, 16)]
    return np.where(negative, -found, found), good


def _eight(text: np.ndarray, length: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of at most eight digits, int64 [n], and which hold nothing but digits."""
    words = np.ndarray((len(text) - 7,), "<u8", text, strides=(1,))
    # The first character is the lowest byte. What stands before the number is shifted out.
    shift = ((8 - length) * 8).astype(np.uint64)
    digits = ((words[stop - 8] ^ _ZEROS) >> shift) << shift
    digits[length == 0] = 0  # a shift by 64 is none
    word = digits ^ _ZEROS
    good = ((word & _HIGH) == _ZEROS) & (((word + _CARRY) & _HIGH) == _ZEROS)
    word = digits * np.uint64(10) + (digits >> np.uint64(8))
    one = (word & _PAIRS) * np.uint64(100 + (1_000_000 << 32))
    two = ((word >> np.uint64(16)) & _PAIRS) * np.uint64(1 + (10_000 << 32))
    return ((one + two) >> np.uint64(32)).astype(np.int64), good
