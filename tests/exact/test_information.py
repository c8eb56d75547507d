"""Sums of the information matrix and of scores, whatever the blocks."""

import itertools

import numpy as np
import pytest
from fitted_errors import noisy_iris

from tf_logreg.exact import information
from tf_logreg.exact.host import Block


@pytest.mark.parametrize("power", [0, 1, 2])
def test_blocks_add_up(power):
    x, y = noisy_iris()
    weight = np.random.default_rng(0).uniform(0.5, 2, 150)
    theta = np.random.default_rng(1).normal(size=(5, 2)) / 10
    columns = information.Columns(np.arange(4), x.mean(axis=0), np.ones(4), True)

    def block(at):
        return Block(x[at], y[at], weight[at], np.zeros((len(x[at]), 1)), np.zeros(len(x[at]), int))

    whole = information.of_rows([block(slice(None))], theta, columns, power=power)
    parts = [block(slice(a, b)) for a, b in itertools.pairwise([0, 40, 41, 150])]
    for ours, theirs in zip(
        vars(information.of_rows(parts, theta, columns, power=power)).values(),
        vars(whole).values(),
        strict=True,
    ):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-10)
