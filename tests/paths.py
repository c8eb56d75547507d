"""Paths over arrays, for tests."""

import contextlib
import tempfile

import numpy as np
from problems import dataset_of, settings_of
from sklearn.model_selection import StratifiedKFold

from tf_logreg import storage
from tf_logreg.devices.devices import Devices
from tf_logreg.fit import learn
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.monitor import Monitor

VALUES = (1.0, 0.1, 0.01)


@contextlib.contextmanager
def unheard():
    yield lambda: False


def fit_path(
    x, y, weight=None, *, strategy, folder=None, values=VALUES, folds=3, output="auto", dtype="float64",
    resident=True, validation=None, extras=None, listen=unheard, **fields,
):  # fmt: skip
    """`Path` over arrays, in raw units; `fields` are config fields, '__' for '.'."""
    fields = {"path__penalty": "l2", "solver__tol": 1e-12} | fields
    settings = settings_of(path__values=values, cv__folds=folds, model__output=output, **fields)
    devices, rows = Devices(strategy, dtype, 0.5 if resident else 0.0), {"train": np.arange(len(x))}
    if validation is not None:
        rows = {"train": np.setdiff1d(rows["train"], validation), "validation": validation}
    dataset = dataset_of(x, y, weight, settings=settings, devices=devices, rows=rows, extras=extras)
    folder = storage.Folder(folder or tempfile.mkdtemp())
    return learn.learn(settings, dataset, devices, Monitor(Checkpoints(folder), listen=listen)).path


def stratified(y, count, seed=0):
    return list(StratifiedKFold(count, shuffle=True, random_state=seed).split(np.zeros(len(y)), y))
