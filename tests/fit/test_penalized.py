"""What sizes alone decide: how many cores a step's algebra gets, when a preconditioner is made anew."""

import numpy as np
import pytest
import threadpoolctl

from tf_logreg.engines import on_host
from tf_logreg.engines.engine import Engine
from tf_logreg.fit.full_batch import penalized
from tf_logreg.objective.records import Rows
from tf_logreg.solvers.methods import newton

HOST = Engine(None, on_host=True)


def problems(p, m, count=1, num_rows=60_000, alike=None, engine=HOST):
    return penalized.Penalized(
        engine, (p, m), True, np.full(count, -1, np.int32), np.ones((count, max(m, 2))), np.zeros((count, p)),
        np.ones((count, p)), num_rows, alike=alike,
    )  # fmt: skip


def threads():
    return max(pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas")


@pytest.mark.parametrize(
    ("p", "m", "count", "one"), [(28, 1, 1, 1), (784, 10, 1, 1), (784, 10, 80, 0), (2048, 9, 1, 0)]
)
def test_small_systems_leave_the_cores_to_the_passes(p, m, count, one):
    with threadpoolctl.threadpool_limits(2):
        with problems(p, m, count).blas_threads():
            assert threads() == (1 if one else 2)
        assert threads() == 2


def test_systems_have_all_cores_beside_an_accelerator():
    accelerator = Engine(None, on_host=False)
    with threadpoolctl.threadpool_limits(2), problems(28, 1, engine=accelerator).blas_threads():
        assert threads() == 2


def test_a_preconditioner_is_made_anew_the_later_the_more_it_costs():
    def many(*args, **kwargs):
        found = problems(*args, **kwargs)
        return found.functions(np.ones(len(found.l2)), 0.0).many_products

    # A Gram matrix of all rows takes as long as p / 3 m products, and two of them must be saved.
    np.testing.assert_allclose(many(300, 10, num_rows=3010), 3 + 2 * 301 / 30)
    # Of many it is 16 rows a feature: one block of 62.
    np.testing.assert_allclose(many(300, 10, num_rows=301_000), 3 + 2 * 301 / 30 / 62)
    # The folds of a strength share one and its cost; others bear theirs alone.
    found = many(300, 10, 4, alike=np.array([0, 0, 0, 1]))
    np.testing.assert_allclose((found[:3] - 3) * 3, found[3] - 3)


@pytest.mark.parametrize("alike", [np.repeat([0, 1], 3), np.arange(6)])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_step_depends_on_nothing_that_a_checkpoint_lacks(alike, classes):
    """Kept Hessians are made again to the same bits, whichever problems are still at work."""
    num_rows, p, m = 12_000, 30 // (classes - 1), 1 if classes == 2 else classes
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_rows, p))
    y = (x @ rng.normal(size=(p, classes)) + rng.gumbel(size=(num_rows, classes))).argmax(axis=1)
    folds = rng.integers(0, 3, num_rows).astype(np.int32)
    engine = on_host.over_rows(Rows(x, y.astype(np.int32), np.ones(num_rows, np.float32), None, folds))
    l2 = np.repeat([1e-1, 1e-4], 3)[:, None] * np.ones(p) * (1 + np.arange(6)[:, None] / 100)
    fold, ones = np.tile(np.arange(3, dtype=np.int32), 2), np.ones((6, classes))
    problems = penalized.Penalized(
        engine, (p, m), True, fold, ones, np.zeros((6, p)), l2, num_rows, alike=alike
    )
    target = np.full(6, 1e-9)
    kept = problems.functions(target, 1e-15)
    assert kept.hessian_passes > 0
    states = [newton.init(kept, np.zeros((6, problems.size)))] * 2
    for _ in range(12):
        states = [
            newton.step(f, s) for f, s in zip((kept, problems.functions(target, 1e-15)), states, strict=True)
        ]
        for state in states:
            state.finished |= (state.gap <= target) | state.stalled
        for name, array in states[0].arrays().items():
            np.testing.assert_array_equal(states[1].arrays()[name], array, name)
        if states[0].finished.all():
            break
    assert states[0].finished.all()
