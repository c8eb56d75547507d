"""Replicates of a bootstrap are the fits to the rows that they draw, by weights that depend on no order."""

import dataclasses

import numpy as np
import pytest
from problems import sparse_rows
from sklearn.metrics import log_loss, roc_auc_score

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import arrays
from tf_logreg.data import dataset as make
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.fit import learn
from tf_logreg.fit.bootstrap import bootstrap, draws, row_terms
from tf_logreg.fit.monitor import Monitor
from tf_logreg.model import bootstrap as records

DEVICES = Devices(dtype="float64")


def planted(classes, num_rows=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_rows, 3)) * [1, 10, 0.1] + [0, 5, 1]
    logits = (x - x.mean(axis=0)) / x.std(axis=0) @ rng.normal(size=(3, classes))
    return x, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1).astype(np.int32)


def settings(**asked):
    config = configs.get_config()
    config.standardize, config.solver.tol, config.seed = False, 1e-12, 7
    config.inference.bootstrap = asked.pop("replicates", 8)
    config.update(asked)
    return config


def fitted(x, y, config, weight=None, group=None, rows=None):
    """The fit with its bootstrap, if any."""
    kind = arrays.from_arrays if isinstance(x, np.ndarray) else from_sparse
    extras = {} if group is None else {"group": group}
    source = kind(x, y, class_names=tuple(map(str, range(y.max() + 1))), weight=weight, extras=extras)
    dataset = make.of_rows(source, {"train": np.arange(len(y)) if rows is None else rows}, config, DEVICES)
    learn.check(config, dataset, DEVICES)
    return learn.with_bootstrap(config, dataset, DEVICES, learn.learn(config, dataset, DEVICES, Monitor()))


def test_draws_are_those_of_a_poisson_and_depend_on_no_other_rows():
    rows, replicates = np.arange(20_000), np.arange(100)
    times = draws.times(3, rows, replicates)
    assert times.shape == (100, 20_000)
    expected = np.exp(-1) / np.array([1, 1, 2, 6, 24])
    np.testing.assert_allclose([(times == k).mean() for k in range(5)], expected, atol=2e-3)
    assert times.astype(float).var() == pytest.approx(1, abs=5e-3)
    np.testing.assert_array_equal(
        draws.times(3, rows[500:700], np.array([2, 3, 50, 99])), times[[2, 3, 50, 99], 500:700]
    )
    assert (draws.times(4, rows, replicates) == times).mean() < 0.35
    off = np.corrcoef(np.vstack([times[:40, :10_000], times[:40, 10_000:]])) - np.eye(80)
    assert np.abs(off).max() < 5 / np.sqrt(10_000)
    ends = np.diff(np.concatenate([[0], np.array(draws._ends(), float), [2**16]])) / 2**16
    assert ends @ np.arange(len(ends)) == pytest.approx(1, abs=5e-5)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("classes", "l1", "l2", "bias"),
    [(2, 0, 0, True), (2, 0, 0.01, False), (3, 0, 0, True), (3, 0, 0.01, True), (2, 0.02, 0, True), (3, 0.01, 0.01, True)],
)  # fmt: skip
def test_a_replicate_is_the_fit_to_the_rows_that_it_draws(monkeypatch, classes, l1, l2, bias, shared):
    if shared:  # as with many rows: in float32, by the fit's Hessian
        monkeypatch.setattr(bootstrap, "_ROWS_TO_SHARE", 1)
        monkeypatch.setattr(bootstrap, "_IN_FLOAT64", 0)
    x, y = planted(classes)
    config = settings(l1=l1, l2=l2, model={"bias": bias})
    found = fitted(x, y, config).model.bootstrap
    assert found.done.all()
    times = draws.times(7, np.arange(len(y)), np.arange(8))
    assert shared or np.isfinite(found.error).all()
    error = np.where(np.isfinite(found.error), found.error, 1.0)
    bound = error[:, None, None] * found.kernel.std(axis=0)
    for r in range(8):
        alone = fitted(
            x, y, settings(l1=l1, l2=l2, model={"bias": bias}, replicates=0), times[r].astype(np.float32)
        )
        assert (np.abs(found.kernel[r] - alone.model.kernel) <= 1.01 * bound[r] + 1e-12).all()
        np.testing.assert_allclose(
            found.kernel[r], alone.model.kernel, atol=0.02 * found.kernel.std(axis=0).max()
        )
        out = times[r] == 0
        model = dataclasses.replace(alone.model, kernel=found.kernel[r], bias=found.bias[r])
        chances = model.predict_proba(x[out])
        assert found.log_loss[r] == pytest.approx(log_loss(y[out], chances, labels=range(classes)), rel=1e-5)
        if classes == 2:
            assert found.roc_auc[r] == pytest.approx(roc_auc_score(y[out], chances[:, 1]), abs=2e-3)
    if classes > 2:
        assert np.isnan(found.roc_auc).all()


def test_series_and_memory_change_nothing(monkeypatch):
    x, y = planted(2, 2000)
    monkeypatch.setattr(bootstrap, "_IN_FLOAT64", 0)
    found = []
    for series, kept in ((0.1, 0.1), (0.0, 0.0)):
        monkeypatch.setattr(row_terms, "_SERIES", series)
        monkeypatch.setattr(bootstrap, "_KEPT", kept)
        found.append(fitted(x, y, settings()).model.bootstrap)
    np.testing.assert_allclose(found[0].kernel, found[1].kernel, rtol=1e-5)
    np.testing.assert_allclose(found[0].log_loss, found[1].log_loss, rtol=1e-6)


def test_class_weights_offsets_and_sparse_rows():
    rng = np.random.default_rng(0)
    x = sparse_rows(rng, 300, 6, 0.4)
    y = rng.integers(0, 2, 300).astype(np.int32)
    config = settings(l2=0.01, class_weight="balanced")
    sparse, dense = fitted(x, y, config), fitted(x.toarray(), y, config)
    np.testing.assert_allclose(
        sparse.model.bootstrap.kernel, dense.model.bootstrap.kernel, rtol=1e-4, atol=1e-6
    )
    # The bias is corrected as the model's is.
    assert abs(dense.model.bootstrap.bias.mean() - dense.model.bias[0]) < 3 * dense.model.bootstrap.bias.std()


def test_groups_are_drawn_whole():
    x, y = planted(2)
    group = np.arange(len(y)) // 4
    config = settings(l2=0.01)
    config.data.group = "group"
    found = fitted(x, y, config, group=group).model.bootstrap
    times = draws.times(7, group, np.arange(8))
    alone = fitted(x, y, settings(l2=0.01, replicates=0), times[2].astype(np.float32))
    np.testing.assert_allclose(
        found.kernel[2], alone.model.kernel, atol=0.02 * found.kernel.std(axis=0).max()
    )
    with pytest.raises(InputError, match=r"inference\.bootstrap: expected at least two groups to draw from"):
        fitted(x, y, config, group=np.zeros(len(y), int))


def test_replicates_without_an_optimum_are_counted(caplog):
    x = np.array([[0.0], [1], [2], [3], [4], [5], [6], [7]])
    y = np.array([0, 0, 0, 1, 0, 1, 1, 1], np.int32)
    found = fitted(x, y, settings(replicates=40)).model
    assert 0 < found.bootstrap.done.sum() < 40
    assert "replicates have no optimum" in caplog.text
    assert np.isfinite(found.coefficients()["boot_low"]).all()
    nothing = dataclasses.replace(found.bootstrap, done=np.zeros(40, bool))
    assert np.isnan(dataclasses.replace(found, bootstrap=nothing).coefficients()["boot_low"]).all()
    assert nothing.measure("log_loss") is None


def test_weights_that_may_count_rows_are_warned_of(caplog):
    x, y = planted(2)
    weight = np.random.default_rng(0).integers(1, 4, len(y)).astype(np.float32)
    fitted(x, y, settings(), weight)
    assert "a row is drawn whole" in caplog.text
    caplog.clear()
    fitted(x, y, settings(inference={"weights": "sampling", "bootstrap": 4}), weight)
    assert "drawn whole" not in caplog.text


def test_columns_of_coefficients_and_what_a_run_says():
    x, y = planted(3)
    config = settings(replicates=60, l1=0.03, l2=0.01)
    config.inference.level = 0.9
    frame = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": np.array(["u", "v", "w"])[y]}
    model = tf_logreg.train(frame, label="y", config=config)
    found = model.coefficients()
    kernel = model.bootstrap.theta(has_bias=True)
    assert kernel.shape == (60, 4, 3)
    low, _ = np.quantile(kernel, (0.05, 0.95), axis=0)
    np.testing.assert_allclose(found["boot_low"], low.ravel())
    np.testing.assert_allclose(found["basic_high"], 2 * np.array(found["coefficient"]) - found["boot_low"])
    np.testing.assert_allclose(found["boot_error"], kernel.std(axis=0, ddof=1).ravel())
    assert any(0 < share < 1 for share in found["selected"])
    said = model.result["bootstrap"]
    assert (said["replicates"], said["done"], said["level"], said["roc_auc"]) == (60, 60, 0.9, None)
    assert said["log_loss"][1] < said["log_loss"][0] < said["log_loss"][2]
    assert "bootstrap, 60 of 60 replicates, 0.9 intervals; log loss of rows not drawn" in model.summary()


def test_a_bootstrap_comes_back_from_its_file():
    found = fitted(*planted(2), settings()).model.bootstrap
    again = records.of_arrays(records.to_arrays(found))
    for name, values in records.to_arrays(found).items():
        np.testing.assert_array_equal(records.to_arrays(again)[name], values)


def test_an_inference_has_its_contrasts():
    x, y = planted(3)
    config = settings(replicates=20)
    config.inference.cov_type, config.inference.reference = "nonrobust", "1"
    model = fitted(x, y, config).model
    found = model.coefficients()
    assert found["class"][:2] == ["0", "2"]
    kernel = model.bootstrap.kernel[:, 0]
    np.testing.assert_allclose(
        found["boot_error"][:2], (kernel - kernel[:, [1]])[:, [0, 2]].std(axis=0, ddof=1)
    )


def test_no_bootstrap_without_an_optimum_and_of_too_many_coefficients(monkeypatch):
    x, y = planted(2)
    x[:, 0] = y
    assert fitted(x, y, settings()).model.bootstrap is None
    monkeypatch.setattr(bootstrap, "MOST_COEFFICIENTS", 3)
    with pytest.raises(
        InputError, match=r"inference\.bootstrap: expected at most 3 coefficients\. Received: 4"
    ):
        fitted(x, y, settings())


def test_hessians_of_all_replicates_fit_into_memory(monkeypatch):
    monkeypatch.setattr(bootstrap, "_MATRICES", 1e12)
    with pytest.raises(InputError, match=r"Hessians fit into memory, as rows are few\. Received: 8 of 4"):
        fitted(*planted(2), settings())


def test_replicates_without_any_row_are_not_done():
    x, y = planted(2)
    config = settings(l2=0.01, replicates=30)
    config.data.group = "group"
    found = fitted(x, y, config, group=np.arange(len(y)) % 2).model.bootstrap
    empty = draws.times(7, np.array([0, 1]), np.arange(30)).sum(axis=1) == 0
    assert empty.any()
    np.testing.assert_array_equal(found.done, ~empty)
