"""Which unpenalised columns depend on others, and that those which only come close do not."""

import numpy as np
import pytest
from host_problems import one_block, problem_at

from tf_logreg.exact import dependence, host

EPS = np.finfo(float).eps


def found(x, *, bias=True, l2=0.0, eps=EPS, classes=2):
    """(rank, columns, indices that take part), or None."""
    problem = problem_at(
        x, np.zeros((x.shape[1] + bias, 1 if classes == 2 else classes)), bias=bias, l1=0, l2=0, classes=2
    )
    problem.l2[: x.shape[1]] = np.broadcast_to(l2, x.shape[1])[:, None]
    spread = x.std(axis=0, dtype=float)
    scale = 1 / np.where(spread > 0, spread, 1)
    blocks = one_block(x, np.zeros(len(x), int), np.ones(len(x)))
    result = dependence.dependence(blocks, problem, scale, eps)
    return result and (result.rank, result.columns, np.flatnonzero(result.takes_part).tolist())


def normal(rows=200, columns=4, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns))


def test_independent_columns_have_nothing_to_say():
    assert found(normal()) is None


@pytest.mark.parametrize("classes", [2, 3])
def test_a_sum_of_two_columns_and_its_terms_take_part(classes):
    x = normal()
    x[:, 3] = x[:, 0] + x[:, 2]
    assert found(x, classes=classes) == (3, 4, [0, 2, 3])


def test_a_full_set_of_indicators_depends_on_the_bias_alone():
    x = np.hstack([np.eye(4)[np.random.default_rng(0).integers(0, 4, 200)], normal(columns=1)])
    assert found(x) == (4, 5, [0, 1, 2, 3])
    assert found(x, bias=False) is None


def test_a_constant_column_depends_on_the_bias():
    x = np.hstack([normal(), np.full((200, 1), 3.0)])
    assert found(x) == (4, 5, [4])
    assert found(x, bias=False) is None


def test_more_columns_than_rows():
    rank, columns, takes_part = found(normal(rows=6, columns=9))
    assert (rank, columns) == (5, 9)
    assert len(takes_part) == 9


def test_a_penalty_identifies():
    x = normal()
    x[:, 3] = x[:, 0]
    assert found(x, l2=[0, 0, 0, 1e-3]) is None
    assert found(x, l2=[0, 1e-3, 1e-3, 0]) == (1, 2, [0, 3])


@pytest.mark.parametrize("size", [1, 4, 7, 200])
def test_blocks_of_any_size_tell_the_same(size):
    x = normal(columns=7)
    x[:, 3] = x[:, 0] + x[:, 2]
    problem = problem_at(x, np.zeros((8, 1)), bias=True, l1=0, l2=0, classes=2)

    def blocks():
        for start in range(0, 200, size):
            some = x[start : start + size]
            none = np.zeros(len(some), int)
            yield host.Block(some, none, np.ones(len(some)), np.zeros((len(some), 1)), none)

    result = dependence.dependence(blocks, problem, np.ones(7), EPS)
    assert (result.rank, result.columns) == (6, 7)
    assert np.flatnonzero(result.takes_part).tolist() == [0, 2, 3]


@pytest.mark.parametrize("noise", [1e-6, 1e-10, 1e-12])
def test_close_is_not_dependent(noise):
    x = normal()
    x[:, 3] = x[:, 0] + noise * normal(columns=1, seed=1)[:, 0]
    assert found(x) is None


def test_a_sum_rounded_to_float32_is_dependent_in_float32():
    x = normal().astype(np.float32)
    x[:, 3] = x[:, 0] + x[:, 2]
    assert found(x, eps=np.finfo(np.float32).eps) == (3, 4, [0, 2, 3])
    x[:, 3] += (1e-4 * normal(columns=1, seed=1)[:, 0]).astype(np.float32)
    assert found(x, eps=np.finfo(np.float32).eps) is None


def test_a_sum_far_from_zero_is_dependent_to_its_rounding():
    x = normal() + 1e6
    x[:, 3] = x[:, 0] + x[:, 2]
    assert found(x) == (3, 4, [0, 2, 3])
