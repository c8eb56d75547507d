"""Weights of a Poisson bootstrap: how often each replicate has each row, by a hash of (seed, row, replicate).

They depend on nothing else, so that any worker may make those of its rows, block by block, as often as it
reads them. A row is in a replicate k times with probability exp(-1) / k!, to 2^-16.
"""

import math

import numpy as np

_A_HASH = 4  # replicates, of 16 bits each
_CACHED = 2**15  # hashes at a time, that stay in a core's cache
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _ends() -> list[np.uint16]:
    """Least of 16 random bits from which a row is in a replicate once, twice, ..."""
    chances = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(9)])
    return [np.uint16(end) for end in np.rint(2**16 * chances) if end < 2**16]


_ENDS = _ends()


def times(seed: int, keys: np.ndarray, replicates: np.ndarray) -> np.ndarray:
    """How often replicates have rows, uint8 [k, B].

    Args:
        seed: of all draws.
        keys: [B] int64 >= 0, what is drawn: row ids, or a number a group, whose rows are drawn together.
        replicates: [k] ascending numbers of replicates.
    """
    hashes = np.unique(replicates // _A_HASH).astype(np.uint64)
    found = np.empty((len(hashes), _A_HASH, len(keys)), np.uint8)
    with np.errstate(over="ignore"):  # multiplication modulo 2^64
        own = _mixed(keys.astype(np.uint64) * _GOLDEN + _mixed(np.array([seed], np.uint64) + _GOLDEN))
        # Each number of a hash starts a stream of its own.
        start = _mixed((hashes + np.uint64(1)) * _GOLDEN)
        few = max(1, _CACHED // max(1, len(keys)))
        for first in range(0, len(hashes), few):
            some = slice(first, first + few)
            _count(_mixed(own + start[some, None]), found[some])
    if found.size == len(replicates) * len(keys):
        return found.reshape(len(replicates), len(keys))
    place = np.searchsorted(hashes, replicates // _A_HASH)
    return found[place, replicates % _A_HASH]


def _mixed(bits: np.ndarray) -> np.ndarray:
    """Bits spread over all 64, uint64, in place: the end of SplitMix64 (Steele and others, 2014)."""
    other = bits >> np.uint64(30)
    bits ^= other
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    np.right_shift(bits, np.uint64(27), out=other)
    bits ^= other
    bits *= np.uint64(0x94D049BB133111EB)
    np.right_shift(bits, np.uint64(31), out=other)
    bits ^= other
    return bits


def _count(bits: np.ndarray, found: np.ndarray) -> None:
    """Numbers of times, uint8 [h, 4, B], from bits [h, B], which are overwritten."""
    parts = np.empty(found.shape, np.uint16)
    for part in range(_A_HASH):
        parts[:, part] = bits  # the lowest 16
        bits >>= np.uint64(16)
    found[:] = 0
    more = np.empty(found.shape, bool)
    for end in _ENDS:  # a look-up takes thrice as long
        np.greater_equal(parts, end, out=more)
        found += more.view(np.uint8)
