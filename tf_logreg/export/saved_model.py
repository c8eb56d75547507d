"""The SavedModel: raw features in, logits, probabilities and class names out. It needs nothing else.

A model of dense rows takes `features`; one of sparse rows the `ids` of columns and their `values`.

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

    Returns:
        Its functions are its signatures: `serve` takes dense rows. Of sparse rows there is `serve_sparse`
        too, and `serve` only where they are narrow enough to be laid out.
    """
    kernel, bias = (array.astype(model.dtype) for array in (model.kernel, model.bias))
    module = tf.Module(name="logistic_regression")
    with tf.device("CPU:0"):
        module.kernel, module.bias = tf.Variable(kernel, name="kernel"), tf.Variable(bias, name="bias")
        for name, values in (("feature_names", model.feature_names), ("class_names", model.class_names)):
            setattr(module, name, tf.Variable(list(values), trainable=False, name=name))

    def answer(logits):
        # argmax takes the lower class of a tie; so does logit > 0.
        class_id = tf.cast(logits[:, 0] > 0, tf.int64) if logits.shape[1] == 1 else tf.argmax(logits, axis=1)
        probabilities = losses.class_probabilities(
            tf.math.log_sigmoid(logits) if model.head.is_one_vs_rest else logits
        )
        # A sum with a NaN or an infinity in it is never finite, so the logits tell of the features too.
        answered = tf.reduce_all(tf.math.is_finite(logits), axis=1)
        return {
            "logits": logits,
            "probabilities": tf.where(answered[:, None], probabilities, np.nan),
            "class_id": tf.where(answered, class_id, -1),
            "class_name": tf.where(answered, tf.gather(module.class_names, class_id), ""),
        }

    @tf.function(
        input_signature=[tf.TensorSpec([None, kernel.shape[0]], kernel.dtype, name="features")],
        autograph=False,
    )
    def serve(features):
        weights = tf.convert_to_tensor(module.kernel), tf.convert_to_tensor(module.bias)
        return answer(linear.logits(features, *weights))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int64, name="ids"),
            tf.TensorSpec([None, None], kernel.dtype, name="values"),
        ],
        autograph=False,
    )
    def serve_sparse(ids, values):
        # -1 is padding, and a column that training did not have has no coefficient: neither adds anything.
        # They are kept from the gather, as devices differ in what it does with them.
        known = (ids >= 0) & (ids < kernel.shape[0])
        rows = tf.gather(tf.convert_to_tensor(module.kernel), tf.where(known, ids, 0))  # [B, m, outputs]
        values = tf.where(known, values, tf.zeros_like(values))
        return answer(tf.reduce_sum(rows * values[:, :, None], axis=1) + tf.convert_to_tensor(module.bias))

    @tf.function(input_signature=[], autograph=False)
    def names():
        return {
            name: tf.convert_to_tensor(getattr(module, name)) for name in ("feature_names", "class_names")
        }

    module.names = names
    if model.sparse:
        module.serve_sparse = serve_sparse
    if model.takes_dense:
        module.serve = serve
    return module


def save(module: tf.Module, path: str) -> None:
    """Writes the SavedModel with its signatures.

    `serving_default`: features [B, p] float32 (float64 for a float64 run) -> logits [B, 1 or C],
    probabilities [B, C], class_id int64 [B], class_name string [B].
    Of sparse rows `serving_default` takes ids int64 [B, m] and values float [B, m]: a row's columns, counted
    from 0, and their values, padded with ids of -1. Ids that are no column of the model are ignored, and
    values of the same id are added. `dense` takes features, up to 100,000 of them.
    `names`: nothing -> feature_names string [p], class_names string [C], which are attributes too.

    Raises:
        OSError: the disk refuses it.
    """
    if hasattr(module, "serve_sparse"):
        signatures = {"serving_default": module.serve_sparse}
        if hasattr(module, "serve"):
            signatures["dense"] = module.serve
    else:
        signatures = {"serving_default": module.serve}
    signatures["names"] = module.names
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
