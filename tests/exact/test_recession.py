"""Which coefficients run off along some separating direction, not only those that suffice to separate."""

import numpy as np
import pytest
import scipy.optimize
from host_problems import one_block, problem_at

from tf_logreg.exact import recession, separation


def named(x, y, classes=2, l2=0.0):
    """(features, whole) that run off, of columns a, b, c, ... with a bias."""
    problem = problem_at(
        x, np.zeros((x.shape[1] + 1, 1 if classes == 2 else classes)), bias=True, l1=0, l2=0, classes=classes
    )
    problem.l2[:-1] = np.broadcast_to(l2, x.shape[1])[:, None]
    scale = 1 / np.maximum(x.std(axis=0), 1e-300)
    blocks = one_block(x, y, np.ones(len(y)))
    direction, _ = separation.separating_direction(blocks, problem, scale)
    assert direction is not None
    moved, whole = recession.running_off(blocks, problem, scale, direction)
    return separation.names(moved, tuple("abcdefgh"[: x.shape[1]]), tuple("xyz"[:classes]))[0], whole


def can_move(x, y):
    """By two programmes a coefficient: whether some direction of the cone moves it (a sigmoid, full rank)."""
    rows = np.hstack([x - x.mean(axis=0), np.ones((len(x), 1))]) * (2 * y - 1)[:, None]
    found = []
    for j in range(x.shape[1]):
        cost = np.eye(rows.shape[1])[j]
        least, most = (
            scipy.optimize.linprog(sign * cost, A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1)).fun
            for sign in (1, -1)
        )
        found.append(max(-least, -most) > 1e-7)
    return found


def overlapping(rng, rows, columns):
    x = rng.normal(size=(rows, columns))
    return x, (x[:, 0] + rng.logistic(size=rows) > 0).astype(int)


def test_three_columns_of_cases_alone_are_all_named():
    rng = np.random.default_rng(0)
    x, y = overlapping(rng, 120, 2)
    markers = (rng.random((120, 3)) < 0.2) & (y == 1)[:, None]
    assert named(np.hstack([x, markers]), y) == (("c", "d", "e"), True)


def test_one_of_three_markers_that_includes_the_others_does_not_hide_them():
    rng = np.random.default_rng(1)
    x, y = overlapping(rng, 120, 2)
    first = (rng.random(120) < 0.2) & (y == 1)
    second = (rng.random(120) < 0.2) & (y == 1)
    assert named(np.column_stack([x, first, second, first | second]), y) == (("c", "d", "e"), True)


@pytest.mark.parametrize("seed", range(12))
def test_the_names_are_those_of_programmes_by_coefficient(seed):
    rng = np.random.default_rng(seed)
    x, y = overlapping(rng, 60, 3)
    extra = [(y == 1) & (rng.random(60) < 0.3), (y == 0) & (rng.random(60) < 0.1), rng.random(60) < 0.3]
    kept = extra[: 1 + seed % 3]
    x = np.column_stack([x, *kept, np.where(kept[0], rng.normal(size=60), 0)])
    features, whole = named(x, y)
    assert whole
    assert features == tuple(name for name, moves in zip("abcdefgh", can_move(x, y), strict=False) if moves)


def test_complete_separation_names_every_column_that_varies():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(40, 3)), np.full(40, 2.0)])
    y = (x[:, 0] > 0).astype(int)
    assert named(x, y) == (("a", "b", "c"), True)


def test_equal_columns_that_overlap_are_not_named():
    rng = np.random.default_rng(0)
    x, y = overlapping(rng, 100, 2)
    marker = (rng.random(100) < 0.3) & (y == 1)
    assert named(np.column_stack([x, x[:, 1], marker]), y) == (("d",), True)
    assert named(np.column_stack([x, marker, marker]), y) == (("c", "d"), True)


def test_a_penalised_marker_stays():
    rng = np.random.default_rng(0)
    x, y = overlapping(rng, 100, 2)
    markers = (rng.random((100, 2)) < 0.3) & (y == 1)[:, None]
    assert named(np.hstack([x, markers]), y, l2=[0, 0, 0, 1e-3]) == (("c",), True)


def test_a_softmax_names_columns_of_any_pair_of_classes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    y = (x[:, :1] * [1, 0, -1] + rng.gumbel(size=(200, 3))).argmax(axis=1)
    one = (rng.random(200) < 0.3) & (y == 2)
    two = (rng.random(200) < 0.3) & (y != 0)
    assert named(np.column_stack([x, one, two]), y, classes=3) == (("c", "d"), True)
