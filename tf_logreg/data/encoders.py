"""Encoders: Keras models that make a vector of each row, an image for one.

It is a user's own `.keras` file, an application of Keras by name with weights from a file, or, in Python, the
model itself. Nothing is downloaded, and no file runs code (`keras_file.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import storage
from tf_logreg.data import applications, digest, keras_file
from tf_logreg.data.applications import APPLICATIONS
from tf_logreg.errors import InputError, brief

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

IN_PYTHON = "given in Python"  # data.encoder of a run whose encoder was a model in Python
ENDING = ".keras"


@dataclasses.dataclass(frozen=True)
class Encoding:
    """Who encodes.

    Attributes:
        strategy: whose replicas do it; this machine's one device when None.
        model: the encoder, where it was given in Python.
    """

    strategy: tf.distribute.Strategy | None = None
    model: keras.Model | None = None


HERE = Encoding()  # by this machine's one device


@dataclasses.dataclass(frozen=True)
class Encoder:
    """A model that makes a vector of each row.

    Attributes:
        name: for messages and the log.
        identity: what decides its numbers, as JSON.
        input_shape: of a row. width: d, of the vectors.
        encode: rows [B, *input_shape] float32 -> [B, d].
    """

    name: str
    identity: dict
    input_shape: tuple[int, ...]
    width: int
    encode: Callable[[tf.Tensor], tf.Tensor]


def faults(encoder: str, weights: str) -> Iterator[str]:
    """What is wrong with data.encoder and data.encoder_weights, a line for each fault."""
    if encoder in APPLICATIONS:
        if not weights:
            yield (
                "data.encoder_weights: expected a file of its weights beside an application of Keras, as "
                "nothing is downloaded. Received: ''."
            )
        return
    if weights:
        yield (
            "data.encoder_weights: expected '' but with an application of Keras. Received: "
            f"{weights!r} with data.encoder={encoder!r}."
        )
    if encoder and encoder != IN_PYTHON and not encoder.endswith(ENDING):
        yield (
            f"data.encoder: expected a {ENDING} file or one of {', '.join(APPLICATIONS)}. Received: "
            f"{encoder!r}."
        )


def with_model(config: ConfigDict, model: keras.Model) -> ConfigDict:
    """The config of a run behind a model that is given in Python, which it can only mention.

    Raises:
        InputError: it is no model, or the config names an encoder too.
    """
    check_model(model)
    if config.data.encoder not in ("", IN_PYTHON):
        raise InputError(
            f"encoder: expected none beside data.encoder. Received: a model beside {config.data.encoder!r}."
        )
    config = config.copy_and_resolve_references()
    config.data.encoder = IN_PYTHON
    return config


def files(encoder: str, weights: str) -> dict[str, str]:
    """The files of an encoder."""
    paths = [one for one in (encoder, weights) if one and one not in (*APPLICATIONS, IN_PYTHON)]
    return {one: storage.path_or_address(one, "data.encoder") for one in paths}


def load(
    encoder: str,
    weights: str,
    row_shape: tuple[int, ...],
    strategy: tf.distribute.Strategy,
    model: keras.Model | None = None,
) -> Encoder:
    """The encoder that a config names.

    Args:
        encoder, weights: data.encoder and data.encoder_weights, without faults.
        row_shape: of the rows that it is given.
        strategy: on whose replicas it will work.
        model: itself, where it was given in Python.

    Raises:
        InputError: it cannot be read, would run code, takes other rows, or gives no vector.
    """
    if model is not None:
        made, name, prepare = _of_strategy(model, strategy), "the model", _as_it_is
        identity = identity_of(model)
    elif encoder == IN_PYTHON:
        raise InputError(
            "data.encoder: expected the model itself, as the run was given it in Python by tf_logreg.train("
            "..., encoder=model); or its .keras file, named by another config. Received: none."
        )
    else:
        name, paths = os.path.basename(encoder), files(encoder, weights)
        identity = {"application": encoder} if encoder in APPLICATIONS else {}
        identity["files"] = sorted(one["sha256"] for one in digest.digests(paths, {}).values())
        paths = {one: storage.on_disk(path, "data.encoder") for one, path in paths.items()}
        with strategy.scope():
            if encoder in APPLICATIONS:
                made, prepare = applications.load(encoder, paths[weights], row_shape)
            else:
                made, prepare = keras_file.load(paths[encoder], "data.encoder"), _as_it_is
    return _checked(made, prepare, row_shape, name, identity)


def identity_of(model: keras.Model) -> dict:
    """What decides the numbers of a model, wherever it was built: its weights and layers, not their names."""
    check_model(model)
    found = hashlib.sha256()
    for weight in model.get_weights():
        found.update(repr((weight.dtype.name, weight.shape)).encode())
        found.update(np.ascontiguousarray(weight).reshape(-1).view(np.uint8))
    try:
        text = json.dumps(_without_names(json.loads(model.to_json()), {}), sort_keys=True)
    except Exception:  # a class of the user's own, whose code we cannot compare
        text = type(model).__name__
    return {"weights": found.hexdigest(), "layers": hashlib.sha256(text.encode()).hexdigest()}


def digest_of(model: keras.Model) -> dict:
    """`identity_of` as `digest.digests` gives a file's."""
    return {"sha256": hashlib.sha256(json.dumps(identity_of(model)).encode()).hexdigest()}


def check_model(model: Any) -> None:
    """InputError where it is no Keras model."""
    import keras

    if not isinstance(model, keras.Model):
        raise InputError(f"encoder: expected a keras.Model. Received: {type(model).__name__}.")


def _without_names(value: Any, known: dict[str, str]) -> Any:
    """JSON of a model with numbers for the names of its layers, which Keras counts on from model to model."""
    if isinstance(value, dict):
        if isinstance(name := value.get("name"), str):
            known.setdefault(name, f"name {len(known)}")
        return {key: _without_names(part, known) for key, part in value.items() if key != "keras_version"}
    if isinstance(value, list):
        return [_without_names(part, known) for part in value]
    return known.get(value, value) if isinstance(value, str) else value


def _as_it_is(x: tf.Tensor) -> tf.Tensor:
    return x


def _of_strategy(model: keras.Model, strategy: tf.distribute.Strategy) -> keras.Model:
    """The model, or a copy of it where several replicas, or a TPU, need its weights."""
    import keras

    from tf_logreg.devices import placement

    if strategy.num_replicas_in_sync == 1 and not placement.on_tpu(strategy):
        return model
    with strategy.scope():
        try:
            copy = keras.models.clone_model(model)
            copy.set_weights(model.get_weights())
            return copy
        except Exception as error:  # Keras raises any kind for a class of the user's own
            raise InputError(
                "encoder: expected a functional or sequential model with several devices, which each need a "
                f"copy. Received: one that cannot be copied ({type(error).__name__}: {brief(error)})."
            ) from None


def _checked(
    model: keras.Model, prepare: Callable, row_shape: tuple[int, ...], name: str, identity: dict
) -> Encoder:
    """The encoder of a model that takes these rows and gives a vector of each."""
    import keras
    import tensorflow as tf

    shape = _input_shape(model, row_shape)

    def encode(x: tf.Tensor) -> tf.Tensor:
        return model(prepare(x), training=False)

    try:
        spec = tf.TensorSpec([1, *shape], tf.float32)
        found = tf.function(encode, autograph=False).get_concrete_function(spec).structured_outputs
    except Exception as error:  # a model raises what it likes
        raise InputError(
            f"data.encoder: expected a model that takes rows of shape {shape}. Received: {name}, which fails "
            f"with them ({type(error).__name__}: {brief(error)})."
        ) from None
    if not isinstance(found, tf.Tensor):
        raise InputError(
            f"data.encoder: expected a model with one output. Received: {name}, which gives a "
            f"{type(found).__name__}."
        )
    if found.shape.rank != 2 or not found.shape[1]:
        received = tuple(found.shape[1:]) if found.shape.rank else ()
        remedy = "; keras.layers.GlobalAveragePooling2D() behind it makes one" if len(received) == 3 else ""
        raise InputError(
            f"data.encoder: expected a vector of each row, shape (d,). Received: {name}, which gives "
            f"{received}{remedy}."
        )
    identity = {**identity, "Keras": keras.__version__}

    def as_float(x: tf.Tensor) -> tf.Tensor:
        return tf.cast(encode(x), tf.float32)

    return Encoder(name, identity, shape, found.shape[1], as_float)


def _input_shape(model: keras.Model, row_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which a model takes the rows."""
    try:
        inputs = model.inputs
    except AttributeError:
        inputs = None
    if not inputs:  # one that was not called yet takes what it is given
        return row_shape
    if len(inputs) > 1:
        raise InputError(f"data.encoder: expected a model with one input. Received: one with {len(inputs)}.")
    declared = tuple(inputs[0].shape[1:])
    if len(declared) == len(row_shape) and all(
        d in (None, r) for d, r in zip(declared, row_shape, strict=True)
    ):
        return row_shape
    if None not in declared and len(row_shape) == 1 and math.prod(declared) == row_shape[0]:
        return declared
    images = len(declared) == len(row_shape) == 3 and None not in declared
    remedy = f"; data.args.resize={declared[:2]} makes such of images" if images else ""
    raise InputError(
        f"data.encoder: expected a model that takes rows of shape {row_shape}. Received: one that takes "
        f"{declared}{remedy}."
    )
