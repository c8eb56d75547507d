"""solver.prior: l2 towards another run's coefficients, against the gradient of what it should minimise."""

import dataclasses
import json
import logging

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse
import scipy.special

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import dataset as make
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.prior import Prior
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor
from tf_logreg.results import record_faults

P = 5


def rows(classes, num_rows=400, seed=0):
    """x [n, P] of uneven scales and means, y, integer weights."""
    rng = np.random.default_rng(seed)
    scale = np.array([0.1, 1, 3, 30, 1])
    x = rng.normal(size=(num_rows, P)) * scale
    logits = x / scale @ np.random.default_rng(classes).normal(size=(P, classes))
    x += [0, 5, 0, 10, 1]
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1).astype(np.int32)
    return x, y, rng.integers(1, 4, num_rows).astype(float)


def fitted(x, y, weight, prior, devices=None, offset=None, **fields):
    """The fit, its dataset and config."""
    config = configs.get_config()
    config.solver.tol = 1e-12
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    kind = from_sparse if scipy.sparse.issparse(x) else from_arrays
    extras = {} if offset is None else {"o": offset}
    names = tuple(map(str, range(y.max() + 1)))
    source = kind(x, y, class_names=names, weight=weight, extras=extras)
    config.data.offset = "" if offset is None else "o"
    source = make.with_offset_of(source, config)
    devices = devices or Devices(dtype="float64")
    dataset = make.of_rows(source, {"train": np.arange(len(y))}, config, devices)
    dataset = dataclasses.replace(dataset, prior=prior)
    return learn.learn(config, dataset, devices, Monitor()), dataset, config


def of(classes, seed=3):
    """A prior of all features."""
    m = 1 if classes == 2 else classes
    rng = np.random.default_rng(seed)
    return Prior(rng.normal(size=(P, m)), rng.normal(size=m), "runs/yesterday", P, 0)


def gradient(model, x, y, weight, offset, pull):
    """Of the mean loss plus l2 / 2 times the squares that `pull` [P, m] is the gradient of; and the loss."""
    z = x @ model.kernel + model.bias + offset
    if z.shape[1] == 1:
        p, target = scipy.special.expit(z), y[:, None]
        loss = -np.where(target == 1, scipy.special.log_expit(z), scipy.special.log_expit(-z))[:, 0]
    else:
        p, target = scipy.special.softmax(z, axis=1), np.eye(z.shape[1])[y]
        loss = -scipy.special.log_softmax(z, axis=1)[np.arange(len(y)), y]
    share = weight / weight.sum()
    error = share[:, None] * (p - target)
    return np.vstack([x.T @ error + pull, error.sum(axis=0)]), share @ loss


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["standardised", "raw", "sparse", "offset", "factor", "lbfgs"])
def test_the_gradient_is_zero_where_the_fit_ends(classes, kind):
    x, y, weight = rows(classes)
    prior, l2 = of(classes), 0.05
    fields = {"standardize": kind != "raw"}
    offset = np.zeros((len(y), 1))
    factor = np.ones(P)
    if kind == "lbfgs":
        fields["solver__name"] = "lbfgs"
    if kind == "factor":
        factor = np.array([1.0, 0.0, 2.0, 0.5, 1.0])
        fields["penalty_factor"] = tuple(factor.tolist())
    if kind == "offset":
        offset = np.random.default_rng(5).normal(size=(len(y), 1 if classes == 2 else classes))
    given = scipy.sparse.csr_array(np.where(np.abs(x) > 1, x, 0)) if kind == "sparse" else x
    x = given.toarray() if kind == "sparse" else x
    fit, _, _ = fitted(given, y, weight, prior, l2=l2, offset=offset if kind == "offset" else None, **fields)
    assert fit.status == "optimal"
    mean = np.average(x, axis=0, weights=weight)
    deviation = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    unit = (deviation if kind != "raw" else np.ones(P)) ** 2 * factor
    apart = fit.model.kernel - prior.kernel
    pull = l2 * unit[:, None] * apart
    slope, loss = gradient(fit.model, x, y, weight, offset, pull)
    # By deviation, so that all columns count alike.
    # A column of zeros has neither.
    assert np.abs(slope / np.append(np.where(deviation > 0, deviation, 1), 1)[:, None]).max() < (
        1e-4 if kind == "lbfgs" else 1e-7
    )
    assert fit.trained.objective == pytest.approx(loss + (pull * apart).sum() / 2, rel=1e-9)
    certificate = fit.trained.certificate
    assert 0 <= certificate.gap < 1e-9


@pytest.mark.parametrize("classes", [2, 3])
def test_the_devices_find_the_same(classes, strategies):
    x, y, weight = rows(classes)
    host = fitted(x, y, weight, of(classes), l2=0.05)[0]
    devices = Devices(strategies["mirrored"], "float32", engine="devices")
    found = fitted(x, y, weight, of(classes), devices, l2=0.05, solver__tol=1e-8)[0]
    assert found.status == "optimal"
    np.testing.assert_allclose(found.model.kernel, host.model.kernel, atol=2e-3)


def test_its_ends_are_the_prior_and_the_fit_without():
    x, y, weight = rows(2)
    prior = of(2)
    near = fitted(x, y, weight, prior, l2=1e8)[0].model
    np.testing.assert_allclose(near.kernel, prior.kernel, atol=1e-6)
    far = fitted(x, y, weight, prior, l2=1e-10)[0].model
    without = fitted(x, y, weight, None)[0].model
    np.testing.assert_allclose(far.kernel, without.kernel, rtol=1e-5, atol=1e-5)


def test_what_else_is_said_of_the_fit():
    """The objective of a model, and the bounds of its coefficients, are of the fit with its prior."""
    x, y, weight = rows(2)
    fit, dataset, config = fitted(x, y, weight, of(2), l2=0.05)
    devices = Devices(dtype="float64")
    value = learn.objective(config, dataset, devices, fit.model)
    assert value == pytest.approx(fit.trained.objective, rel=1e-10)
    distances = learn.distances_of(config, dataset, devices, fit)
    assert distances.missing == ""
    assert distances.largest < 1e-5


def test_a_path_scores_the_models_with_their_prior():
    """Towards the truth the strongest pull is best; away from it the weakest."""
    x, y, weight = rows(2, num_rows=120)
    truth = fitted(*rows(2, num_rows=20_000, seed=0)[:2], None, None)[0].model
    fields = {"path__penalty": "l2", "path__values": (100.0, 1e-3), "cv__folds": 3}
    right = Prior(truth.kernel, truth.bias, "", P, 0)
    wrong = Prior(-truth.kernel, truth.bias, "", P, 0)
    chosen = {}
    for name, prior in (("right", right), ("wrong", wrong)):
        fit = fitted(x, y, weight, prior, **fields)[0]
        chosen[name] = fit.path.choice
        np.testing.assert_allclose(fit.path.kernel[0].mean(axis=0), prior.kernel, rtol=0.1, atol=0.1)
        assert fit.path.nonzeros.tolist() == [[P] * 3] * 2
    assert chosen == {"right": 0, "wrong": 1}


def frame(seed, **more):
    x, y, _ = rows(2, 200, seed)
    columns = {f"c{j}": x[:, j] for j in range(P)} | {"y": np.array(["no", "yes"])[y]} | more
    return pa.table(columns)


def trained(table, workdir="", label="y", **fields):
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2, config.data.test_fraction = "", 0, 0.1, 0.0
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return tf_logreg.train(table, workdir, label=label, config=config)


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory):
    """A finished run, and its model."""
    workdir = str(tmp_path_factory.mktemp("prior") / "run")
    return workdir, trained(frame(0), workdir)


def test_features_are_matched_by_name(yesterday, caplog):
    workdir, before = yesterday
    other = frame(1, new=np.random.default_rng(9).normal(size=200)).drop_columns("c2")
    order = ["c4", "new", "c0", "c3", "c1", "y"]
    with caplog.at_level(logging.INFO, "tf_logreg"):
        model = trained(other.select(order), solver__prior=workdir, l2=1e9)
    assert model.feature_names == tuple(order[:-1])
    expected = [
        before.kernel[before.feature_names.index(name), 0] if name != "new" else 0 for name in order[:-1]
    ]
    np.testing.assert_allclose(model.kernel[:, 0], expected, atol=1e-6)
    assert model.result["prior"] == {"workdir": workdir, "matched": 4, "left_out": 1}
    assert record_faults.faults(json.loads(json.dumps(model.result))) == []
    assert "1 of 5 features are not in" in caplog.text
    assert "1 of its features are not here" in caplog.text


def test_a_prior_that_is_written_again_makes_another_fit(yesterday, tmp_path):
    _, before = yesterday
    workdir = str(tmp_path / "before")
    trained(frame(0), workdir)
    first = trained(frame(1), str(tmp_path / "run"), solver__prior=workdir, data__refit="train")
    again = trained(frame(1), str(tmp_path / "run"), solver__prior=workdir, data__refit="train")
    np.testing.assert_array_equal(first.kernel, again.kernel)
    assert not np.allclose(first.kernel, before.kernel, rtol=1e-3)
    config = configs.load("table")
    config.path.penalty, config.cv.folds, config.l2, config.data.test_fraction = "", 0, 10.0, 0.0
    tf_logreg.train(frame(0), workdir, label="y", config=config, overwrite=True)
    with pytest.raises(InputError, match=r"data: 'solver\.prior' has changed since the run"):
        trained(frame(1), str(tmp_path / "run"), solver__prior=workdir, data__refit="train")


def test_all_rows_again(yesterday):
    model = trained(frame(1), solver__prior=yesterday[0], data__test_fraction=0.2, data__refit="all", l2=1e9)
    np.testing.assert_allclose(model.kernel, yesterday[1].kernel, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"l2": 0.0}, r"solver\.prior: expected '' without l2, C or path\.penalty='l2'"),
        ({"l1": 0.1}, r"solver\.prior: expected '' with l1"),
        ({"l2": 0.0, "path__penalty": "l1", "cv__folds": 3}, r"solver\.prior: expected '' with l1"),
        ({"solver__name": "minibatch"}, r"solver\.prior: expected '' with solver\.name='minibatch'"),
        ({"model__output": "one_vs_rest"}, r"solver\.prior: expected '' with model\.output='one_vs_rest'"),
        ({"model__output": "softmax"}, r"model\.output='softmax'. Received: .* of no, yes with 'sigmoid'"),
    ],
)
def test_refused(yesterday, fields, message):
    with pytest.raises(InputError, match=message):
        trained(frame(1), solver__prior=yesterday[0], **fields)


def test_refused_with_the_features(yesterday, tmp_path):
    other = frame(1).rename_columns([f"d{j}" for j in range(P)] + ["y"])
    with pytest.raises(
        InputError, match=r"with some of these 5 features\. Received: .*none of whose 5 features"
    ):
        trained(other, solver__prior=yesterday[0])
    with pytest.raises(InputError, match=r"solver\.prior: expected a finished run|cannot read"):
        trained(frame(1), solver__prior=str(tmp_path / "none"))


@pytest.mark.parametrize("classes", [2, 3])
def test_replicates_are_pulled_towards_the_prior_too(classes):
    x, y, weight = rows(classes)
    prior, devices = of(classes), Devices(dtype="float64")
    asked = {"inference__bootstrap": 30, "inference__weights": "sampling"}
    fit, dataset, config = fitted(x, y, weight, prior, l2=0.05, **asked)
    found = learn.with_bootstrap(config, dataset, devices, fit).model.bootstrap
    for replicates, value in ((found.kernel, fit.model.kernel), (found.bias, fit.model.bias)):
        assert (np.abs(replicates.mean(axis=0) - value) < replicates.std(axis=0)).all()
    # What pulls with all its might leaves the prior itself.
    fit, dataset, config = fitted(x, y, weight, prior, l2=1e9, **asked)
    found = learn.with_bootstrap(config, dataset, devices, fit).model.bootstrap
    np.testing.assert_allclose(found.kernel, np.tile(prior.kernel, (30, 1, 1)), rtol=1e-6)
