"""Encoded images (JPEG, PNG, GIF, BMP, WebP) -> pixels of one size."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg.errors import brief

if TYPE_CHECKING:
    import tensorflow as tf

# Images of B records [b, h, w, c] uint8, those left out that cannot be decoded; and of these, by their places
# in the block, why.
Decoded = tuple[np.ndarray, dict[int, str]]


def decoder(shape: tuple[int, int, int], *, resize: bool) -> Callable[[list[bytes]], Decoded]:
    """A function that decodes blocks of records; threads may call it side by side.

    Args:
        shape: height, width and channels of all images that come out.
        resize: whether images of other sizes are brought to it, whole, whatever their proportions: bilinear,
            averaged over what becomes a pixel, rounded to whole numbers.
    """
    import tensorflow as tf

    def pixels(record: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(record, shape[2], expand_animations=False)
        if resize:
            image = tf.image.resize(image, shape[:2], antialias=True)
            image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
        return tf.ensure_shape(image, shape)

    # A loop within a function: called image by image, TensorFlow's bookkeeping takes longer than decoding.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def of_block(records: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(pixels, records, fn_output_signature=tf.TensorSpec(shape, tf.uint8))

    # Traced here: TensorFlow warns of a fifth function of this name, and a process may read many sets.
    with tf.device("CPU:0"):
        of_block = of_block.get_concrete_function()

    def decode(records: list[bytes]) -> Decoded:
        with tf.device("CPU:0"):
            try:
                return of_block(tf.constant(records, tf.string)).numpy(), {}
            except tf.errors.InvalidArgumentError:
                pass
            # One of them, at least, is none. Which, is looked for only now.
            good, bad = [np.empty((0, *shape), np.uint8)], {}
            for place, record in enumerate(records):
                try:
                    good.append(of_block(tf.constant([record], tf.string)).numpy())
                except tf.errors.InvalidArgumentError as error:
                    bad[place] = _why(error)
            return np.concatenate(good), bad

    return decode


def _why(error: tf.errors.OpError) -> str:
    """What TensorFlow says of an image, without where in its graph it was."""
    if shape := re.search(r"(\[[\d,]+\]) is not compatible with expected shape (\[[\d,]+\])", error.message):
        return f"its shape is {shape[1]}, not {shape[2]}"
    lines = [line.strip() for line in error.message.splitlines()]
    said = [
        line for line in lines if line and not line.startswith(("Graph execution", "Detected at", "File "))
    ]
    return brief(said[0] if said else error.message).rstrip(".")
