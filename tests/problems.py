"""Problems with known properties, and the shortest way from arrays to fitted weights."""

import tempfile

import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from tf_logreg import config as configs
from tf_logreg import storage
from tf_logreg.data import dataset, moments
from tf_logreg.data.source import from_arrays, with_offset
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.full_batch import optimum
from tf_logreg.fit.minibatch import training
from tf_logreg.model import keras_model


def random_problem(num_rows=200, num_features=6, num_classes=3, seed=0):
    """x [n, p] float64, y [n] int32, weight [n] float64; every class has a row."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_rows, num_features)) * rng.uniform(0.5, 3, num_features)
    logits = x @ rng.normal(size=(num_features, num_classes)) / 2
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1).astype(np.int32)
    y[:num_classes] = np.arange(num_classes)
    return x + rng.normal(size=num_features), y, rng.integers(1, 4, num_rows).astype(np.float64)


def fit_arrays(
    x,
    y,
    weight=None,
    *,
    strategy,
    tmp_path,
    num_classes=None,
    output="auto",
    bias=True,
    dtype="float64",
    resident=True,
    class_weights=None,
    **fields,
):
    """Fits arrays by the minibatch loop: kernel and bias in raw units, and the FitResult.

    `fields` are config fields by their dotted name with '.' written '__'; batch_size, epochs and the
    like are found in the section `minibatch`.
    """
    config = configs.get_config()
    config.model.bias = bias
    for name, value in fields.items():
        section = config if name in config else config.minibatch
        section[name] = value
    num_classes = num_classes or int(y.max()) + 1
    source = from_arrays(x, y, weight=weight, class_names=tuple(map(str, range(num_classes))))
    rows = np.arange(len(x))
    columns = moments.affine(
        dataset.scan_rows(source, rows), standardize=config.standardize, bias=bias, dtype=source.x_dtype
    )
    with strategy.scope():
        model = keras_model.build(
            x.shape[1],
            num_classes,
            output=keras_model.resolve_output(output, num_classes),
            bias=bias,
            dtype="float64" if dtype == "float64" else "float32",
        )
    result = training.fit_minibatch(
        config,
        model,
        source,
        rows,
        columns,
        strategy=strategy,
        dtype=dtype,
        length=training.length_of_run(config, len(rows), strategy.num_replicas_in_sync),
        checkpoints=Checkpoints(storage.Folder(f"{tmp_path}/checkpoints"), {}, every_steps=0, keep=1),
        device_memory_fraction=0.5 if resident else 0.0,
        weight_of_class=class_weights,
    )
    kernel, intercept = moments.fold_out(*keras_model.get_weights(model), columns)
    return kernel, intercept, result


def log_loss(x, y, kernel, bias):
    """Per-row log loss in plain float64 numpy, written from the formula: [n] nats."""
    z = x @ kernel + bias
    if z.shape[1] == 1:
        z = np.hstack([np.zeros_like(z), z])
    top = z.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(z - top).sum(axis=1, keepdims=True)))[:, 0] - z[np.arange(len(y)), y]


def objective(x, y, kernel, bias, *, l1=0.0, l2=0.0, weight=None):
    """F of design.md in plain numpy, nats."""
    penalty = l2 / 2 * np.square(kernel).sum() + l1 * np.abs(kernel).sum()
    return np.average(log_loss(x, y, kernel, bias), weights=weight) + penalty


def gradient_tape(function, *arguments):
    """Gradients of a scalar TensorFlow function by all its arguments, as arrays."""
    tensors = [tf.constant(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return [gradient.numpy() for gradient in tape.gradient(value, tensors)]


def solve_arrays(
    x,
    y,
    weight=None,
    *,
    strategy,
    tmp_path,
    solver="auto",
    output="auto",
    bias=True,
    dtype="float64",
    resident=True,
    class_weights=None,
    offset=None,
    start=None,
    checkpoints=None,
    **fields,
):
    """Fits arrays to the certified optimum: kernel and bias in raw units, and the FitResult.

    `checkpoints` is a folder to resume from, a new one when None; `fields` are config fields at the
    top, or of the section `solver`.
    """
    config = configs.get_config()
    config.model.bias = bias
    for name, value in fields.items():
        section = config if name in config else config.solver
        section[name] = value
    classes = int(y.max()) + 1
    output = keras_model.resolve_output(output, classes)
    extras = {} if offset is None else {"offset": offset}
    source = from_arrays(x, y, weight=weight, class_names=tuple(map(str, range(classes))), extras=extras)
    if offset is not None:
        config.data.offset = "offset"
        source = with_offset(source, "offset", 1 if output == "sigmoid" else classes)
    rows = np.arange(len(x))
    scan = dataset.scan_rows(source, rows)
    columns = optimum.training_columns(config, source, scan)
    with strategy.scope():
        model = keras_model.build(
            x.shape[1],
            classes,
            output=output,
            bias=bias,
            dtype="float64" if dtype == "float64" else "float32",
        )
    result = optimum.fit_full_batch(
        config,
        model,
        source,
        rows,
        columns,
        solver=optimum.choose(solver, l1=config.l1 > 0),
        strategy=strategy,
        dtype=dtype,
        checkpoints=Checkpoints(
            storage.Folder(checkpoints or tempfile.mkdtemp(dir=tmp_path)), {}, every_steps=1, keep=1
        ),
        class_weight_sum=scan.class_weight_sum,
        device_memory_fraction=0.5 if resident else 0.0,
        weight_of_class=class_weights,
        start=start,
    )
    kernel, intercept = moments.fold_out(*keras_model.get_weights(model), columns)
    return kernel, intercept, result


def saga(l1_ratio: float, **arguments) -> LogisticRegression:
    """scikit-learn's elastic net: until 1.8 `penalty` says that there is an l1_ratio, from 1.10 it is gone."""
    named = LogisticRegression().get_params().get("penalty") == "l2"
    penalty = {"penalty": "elasticnet"} if named else {}
    return LogisticRegression(l1_ratio=l1_ratio, solver="saga", **penalty, **arguments)
