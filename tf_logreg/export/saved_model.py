"""The SavedModel: raw features in, logits, probabilities and class names out. It needs nothing else.

A row without an answer says so: where a logit is NaN or infinite, as it is for every feature that is NaN or
infinite, all probabilities are NaN, class_id is -1 and class_name is ''.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.protobuf import saved_model_pb2

from tf_logreg.objective import linear, losses

MARKER = "saved_model.pb"  # without it TensorFlow takes a folder for none of its own


def serving_module(model: Any) -> tf.Module:
    """A plain module with its own copy of the weights, on the host, whatever the strategy was.

    `keras.Model.export` is not used: it trips over names and dicts, and gives the sigmoid's one
    column where every user of the signature wants [B, C].

    Args:
        model: a `Model`; its weights and features are in its dtype.
    """
    one_vs_rest, kernel, bias = (
        model.head.is_one_vs_rest,
        *(array.astype(model.dtype) for array in (model.kernel, model.bias)),
    )
    module = tf.Module(name="logistic_regression")
    with tf.device("CPU:0"):
        module.kernel, module.bias = tf.Variable(kernel, name="kernel"), tf.Variable(bias, name="bias")
        for name, values in (("feature_names", model.feature_names), ("class_names", model.class_names)):
            setattr(module, name, tf.Variable(list(values), trainable=False, name=name))

    @tf.function(
        input_signature=[tf.TensorSpec([None, kernel.shape[0]], kernel.dtype, name="features")],
        autograph=False,
    )
    def serve(features):
        logits = linear.logits(
            features, tf.convert_to_tensor(module.kernel), tf.convert_to_tensor(module.bias)
        )
        # argmax takes the lower class of a tie; so does logit > 0.
        class_id = tf.cast(logits[:, 0] > 0, tf.int64) if logits.shape[1] == 1 else tf.argmax(logits, axis=1)
        probabilities = losses.class_probabilities(tf.math.log_sigmoid(logits) if one_vs_rest else logits)
        # A sum with a NaN or an infinity in it is never finite, so the logits tell of the features too.
        answered = tf.reduce_all(tf.math.is_finite(logits), axis=1)
        return {
            "logits": logits,
            "probabilities": tf.where(answered[:, None], probabilities, np.nan),
            "class_id": tf.where(answered, class_id, -1),
            "class_name": tf.where(answered, tf.gather(module.class_names, class_id), ""),
        }

    @tf.function(input_signature=[], autograph=False)
    def names():
        return {
            name: tf.convert_to_tensor(getattr(module, name)) for name in ("feature_names", "class_names")
        }

    module.serve, module.names = serve, names
    return module


def save(module: tf.Module, path: str) -> None:
    """Writes the SavedModel with its signatures.

    `serving_default`: features [None, p] float32 (float64 for a float64 run) -> logits [B, 1 or C],
    probabilities [B, C], class_id int64 [B], class_name string [B].
    `names`: nothing -> feature_names string [p], class_names string [C], which are attributes too.

    Raises:
        OSError: the disk refuses it.
    """
    signatures = {"serving_default": module.serve, "names": module.names}
    try:
        tf.saved_model.save(module, path, signatures=signatures)
    except tf.errors.OpError as error:
        raise OSError(error.message) from None


def is_whole(data: bytes) -> bool:
    """Whether these are the bytes of a `saved_model.pb`: they are parsed, nothing in them is built."""
    try:
        return bool(saved_model_pb2.SavedModel.FromString(data).meta_graphs)
    except message.DecodeError:
        return False
