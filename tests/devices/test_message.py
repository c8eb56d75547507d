"""What workers send each other comes out as it went in, and runs nothing."""

import contextlib
import dataclasses
import pickle

import numpy as np
import pytest

from tf_logreg.devices import message

DTYPES = ("?", "i1", "u2", "<i4", ">i8", "u8", "e", "<f4", ">f8", "c16", "U3", "S2", "U0")
TEXTS = ("", "benign", "é, =\n", "\0", "\ud800", "😀", "tuple", "array", '"')


def random_value(rng, depth=3):
    """Any value that may be sent."""
    kind = rng.integers(8 if depth else 5)
    if kind == 0:
        return (None, True, False)[rng.integers(3)]
    if kind == 1:
        return int(rng.integers(-(2**62), 2**62)) << int(rng.integers(0, 80))
    if kind == 2:
        return (float(rng.normal()), 0.1, -0.0, 1e-320, float("inf"), float("nan"), 1e300)[rng.integers(7)]
    if kind == 3:
        return TEXTS[rng.integers(len(TEXTS))]
    if kind == 4:
        shape = tuple(rng.integers(0, 4, rng.integers(0, 4)))
        array = rng.normal(scale=50, size=shape).astype(DTYPES[rng.integers(len(DTYPES))])
        array = np.asfortranarray(array) if rng.integers(2) else array
        return array if rng.integers(3) or array.ndim else array[()]
    parts = [random_value(rng, depth - 1) for _ in range(rng.integers(0, 4))]
    if kind == 5:
        return parts
    return tuple(parts) if kind == 6 else {TEXTS[k]: part for k, part in enumerate(parts)}


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (np.ndarray, np.generic)):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    else:
        assert repr(one) == repr(other)  # NaN and -0.0 too


def test_what_is_sent_is_what_comes():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        value = random_value(rng)
        assert_same(message.decode(message.encode(value)), value)


def test_arrays_take_their_own_bytes():
    array = np.random.default_rng(0).normal(size=(200, 100))
    assert len(message.encode({"kernel": array, "names": ("a", "b")})) < array.nbytes + 400


@dataclasses.dataclass
class Record:
    x: int = 1


class Name(str):
    pass


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"scan": [1, Record()]}, r"value\['scan'\]\[1\]: .* Received: Record"),
        ({1: "a"}, "Received: dict"),
        ({1, 2}, "Received: set"),
        (b"bytes", "Received: bytes"),
        (Name("a"), "Received: Name"),
        (np.array([None]), "Received: ndarray of object"),
        (np.array([(1, 2.0)], "i4,f4"), "Received: ndarray of"),
        (lambda: 1, "Received: function"),
    ],
)
def test_what_cannot_be_sent_is_named(value, said):
    with pytest.raises(TypeError, match=said):
        message.encode(value)


class Evil:
    def __reduce__(self):
        return pytest.fail, ("a message ran code",)


def test_bytes_that_are_no_message_run_nothing():
    rng = np.random.default_rng(0)
    good = message.encode({"a": [1, np.arange(3.0)], "b": (None, "c")})
    bad = [pickle.dumps(Evil()), b"", b"\xff" * 40, good[:-1], np.array([Evil()], object).dumps()]
    for _ in range(300):
        flipped = bytearray(good)
        flipped[rng.integers(len(good))] ^= 1 << rng.integers(8)
        bad.append(bytes(flipped))
    for data in bad:
        with contextlib.suppress(ValueError):
            message.decode(data)
