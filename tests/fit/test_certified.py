"""Certificates from the rows as they are given, and from rows that are centred, are the same."""

import dataclasses
import types

import numpy as np
import pytest

from tf_logreg.data import arrays, moments
from tf_logreg.fit.full_batch import certified, penalized

ALONE = types.SimpleNamespace(
    workers=types.SimpleNamespace(replicas=range(1)), replicas=1, gather=lambda array: np.asarray(array)[None]
)


def problems_over(x, y, classes, *, l1, l2, bias):
    """Two problems, one of them without the rows of fold 1."""
    source = arrays.from_arrays(x, y, class_names=tuple("abcd"[:classes]))
    found = types.SimpleNamespace(mean=x.mean(axis=0, dtype=float), deviation=x.std(axis=0, dtype=float))
    columns = moments.affine(found, standardize=True, bias=bias, dtype=source.x_dtype)
    p, outputs = x.shape[1], 1 if classes == 2 else classes
    held_out = np.array([-1, 1], np.int32)
    given = penalized.Penalized(
        None,
        (p, outputs),
        bias,
        held_out,
        np.ones((2, classes)),
        np.full((2, p), l1),
        np.full((2, p), l2),
        len(y),
    )
    return certified.Certified(given, source, np.arange(len(y)), columns, ALONE, np.arange(len(y)) % 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("means", [(0.5, -7, 0, 2), (0.5, 1e4, 0, -2)])
@pytest.mark.parametrize(
    ("classes", "l1", "l2", "bias"),
    [(2, 0, 1e-2, True), (3, 0, 1e-2, True), (2, 0.02, 0, True), (2, 0, 0, True), (3, 0, 1e-2, False)],
)
def test_columns_near_zero_need_no_centring(monkeypatch, dtype, layout, means, classes, l1, l2, bias):
    rng = np.random.default_rng(0)
    x = np.asarray(rng.normal(size=(300, 4)) + means, dtype, order=layout)
    y = (x[:, :classes] + rng.gumbel(size=(300, classes))).argmax(axis=1)
    monkeypatch.setattr("tf_logreg.exact.host._BLOCK", 4 * 90)
    given = problems_over(x, y, classes, l1=l1, l2=l2, bias=bias)
    w, both = 1e-3 * rng.normal(size=(2, given.problems.size)), np.arange(2)
    found, (values, gradients) = given.certify(w, both, np.zeros(2)), given.exact(w, both)
    given = dataclasses.replace(given, columns=dataclasses.replace(given.columns, far=np.ones(4, bool)))
    expected, (all_values, all_gradients) = given.certify(w, both, np.zeros(2)), given.exact(w, both)
    np.testing.assert_allclose(values, all_values, rtol=1e-14)
    np.testing.assert_allclose(gradients, all_gradients, atol=1e-14)
    for one, other in zip(found, expected, strict=True):
        assert one.objective == pytest.approx(other.objective, rel=1e-14)
        assert one.gap == (other.gap and pytest.approx(other.gap, rel=1e-9))
