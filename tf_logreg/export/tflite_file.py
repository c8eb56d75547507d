"""`model.tflite`: the model for LiteRT on phones and small machines, by TensorFlow's converter, in float32.

Its signature `serving_default` has the inputs of `onnx_file.py`, numbers in float32, and the same outputs.
Words are looked up by LiteRT's own operations: none is TensorFlow's. Behind the model the file has, as a zip
archive, `tf_logreg.json` with label, feature_names, class_names, threshold and, of a table, schema: `unzip -p
model.tflite` prints it.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import tensorflow as tf

from tf_logreg.errors import InputError
from tf_logreg.export import terms
from tf_logreg.tables import schema_file
from tf_logreg.tables.schema import Column

ABOUT = "tf_logreg.json"
_LARGEST = np.finfo(np.float32).max
_WHOLE = 2**24  # up to here float32 holds every whole number
_PAIRS = 2**22  # places in the table of a cross, 16 MB


def content(model: Any) -> bytes:
    """The file of a `Model`.

    Raises:
        InputError: this TensorFlow has no converter, or float32 does not tell the codes of a column apart.
    """
    if not hasattr(tf.lite, "TFLiteConverter"):
        raise InputError(
            f"format: expected a TensorFlow with tf.lite for 'tflite'. Received: {tf.__version__}, without; "
            "pip install 'tensorflow<2.22' has it."
        )
    with tf.device("CPU:0"):
        module = _module(model)
        serve = module.serve.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([serve], module)
        found = converter.convert()
    about = terms.names_of(model)
    if model.schema is not None:
        about["schema"] = schema_file.to_json(model.schema)
    archive = io.BytesIO(found)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(ABOUT, json.dumps(about, ensure_ascii=False))
    return archive.getvalue()


def _module(model: Any) -> tf.Module:
    """A module whose `serve` is the signature."""
    module = tf.Module(name="logistic_regression")
    if model.schema is None:
        specs, logits = _of_sparse_rows(model) if model.sparse else _of_features(model)
    else:
        columns = _Columns(model)
        specs, logits, module.tables = columns.specs, columns.logits, columns.tables

    @tf.function(input_signature=[specs], autograph=False)
    def serve(inputs):
        return _answer(model, logits(inputs))

    module.serve = serve
    return module


def _of_features(model: Any) -> tuple[dict, Any]:
    """The input and the logits of a model of dense rows."""
    # About their means float32 has more digits of the features.
    mean = _float32(np.zeros(len(model.kernel)) if model.mean is None else model.mean)
    kernel, bias = _float32(model.kernel), _float32(model.bias + mean.astype(np.float64) @ model.kernel)
    specs = {"features": tf.TensorSpec([None, len(kernel)], tf.float32, name="features")}
    return specs, lambda inputs: (inputs["features"] - mean) @ kernel + bias


def _of_sparse_rows(model: Any) -> tuple[dict, Any]:
    """The inputs and the logits of a model of sparse rows."""
    kernel, bias, count = _float32(_with_zeros(model.kernel)), _float32(model.bias), len(model.kernel)
    types = {"ids": tf.int64, "values": tf.float32}
    specs = {name: tf.TensorSpec([None, None], dtype, name=name) for name, dtype in types.items()}

    def logits(inputs):
        ids = _known(inputs["ids"], count)
        values = tf.where(ids < count, inputs["values"], 0.0)
        return tf.reduce_sum(tf.gather(kernel, ids) * tf.expand_dims(values, 2), axis=1) + bias

    return specs, logits


class _Columns:
    """The inputs and the logits of a model of a table.

    Attributes:
        specs: of the inputs, by name.
        tables: of words, which a module has to track.
    """

    def __init__(self, model: Any) -> None:
        self.specs: dict[str, tf.TensorSpec] = {}
        self.tables: list[tf.lookup.StaticHashTable] = []
        found = terms.terms_of(model)
        self._names = terms.input_names(model.schema, found)
        self._parts = [_WRITERS[type(term)](term, self) for term in found]
        center = sum((term.mean * term.weights for term in found if isinstance(term, terms.Number)), 0.0)
        self._bias = _float32(model.bias + center)

    def logits(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Logits [N, m]."""
        return tf.add_n([part(inputs) for part in self._parts]) + self._bias

    def input(self, name: str, dtype: tf.DType, rank: int = 1) -> str:
        """Adds an input; its name."""
        found = self._names[name]
        self.specs[found] = tf.TensorSpec([None] * rank, dtype, name=found)
        return found

    def place(self, column: Column, words: list[str]) -> Any:
        """What gives the place int64 [N] of each word among some, len(words) of others."""
        if column.is_number:
            return self._place_of_number(column, words)
        name, other = self.input(column.name, tf.string), len(words)
        initial = tf.lookup.KeyValueTensorInitializer(tf.constant(words), tf.range(other, dtype=tf.int64))
        table = tf.lookup.StaticHashTable(initial, other)
        self.tables.append(table)
        return lambda inputs: table.lookup(inputs[name])

    def _place_of_number(self, column: Column, words: list[str]) -> Any:
        name, other = self.input(column.name, tf.float32), len(words)
        empty = words.index(terms.MISSING) if terms.MISSING in words else other
        numbers = [terms.number_of(column, word) for word in words]
        places = [place for place, number in enumerate(numbers) if number is not None]
        keys = [numbers[place] for place in places]
        if any(abs(key) > _WHOLE for key in keys):
            raise InputError(
                f"format: expected codes up to {_WHOLE} for 'tflite', whose numbers are float32. Received: "
                f"{int(max(keys, key=abs))} in column {column.name!r}; 'onnx' and 'json' take it."
            )

        def place(inputs):
            x = inputs[name]
            finite = _finite(x)
            if column.type == "boolean":
                x = tf.cast(x != 0, tf.float32)
            is_key = tf.cast(x[:, None] == tf.constant([keys], tf.float32), tf.int32)
            found = other + tf.reduce_sum(is_key * (np.array([places], np.int32) - other), axis=1)
            return tf.cast(tf.where(finite, found, empty), tf.int64)

        return place


def _number(term: terms.Number, columns: _Columns) -> Any:
    name, weights = columns.input(term.column.name, tf.float32), _float32(term.weights)
    missing = _float32(term.missing - term.mean * term.weights)

    def part(inputs):
        x = inputs[name]
        known = _finite(x)
        if term.is_log:
            known &= x > -1
            x = tf.math.log(tf.where(known, x, 0.0) + 1)
        x -= np.float32(term.mean + term.shift)  # one of them is 0
        return tf.where(known[:, None], x[:, None] * weights, missing)

    return part


def _buckets(term: terms.Buckets, columns: _Columns) -> Any:
    name, edges = columns.input(term.column.name, tf.float32), _float32([term.edges])
    weights = _float32(np.vstack([term.weights, term.missing]))

    def part(inputs):
        x = inputs[name]
        bucket = tf.reduce_sum(tf.cast(x[:, None] >= edges, tf.int32), axis=1)
        return tf.gather(weights, tf.where(_finite(x), bucket, len(term.edges) + 1))

    return part


def _levels(term: terms.Levels, columns: _Columns) -> Any:
    if len(term.columns) == 1:
        place = columns.place(term.columns[0], list(term.levels))
        weights = _float32([*term.levels.values(), term.other])
        return lambda inputs: tf.gather(weights, place(inputs))
    pairs = terms.pairs_of(term)
    words = [list(dict.fromkeys(pair[k] for pair in pairs)) for k in (0, 1)]
    shape = len(words[0]) + 1, len(words[1]) + 1
    if shape[0] * shape[1] > _PAIRS:
        names = " x ".join(column.name for column in term.columns)
        raise InputError(
            f"format: expected crosses of up to {_PAIRS} pairs for 'tflite'. Received: {shape[0]} times "
            f"{shape[1]} of {names!r}; 'onnx' and 'json' take it."
        )
    at = np.full(shape, len(pairs), np.int32)
    firsts, seconds = ({word: place for place, word in enumerate(some)} for some in words)
    for place, (first, second) in enumerate(pairs):
        at[firsts[first], seconds[second]] = place
    weights, at = _float32([*pairs.values(), term.other]), tf.constant(at.ravel())
    places = [columns.place(column, some) for column, some in zip(term.columns, words, strict=True)]
    return lambda inputs: tf.gather(weights, tf.gather(at, places[0](inputs) * shape[1] + places[1](inputs)))


def _hashes(term: terms.Hashes, columns: _Columns) -> Any:
    name = columns.input(term.input, tf.int64, 2 if term.is_text else 1)
    weights = _float32(_with_zeros(term.weights))

    def part(inputs):
        found = tf.gather(weights, _known(inputs[name], len(term.weights)))
        return tf.reduce_sum(found, axis=1) if term.is_text else found

    return part


_WRITERS = {terms.Number: _number, terms.Buckets: _buckets, terms.Levels: _levels, terms.Hashes: _hashes}


def _answer(model: Any, logits: tf.Tensor) -> dict[str, tf.Tensor]:
    """The outputs, from logits [N, m]."""
    answered = tf.reduce_all(_finite(logits), axis=1)
    clean = tf.where(answered[:, None], logits, 0.0)
    logs = clean
    if model.head.is_one_vs_rest:
        logs = tf.minimum(clean, 0.0) - tf.math.log(1.0 + tf.exp(-tf.abs(clean)))  # log sigmoids
    if model.head.outputs == 1:
        probabilities, odds = tf.sigmoid(tf.concat([-clean, clean], axis=1)), clean[:, 0]
    else:
        probabilities, odds = tf.nn.softmax(logs), logs[:, 1] - logs[:, 0]
    if model.head.outputs > 1 and model.cut is None:
        class_id = tf.argmax(clean, axis=1)
    else:
        class_id = tf.cast(odds > np.float32(model.cut or 0.0), tf.int64)
    count = len(model.class_names)
    class_name = tf.gather(tf.constant([*model.class_names, ""]), tf.where(answered, class_id, count))
    return {
        "logits": logits,
        "probabilities": tf.where(answered[:, None], probabilities, np.nan),
        "class_id": tf.where(answered, class_id, -1),
        "class_name": class_name,
    }


def _float32(values: Any) -> np.ndarray:
    return np.asarray(values).astype(np.float32)


def _finite(x: tf.Tensor) -> tf.Tensor:
    """Whether numbers are neither NaN nor infinite, without an operation of TensorFlow's own."""
    return tf.abs(x) <= _LARGEST


def _known(ids: tf.Tensor, count: int) -> tf.Tensor:
    """Ids from 0 to count - 1 as they are; count for all others."""
    return tf.where((ids >= 0) & (ids < count), ids, count)


def _with_zeros(kernel: np.ndarray) -> np.ndarray:
    """The kernel with a row of zeros below, for ids that are not known."""
    return np.vstack([kernel, np.zeros(kernel.shape[1])])
