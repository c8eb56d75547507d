"""Problems with known properties, and the shortest way from arrays to fitted weights."""

import tempfile

import numpy as np
import scipy.sparse
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from tf_logreg import config as configs
from tf_logreg import storage
from tf_logreg.data import dataset as datasets
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import with_offset
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.devices.devices import Devices
from tf_logreg.fit import learn
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.monitor import Monitor
from tf_logreg.model import head as heads
from tf_logreg.model.model import Model


def random_problem(num_rows=200, num_features=6, num_classes=3, seed=0):
    """x [n, p] float64, y [n] int32, weight [n] float64; every class has a row."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_rows, num_features)) * rng.uniform(0.5, 3, num_features)
    logits = x @ rng.normal(size=(num_features, num_classes)) / 2
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1).astype(np.int32)
    y[:num_classes] = np.arange(num_classes)
    return x + rng.normal(size=num_features), y, rng.integers(1, 4, num_rows).astype(np.float64)


def sparse_rows(rng, num_rows, num_features, density):
    """Rows [n, p] of values in [0, 1), a share `density` of them stored; of every SciPy that the package allows."""
    return scipy.sparse.csr_array(
        scipy.sparse.random(num_rows, num_features, density, format="csr", random_state=rng)
    )


def fit_arrays(x, y, weight=None, **options):
    """Fits arrays by minibatches; the arguments and what it gives are those of `solve_arrays`."""
    return solve_arrays(x, y, weight, solver="minibatch", **options)


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


def dataset_of(
    x, y, weight=None, *, settings, devices, num_classes=None, offset=None, rows=None, extras=None
):
    """The dataset of arrays whose rows all train, or have the roles of `rows`."""
    num_classes = num_classes or int(y.max()) + 1
    extras = extras if offset is None else {"offset": offset}
    make = from_sparse if scipy.sparse.issparse(x) else from_arrays
    source = make(x, y, weight=weight, class_names=tuple(map(str, range(num_classes))), extras=extras)
    if offset is not None:
        settings.data.offset = "offset"
        source = with_offset(source, "offset", heads.resolve(settings.model.output, num_classes).outputs)
    return datasets.of_rows(source, rows or {"train": np.arange(x.shape[0])}, settings, devices)


def settings_of(**fields):
    """A config; `fields` are named by their dotted name with '__' for '.', by a field at the top or by one of the
    sections minibatch and solver.
    """
    settings = configs.get_config()
    for name, value in fields.items():
        section, *rest = settings, *name.split("__")
        if len(rest) == 1 and name not in settings:
            section = settings.minibatch if name in settings.minibatch else settings.solver
        for part in rest[:-1]:
            section = section[part]
        section[rest[-1]] = value
    return settings


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
    offset=None,
    start=None,
    checkpoints=None,
    num_classes=None,
    class_weights=None,
    **fields,
):
    """Fits arrays: kernel and bias in raw units, and `Trained`.

    `checkpoints` is a folder to resume from, a new one when None; `start` a kernel and a bias in raw units; `fields`
    are those of `settings_of`. The prior is left as `class_weights` [C] make it.
    """
    if class_weights is not None:
        named = ",".join(f"{c}={weight!r}" for c, weight in enumerate(np.asarray(class_weights).tolist()))
        fields |= {"class_weight": named, "correct_prior": False}
    settings = settings_of(solver__name=solver, model__output=output, model__bias=bias, **fields)
    devices = Devices(strategy, dtype, 0.5 if resident else 0.0)
    dataset = dataset_of(
        x, y, weight, settings=settings, devices=devices, num_classes=num_classes, offset=offset
    )
    folder = storage.Folder(checkpoints or tempfile.mkdtemp(dir=tmp_path))
    monitor = Monitor(Checkpoints(folder, {}, every_steps=solver != "minibatch", keep=1))
    if start is not None:
        names = dataset.source.feature_names, dataset.source.class_names
        start = Model(*start, *names, heads.resolve(output, dataset.num_classes))
    fit = learn.learn(settings, dataset, devices, monitor, start)
    return fit.model.kernel, fit.model.bias, fit.trained


def saga(l1_ratio: float, **arguments) -> LogisticRegression:
    """scikit-learn's elastic net: until 1.8 `penalty` says that there is an l1_ratio, from 1.10 it is gone."""
    named = LogisticRegression().get_params().get("penalty") == "l2"
    penalty = {"penalty": "elasticnet"} if named else {}
    return LogisticRegression(l1_ratio=l1_ratio, solver="saga", **penalty, **arguments)


def sparse_problem(seed, num_rows=600, num_features=900, classes=2, density=0.03):
    """Sparse rows with columns that are equal, empty and constant; labels [n] of `classes`."""
    rng = np.random.default_rng(seed)
    x = sparse_rows(rng, num_rows, num_features, density).toarray()
    x *= rng.choice([1.0, 3.0], num_features)
    if num_features > 4:
        x[:, 1], x[:, 2], x[:, 3] = x[:, 0], 0.0, 1.0
    logits = x @ rng.normal(size=(num_features, classes)) * 2
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    y[:classes] = np.arange(classes)
    return scipy.sparse.csr_array(x), y.astype(np.int32), rng.integers(1, 4, num_rows).astype(float)
