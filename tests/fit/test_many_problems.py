"""K problems in one batch are each alone: own penalties, folds and class weights over one X."""

import numpy as np
import pytest
from problems import random_problem

from tf_logreg import storage
from tf_logreg.data import moments
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices
from tf_logreg.engines import on_devices
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.full_batch import goal as goals
from tf_logreg.fit.full_batch import loop, penalized
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status
from tf_logreg.solvers import load

TOL = 1e-14  # nats


def solve(strategy, folder, method, classes, l1, l2, held_out, class_weight, streamed=False):
    """w [K, P], statuses and passes of K problems over the same 240 rows in three folds."""
    x, y, weight = random_problem(240, 4, classes)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    folds, rows = (np.arange(240) % 3).astype(np.int32), np.arange(240)
    source = from_arrays(x, y, weight=weight, class_names=tuple(map(str, range(classes))))
    columns = moments.Affine(np.zeros(4), np.ones(4))
    place, devices = on_devices.streamed if streamed else on_devices.resident, Devices(strategy, "float64")
    outputs = 1 if classes == 2 else classes
    problems = penalized.Penalized(
        place(devices, source, rows, columns, folds),
        (4, outputs), True, np.array(held_out, np.int32), np.array(class_weight, float),
        np.repeat(np.array(l1, float)[:, None], 4, axis=1), np.repeat(np.array(l2, float)[:, None], 4, axis=1), 240,
    )  # fmt: skip
    outcome = loop.solve(
        load.load(method),
        Certified(problems, source, rows, columns, devices, folds),
        np.zeros((len(l2), problems.size)),
        goal=goals.Goal(np.full(len(l2), TOL), max_passes=5000, noise=1e-15),
        monitor=Monitor(Checkpoints(storage.Folder(folder))),
        report=lambda *_: None,
    )
    return problems.centred(outcome.w, np.arange(len(l2))), outcome.status, outcome.passes


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", ["newton", "lbfgs", "proximal_newton"])
def test_each_of_four_is_what_it_is_alone(strategies, tmp_path, monkeypatch, method, classes):
    many = {
        "l1": [0.0, 0.01, 0.0, 0.05] if method == "proximal_newton" else [0.0] * 4,
        "l2": [1e-1, 1e-2, 1e-2, 1e-3],
        "held_out": [-1, 0, 1, 2],
        "class_weight": [
            [1, 1, 1][:classes],
            [1, 1, 1][:classes],
            [2, 0.5, 1][:classes],
            [1, 3, 1][:classes],
        ],
    }
    together, status, passes_made = solve(strategies["one_device"], tmp_path / "all", method, classes, **many)
    assert status == [Status.OPTIMAL] * 4
    assert len(set(passes_made.tolist())) > 1  # what is done no longer takes part
    for k in range(4):
        one = {name: values[k : k + 1] for name, values in many.items()}
        alone, _, _ = solve(strategies["one_device"], tmp_path / f"{k}", method, classes, **one)
        np.testing.assert_allclose(together[k], alone[0], atol=1e-6 if method == "lbfgs" else 1e-7)
    streamed, _, _ = solve(
        strategies["mirrored"], tmp_path / "streamed", method, classes, **many, streamed=True
    )
    np.testing.assert_allclose(streamed, together, atol=1e-6 if method == "lbfgs" else 1e-7)


def test_many_by_conjugate_gradients(strategies, tmp_path, monkeypatch):
    many = {
        "l1": [0.0] * 3, "l2": [1e-1, 1e-2, 1e-3], "held_out": [-1, 0, 1], "class_weight": [[1, 1, 1]] * 3,
    }  # fmt: skip
    explicit, _, _ = solve(strategies["one_device"], tmp_path / "explicit", "newton", 3, **many)
    monkeypatch.setattr(penalized, "_LARGEST_HESSIAN", 0)
    matrix_free, status, _ = solve(strategies["one_device"], tmp_path / "free", "newton", 3, **many)
    assert status == [Status.OPTIMAL] * 3
    np.testing.assert_allclose(matrix_free, explicit, atol=1e-6)
