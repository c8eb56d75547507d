"""Directions along which separated data have no optimum, and the columns that they name."""

import dataclasses

import numpy as np
import pytest
from host_problems import one_block, problem_at

from tf_logreg.exact import separation


# Heinze and Schemper (Statistics in Medicine 21, 2002) tell of NV in endometrial cancer: a binary column
# that is 1 only among cases. This set has the same shape, at random.
def quasi_separated(classes=2):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = (x[:, 0] + rng.logistic(size=80) > 0).astype(int)
    if classes == 3:
        y = (x[:, :1] * [0, 1, -1] + rng.gumbel(size=(80, 3))).argmax(axis=1)
    nv = ((y == 1) & (rng.random(80) < 0.3)).astype(float)
    return np.hstack([x, nv[:, None]]), y


@pytest.mark.parametrize("classes", [2, 3])
def test_quasi_separation_names_the_column(classes):
    x, y = quasi_separated(classes)
    outputs = 1 if classes == 2 else 3
    problem = problem_at(x, np.zeros((5, outputs)), bias=True, l1=0, l2=0, classes=classes)
    direction, settled = separation.separating_direction(one_block(x, y, np.ones(80)), problem, np.ones(4))
    assert settled
    columns = np.hstack([x - problem.centre, np.ones((80, 1))])
    z = columns @ direction
    z = np.hstack([np.zeros_like(z), z]) if outputs == 1 else z
    margins = z[np.arange(80), y][:, None] - z
    assert margins.min() > -1e-7
    assert margins.max() > 0.1
    features, names = separation.names(direction, ("a", "b", "c", "nv"), ("x", "y", "z")[:classes])
    assert features == ("nv",)
    assert "y" in names


@pytest.mark.parametrize("classes", [2, 3])
def test_a_fit_whose_margins_are_all_above_zero_needs_no_programme(monkeypatch, classes):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 40)), rng.integers(0, classes, 30)
    monkeypatch.setattr(separation, "_LARGEST_PROGRAMME", 10)
    problem = problem_at(x, np.zeros((41, 1 if classes == 2 else 3)), bias=True, l1=0, l2=0, classes=classes)
    unknown = separation.separating_direction(one_block(x, y, np.ones(30)), problem, np.ones(40))
    assert unknown == (None, False)
    codes = np.eye(classes)[y][:, 1:] if classes == 2 else np.eye(classes)[y]
    columns = np.hstack([x - problem.centre, np.ones((30, 1))])
    w = np.linalg.lstsq(columns, 2 * codes - 1, rcond=None)[0]
    l2 = problem.l2.copy()
    l2[3] = 1e-3  # the others separate without it
    w[3] = 0
    for one in (dataclasses.replace(problem, w=w), dataclasses.replace(problem, w=w, l2=l2)):
        direction, settled = separation.separating_direction(
            one_block(x, y, np.ones(30)), dataclasses.replace(one, w=w), np.ones(40)
        )
        assert settled
        assert direction is not None
        assert (direction[3] == 0).all()


def test_one_flipped_row_makes_the_optimum_finite():
    x, y = quasi_separated()
    x[np.flatnonzero(y == 0)[0], 3] = 1
    problem = problem_at(x, np.zeros((5, 1)), bias=True, l1=0, l2=0, classes=2)
    found = separation.separating_direction(one_block(x, y, np.ones(80)), problem, np.ones(4))
    assert found == (None, True)


def test_a_penalty_on_the_column_makes_the_optimum_finite():
    x, y = quasi_separated()
    problem = problem_at(x, np.zeros((5, 1)), bias=True, l1=0, l2=0, classes=2)
    l2 = problem.l2.copy()
    l2[3] = 1e-3
    problem = dataclasses.replace(problem, l2=l2)
    found = separation.separating_direction(one_block(x, y, np.ones(80)), problem, np.ones(4))
    assert found == (None, True)
