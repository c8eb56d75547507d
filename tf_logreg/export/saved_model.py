"""The SavedModel: raw features in, logits, probabilities and class names out. It needs nothing else.

A model of dense rows takes `features`; one of sparse rows the `ids` of columns and their `values`; one of a
table its raw columns.

A row without an answer says so: where a logit is NaN or infinite, as it is for every feature that is NaN or
infinite, all probabilities are NaN, class_id is -1 and class_name is ''. In a column of a table NaN and
infinity are missing values, and such rows have an answer.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.protobuf import saved_model_pb2

from tf_logreg.export import warm_up
from tf_logreg.objective import linear, losses
from tf_logreg.tables import graph, graph_inputs, schema_file

MARKER = "saved_model.pb"  # without it TensorFlow takes a folder for none of its own
TOLERANCE = 1e-9  # of probabilities, in `selfcheck`


def serving_module(model: Any) -> tf.Module:
    """A plain module with its own copy of the weights, on the host, whatever the strategy was.

    `keras.Model.export` is not used: it trips over names and dicts, and gives the sigmoid's one
    column where every user of the signature wants [B, C].

    Args:
        model: a `Model`; its weights and features are in its dtype, those of a table in float64.

    Returns:
        Its functions are its signatures: `serve` takes dense rows. Of sparse rows there is `serve_sparse`
        too, and `serve` only where they are narrow enough to be laid out. Of a table `serve` takes columns,
        `serve_examples` and `classify` tf.Examples, and there are `selfcheck` and `schema_json`.
    """
    dtype = model.dtype if model.schema is None else "float64"
    module = tf.Module(name="logistic_regression")
    with tf.device("CPU:0"):
        module.kernel = tf.Variable(model.kernel.astype(dtype), name="kernel")
        module.bias = tf.Variable(model.bias.astype(dtype), name="bias")
        for name, values in (("feature_names", model.feature_names), ("class_names", model.class_names)):
            setattr(module, name, tf.Variable(list(values), trainable=False, name=name))

    said = ["feature_names", "class_names"]
    if model.threshold is not None:
        with tf.device("CPU:0"):
            module.threshold = tf.Variable(model.threshold, False, dtype=tf.float64, name="threshold")
        said.append("threshold")

    @tf.function(input_signature=[], autograph=False)
    def names():
        return {name: tf.convert_to_tensor(getattr(module, name)) for name in said}

    module.names = names
    if model.schema is not None:
        with tf.device("CPU:0"):
            _take_columns(module, model)
        return module
    if model.sparse:
        _take_sparse_rows(module, model)
    if model.takes_dense:
        _take_dense_rows(module, model)
    return module


def _answer(module: tf.Module, model: Any, logits: tf.Tensor) -> dict[str, tf.Tensor]:
    """The outputs of a signature from logits [B, m]."""
    class_id = _class_id(model, logits)
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


def _class_id(model: Any, logits: tf.Tensor) -> tf.Tensor:
    """The class that the model answers, int64 [B], as `Model.classes` has it; any for logits not finite."""
    if model.cut is not None:
        odds = tf.math.log_sigmoid(logits) if model.head.is_one_vs_rest else logits
        odds = odds[:, 0] if model.head.outputs == 1 else odds[:, 1] - odds[:, 0]
        return tf.cast(tf.cast(odds, tf.float64) > model.cut, tf.int64)
    # argmax takes the lower class of a tie; so does logit > 0.
    return tf.cast(logits[:, 0] > 0, tf.int64) if logits.shape[1] == 1 else tf.argmax(logits, axis=1)


def _take_dense_rows(module: tf.Module, model: Any) -> None:
    """Adds `serve`."""
    kernel = module.kernel

    @tf.function(
        input_signature=[tf.TensorSpec([None, kernel.shape[0]], kernel.dtype, name="features")],
        autograph=False,
    )
    def serve(features):
        weights = tf.convert_to_tensor(module.kernel), tf.convert_to_tensor(module.bias)
        return _answer(module, model, linear.logits(features, *weights))

    module.serve = serve


def _take_sparse_rows(module: tf.Module, model: Any) -> None:
    """Adds `serve_sparse`."""
    kernel = module.kernel

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
        logits = tf.reduce_sum(rows * values[:, :, None], axis=1) + tf.convert_to_tensor(module.bias)
        return _answer(module, model, logits)

    module.serve_sparse = serve_sparse


def _take_columns(module: tf.Module, model: Any) -> None:
    """Adds `serve`, `serve_examples`, `classify`, `selfcheck` and `schema_json`."""
    schema = model.schema
    module.schema = tf.Variable(schema_file.text(schema), trainable=False, name="schema")
    module.vocabulary = graph.vocabulary(schema)
    specs = graph_inputs.specs(schema)

    def answer(given):
        weights = tf.convert_to_tensor(module.kernel), tf.convert_to_tensor(module.bias)
        return _answer(module, model, graph.logits(schema, module.vocabulary, given, *weights))

    @tf.function(input_signature=[specs], autograph=False)
    def serve(columns):
        return answer(graph_inputs.of_columns(schema, columns))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def serve_examples(examples):
        return answer(graph_inputs.of_examples(schema, examples))

    @tf.function(input_signature=[], autograph=False)
    def schema_json():
        names = graph_inputs.input_names(schema)
        return {
            "schema": tf.convert_to_tensor(module.schema),
            "columns": tf.constant(list(names), tf.string),
            "inputs": tf.constant(list(names.values()), tf.string),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")], autograph=False)
    def classify(inputs):
        scores = tf.cast(serve_examples(inputs)["probabilities"], tf.float32)
        return {"classes": tf.broadcast_to(module.class_names, tf.shape(scores)), "scores": scores}

    module.serve, module.serve_examples, module.schema_json = serve, serve_examples, schema_json
    module.classify = classify
    _add_selfcheck(module, model, specs)


def _add_selfcheck(module: tf.Module, model: Any, specs: dict[str, tf.TensorSpec]) -> None:
    """Adds `selfcheck`, whose golden rows and answers are constants."""
    frame, inputs = graph_inputs.golden(model.schema)
    expected = model.predict_proba(frame)
    bits = _bits(module).numpy()

    @tf.function(input_signature=[], autograph=False)
    def selfcheck():
        given = {name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()}
        found = module.serve(given)["probabilities"]
        difference = tf.abs(found - expected)
        # A row may have no answer, but then it had none when it was saved.
        zero, infinite = tf.constant(0, tf.float64), tf.constant(np.inf, tf.float64)
        difference = tf.where(tf.math.is_nan(difference), infinite, difference)
        difference = tf.where(tf.math.is_nan(found) & np.isnan(expected), zero, difference)
        largest = tf.reduce_max(tf.concat([[zero], tf.reshape(difference, [-1])], axis=0))
        return {"ok": (largest <= TOLERANCE) & (_bits(module) == bits), "largest_difference": largest}

    module.selfcheck = selfcheck


def _bits(module: tf.Module) -> tf.Tensor:
    """A number that changes with any bit of a weight: few rows do not use all of them."""
    total = tf.constant(0, tf.int64)
    for weights in (module.kernel, module.bias):
        one = tf.reshape(tf.bitcast(tf.convert_to_tensor(weights), tf.int64), [-1])
        total += tf.reduce_sum(one * (2 * tf.range(tf.size(one, tf.int64)) + 1))
    return total


def save(module: tf.Module, path: str) -> None:
    """Writes the SavedModel with its signatures.

    `serving_default`: features [B, p] float32 (float64 for a float64 run) -> logits [B, 1 or C],
    probabilities [B, C], class_id int64 [B], class_name string [B].
    Of sparse rows `serving_default` takes ids int64 [B, m] and values float [B, m]: a row's columns, counted
    from 0, and their values, padded with ids of -1. Ids that are no column of the model are ignored, and
    values of the same id are added. `dense` takes features, up to 100,000 of them.
    `names`: nothing -> feature_names string [p], class_names string [C], which are attributes too; and of a
    model with one, threshold float64: class_id is 1 where the probability of class 1 is above it.

    Of a table `serving_default` takes the columns that the model uses, [B] each, named as
    `graph_inputs.input_names` says. Numbers are float64, dates too, as days since 1970, and whole numbers
    also where they stand for words (beyond 2^53, and with a fraction, they are a level that training did
    not have); NaN and infinity are missing values. Words are strings, and booleans are 'true' and 'false'; ''
    is a missing value.
    `serving_examples` takes examples string [B], serialized tf.Examples with one value a column, by its name
    in the table: an int64_list of whole numbers, a float_list of other numbers and of dates (with the digits
    and the range of float32), a bytes_list of words and booleans. Without the key, or with an empty list,
    the value is missing. A list of another type is an error of TensorFlow.
    `classify` takes them as `inputs`, as the classification of TensorFlow Serving does, and gives classes
    string [B, C] and scores float32 [B, C], the probabilities.
    `selfcheck`: nothing -> ok bool, largest_difference float64 of the probabilities of up to ten
    training rows from what the host found when it was saved. ok is false too when any weight has changed.
    `schema`: nothing -> schema string, what `schema.json` holds and an attribute too; columns string [k],
    inputs string [k], the names of the used columns and of their inputs.

    `assets.extra/tf_serving_warmup_requests` has requests for TensorFlow Serving to begin with.

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
    if hasattr(module, "schema"):
        signatures |= {"serving_examples": module.serve_examples, "classify": module.classify}
        signatures |= {"selfcheck": module.selfcheck, "schema": module.schema_json}
    try:
        tf.saved_model.save(module, path, signatures=signatures)
        warm_up.write(_specs(signatures["serving_default"]), path)
    except tf.errors.OpError as error:
        raise OSError(error.message) from None


def _specs(function: Any) -> dict[str, tf.TensorSpec]:
    """The inputs of a signature's function, by name."""
    first = function.input_signature[0]
    return first if isinstance(first, dict) else {spec.name: spec for spec in function.input_signature}


def is_whole(data: bytes) -> bool:
    """Whether these are the bytes of a `saved_model.pb`: they are parsed, nothing in them is built."""
    try:
        return bool(saved_model_pb2.SavedModel.FromString(data).meta_graphs)
    except message.DecodeError:
        return False
