"""Requests that TensorFlow Serving answers when it loads a model, so that the first of a user is not slow.

They stand in the SavedModel's `assets.extra/tf_serving_warmup_requests`, records of the protocol buffer
PredictionLog of TensorFlow Serving. That package is not needed: of its messages three fields are written, by
their numbers in prediction_log.proto and predict.proto.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

FOLDER, NAME = "assets.extra", "tf_serving_warmup_requests"
_BATCHES = (1, 32)  # rows of each request
_PREDICT_LOG, _REQUEST, _INPUTS = 6, 1, 2  # of PredictionLog, PredictLog and PredictRequest
_KEY, _VALUE = 1, 2  # of an entry of a map


def write(specs: Mapping[str, tf.TensorSpec], path: str) -> None:
    """Writes requests to `serving_default` into a SavedModel: zeros and empty words.

    Args:
        specs: the inputs of the signature, by name.
        path: the SavedModel's folder.

    Raises:
        tf.errors.OpError: the disk refuses it.
    """
    folder = os.path.join(path, FOLDER)
    tf.io.gfile.makedirs(folder)
    with tf.io.TFRecordWriter(os.path.join(folder, NAME)) as file:
        for rows in _BATCHES:
            file.write(_prediction_log(specs, rows))


def _prediction_log(specs: Mapping[str, tf.TensorSpec], rows: int) -> bytes:
    """A PredictionLog of a request with some rows; without a signature's name it is for the default."""
    inputs = []
    for name, spec in specs.items():
        shape = [rows, *(size or 1 for size in spec.shape[1:])]
        tensor = tf.make_tensor_proto(np.zeros(shape, "S1" if spec.dtype == tf.string else spec.dtype.name))
        entry = _field(_KEY, name.encode()) + _field(_VALUE, tensor.SerializeToString())
        inputs.append(_field(_INPUTS, entry))
    return _field(_PREDICT_LOG, _field(_REQUEST, b"".join(inputs)))


def _field(number: int, content: bytes) -> bytes:
    """A field of a message that is a message or a text: its number and wire type 2, its length, its bytes."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """A whole number, seven bits a byte from the lowest, with the eighth set where more follow."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
