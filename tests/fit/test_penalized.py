"""What sizes alone decide: how many cores a step's algebra gets, when a preconditioner is made anew."""

import numpy as np
import pytest
import threadpoolctl

from tf_logreg.engines.engine import Engine
from tf_logreg.fit.full_batch import penalized

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
