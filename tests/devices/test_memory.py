"""Arrays that NumPy and TensorFlow share: one copy of X, and never a kernel on memory it cannot read."""

import numpy as np
import pytest
import tensorflow as tf

from tf_logreg.devices import memory


def test_an_aligned_array_is_lent_not_copied():
    array = memory.empty((100, 7), np.float32)
    array[...] = 1
    tensor = memory.tensor(array)
    array[3, 2] = 5
    assert tensor[3, 2].numpy() == 5


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bfloat16", ">f4"])
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_any_array_can_be_multiplied(dtype, shift):
    dtype = tf.bfloat16.as_numpy_dtype if dtype == "bfloat16" else np.dtype(dtype)
    array = memory.empty((shift + 33 * 5,), dtype)[shift:].reshape(33, 5)
    array[...] = np.arange(165).reshape(33, 5) % 50
    product = tf.matmul(tf.cast(memory.tensor(array), tf.float64), tf.ones([5, 2], tf.float64))
    np.testing.assert_array_equal(product[:, 0], array.astype(np.float64).sum(axis=1))


def test_read_only_and_strided_arrays_are_copied():
    array = np.arange(24.0).reshape(4, 6)
    array.flags.writeable = False
    np.testing.assert_array_equal(memory.tensor(array), array)
    np.testing.assert_array_equal(memory.tensor(array[:, ::2]), array[:, ::2])
    assert memory.tensor(array[:0]).shape == (0, 6)
