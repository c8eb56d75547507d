"""Fits with standard errors, and the rows that tests of them share."""

import numpy as np
import statsmodels.api as sm
from sklearn import datasets

from tf_logreg import config as configs
from tf_logreg.data import arrays
from tf_logreg.data import dataset as make
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.devices.devices import Devices
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor

DEVICES = Devices(dtype="float64")


def fitted(x, y, *, weight=None, group=None, **asked):
    """The fit, with what it says of its errors."""
    config = configs.get_config()
    bias = asked.pop("bias", True)
    config.model.bias, config.solver.tol = bias, 1e-9
    config.inference.update({"cov_type": "nonrobust", **asked})
    config.data.group = "" if group is None else "group"
    names = tuple(str(k) for k in range(y.max() + 1))
    extras = {} if group is None else {"group": group}
    kind = arrays.from_arrays if isinstance(x, np.ndarray) else from_sparse
    source = kind(x, y.astype(np.int32), class_names=names, weight=weight, extras=extras)
    dataset = make.of_rows(source, {"train": np.arange(len(y))}, config, DEVICES)
    learn.check(config, dataset, DEVICES)
    return learn.learn(config, dataset, DEVICES, Monitor())


def spector():
    found = sm.datasets.spector.load()
    return np.asarray(found.exog), np.asarray(found.endog).astype(int)


def cancer():
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return x[:, [0, 1, 4, 5, 8, 9, 11, 14, 18, 19]], y


def noisy_iris():
    x, y = datasets.load_iris(return_X_y=True)
    rng = np.random.default_rng(1)
    return x, np.where(rng.random(150) < 0.3, rng.integers(0, 3, 150), y)


def planted(classes, num_rows=2000, num_features=8):
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(num_rows, num_features)) * rng.uniform(0.1, 30, num_features) + 5
    logits = x @ (rng.normal(size=(num_features, classes)) / x.std(axis=0)[:, None])
    return x, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
