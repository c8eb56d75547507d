"""The bound is never below the truth, whatever the problem, and close to it near the optimum.

The truth is the optimum in 50-digit arithmetic: Newton's method in mpmath from a float64 solution.
"""

import dataclasses
import itertools

import mpmath
import numpy as np
import pytest

from tf_logreg.model import certificate, host, projection, separation


def one_block(x, y, weight, offset=None):
    """All rows at once, and as uneven blocks."""
    offset = np.zeros((len(y), 1)) if offset is None else offset
    arrays = (x, y, weight, offset, np.zeros(len(y), int))
    cuts = [0, len(y) // 3, len(y)]

    def blocks():
        for a, b in itertools.pairwise(cuts):
            yield host.Block(*(array[a:b] for array in arrays))

    return blocks


def problem_at(x, w, *, bias, l1, l2, classes):
    """The record at w [q, m], the penalties uniform but for the bias."""
    outputs = w.shape[1]

    def whole(value):
        rows = np.full((x.shape[1], outputs), float(value))
        return np.vstack([rows, np.zeros((1, outputs))]) if bias else rows

    centre = x.mean(axis=0) if bias else np.zeros(x.shape[1])
    return host.Problem(w, centre, whole(l1), whole(l2), np.ones(classes))


def random_case(seed):
    """x, y, weight, bias, l1, l2, classes: hard in one way or another."""
    rng = np.random.default_rng(seed)
    classes, p, n = int(rng.integers(2, 5)), int(rng.integers(1, 5)), int(rng.integers(6, 25))
    x = rng.normal(size=(n, p))
    kind = seed % 5
    if kind == 1:  # conditioning up to 1e8
        x = x * 10.0 ** rng.uniform(-4, 4, p)
    elif kind == 2:  # a column twice
        x = np.hstack([x, x[:, :1]])
    elif kind == 3:  # nearly separable
        x[:, 0] += 3 * np.arange(n) / n
    z = x / np.abs(x).max(axis=0) @ rng.normal(size=(x.shape[1], classes)) * 2
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    y[:classes] = np.arange(classes)
    l1, l2 = [(0.0, 0.0), (0.0, 10.0 ** rng.uniform(-6, 0)), (10.0 ** rng.uniform(-3, -1), 0.0),
              (0.01, 0.01)][int(rng.integers(4))]  # fmt: skip
    return x, y, rng.uniform(0.5, 2, n), bool(rng.integers(2)), l1, l2, classes


@np.errstate(over="ignore", invalid="ignore")  # its line search refuses what overflows
def newton(x, y, weight, w, problem, steps):
    """Damped Newton in float64 on the coefficients that l1 leaves free; a reference, not a solver."""
    q, outputs = w.shape
    columns = np.hstack([x - problem.centre, np.ones((len(x), 1))])[:, :q]
    share, sign = weight / weight.sum(), np.sign(w)
    free = (problem.l1 == 0) | (w != 0)

    def value(at):
        z = columns @ at
        z = np.hstack([np.zeros_like(z), z]) if outputs == 1 else z
        top = z.max(axis=1)
        loss = top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - z[np.arange(len(y)), y]
        return share @ loss + (problem.l2 / 2 * at**2 + problem.l1 * np.abs(at)).sum()

    for _ in range(steps):
        z = columns @ w
        z = np.hstack([np.zeros_like(z), z]) if outputs == 1 else z
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        error = (p - np.eye(p.shape[1])[y])[:, -outputs:]
        gradient = columns.T @ (share[:, None] * error) + problem.l2 * w + problem.l1 * sign
        p = p[:, -outputs:]
        curvature = np.einsum("ic,cd->icd", p, np.eye(outputs)) - p[:, :, None] * p[:, None, :]
        hessian = np.einsum("i,ij,icd,ik->jckd", share, columns, curvature, columns).reshape(w.size, w.size)
        hessian += np.diag(problem.l2.ravel())
        at = free.ravel()
        step = np.zeros(w.size)
        step[at] = np.linalg.lstsq(hessian[np.ix_(at, at)], gradient.ravel()[at], rcond=1e-13)[0]
        t, step = 1.0, step.reshape(w.shape)
        while t > 1e-10 and not value(w - t * step) <= value(w):
            t /= 2
        if t <= 1e-10:
            break
        w = w - t * step
    return w, value(w)


def exact_value(x, y, weight, w, problem):
    """F(w) in 50 digits."""
    mpmath.mp.dps = 50
    total, weights = mpmath.mpf(0), mpmath.fsum(map(mpmath.mpf, weight.tolist()))
    q, outputs = w.shape
    for row, label, s in zip(x - problem.centre, y, weight, strict=True):
        row = [mpmath.mpf(v) for v in [*row.tolist(), 1.0][:q]]
        z = [mpmath.fdot(row, map(mpmath.mpf, w[:, c].tolist())) for c in range(outputs)]
        z = [mpmath.mpf(0), *z] if outputs == 1 else z
        top = max(z)
        total += mpmath.mpf(s) * (top + mpmath.log(mpmath.fsum(mpmath.exp(v - top) for v in z)) - z[label])
    penalty = mpmath.fsum(
        mpmath.mpf(b) / 2 * mpmath.mpf(v) ** 2 + mpmath.mpf(a) * abs(mpmath.mpf(v))
        for a, b, v in zip(
            problem.l1.ravel().tolist(), problem.l2.ravel().tolist(), w.ravel().tolist(), strict=True
        )
    )
    return total / weights + penalty


def check_case(seed):
    """The bound of points near and far against a point that is better: F(w) - gap <= F(better)."""
    x, y, weight, bias, l1, l2, classes = random_case(seed)
    outputs = 1 if classes == 2 else classes
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(x.shape[1] + bias, outputs)) / np.abs(x).max()
    if l1:
        w[rng.random(w.shape) < 0.3] = 0
    blocks = one_block(x, y, weight)
    problem = problem_at(x, w, bias=bias, l1=l1, l2=l2, classes=classes)
    best, _ = newton(x, y, weight, w, problem, 60)
    lowest = exact_value(x, y, weight, best, problem)
    certified = 0
    for point in (
        w,
        best,
        best + 1e-4 * rng.normal(size=w.shape) * np.abs(best),
        *newton_path(x, y, weight, w, problem),
    ):
        at = dataclasses.replace(problem, w=point)
        found = certificate.certify(blocks, [at])[0]
        value = exact_value(x, y, weight, point, at)
        assert abs(found.objective - value) <= found.rounding + 1e-15, seed
        for bound in (found.gap, found.gradient_bound):
            if bound is not None:
                assert value - mpmath.mpf(bound) <= lowest, (seed, bound, value - lowest)
        certified += found.gap is not None
    return certified


def newton_path(x, y, weight, w, problem):
    return [newton(x, y, weight, w, problem, steps)[0] for steps in (2, 5)]


@pytest.mark.parametrize("start", range(0, 200, 100))
def test_the_bound_is_never_below_the_truth(start):
    assert sum(check_case(seed) for seed in range(start, start + 100)) > 100


def test_by_the_normal_matrix_it_is_not_either(monkeypatch):
    """As with a thousand classes, where a QR decomposition takes too long."""
    monkeypatch.setattr(projection, "_MOST_BY_QR", 0)
    assert sum(check_case(seed) for seed in range(50)) > 50


@pytest.mark.parametrize("classes", [2, 3])
def test_both_projections_give_the_same_bound(monkeypatch, classes):
    x, y, weight, problem = solved(l2=0.0, classes=classes)
    problem = dataclasses.replace(problem, w=problem.w * 0.99)
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    monkeypatch.setattr(projection, "_MOST_BY_QR", 0)
    (other,) = certificate.certify(one_block(x, y, weight), [problem])
    assert other.gap == pytest.approx(found.gap, rel=1e-9)


def test_the_biases_projection_keeps_its_digits():
    """Two pairs of classes with a thread of 1e-20 between them: R against elimination in 50 digits."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 30).T
    p[:2, :15] *= 1e-20
    p[2:, 15:] *= 1e-20
    p, weight = p / p.sum(axis=0), rng.uniform(0.5, 2, 30)
    problem = problem_at(np.zeros((30, 1)), np.zeros((2, 4)), bias=True, l1=0, l2=1, classes=4)
    factor = projection._root_of_laplacian(projection.design(np.zeros((30, 1)), weight, p, problem))
    assert factor[1, 1] < 1e-8 < factor[0, 0]
    with mpmath.workdps(50):
        exact = np.vectorize(mpmath.mpf, otypes=[object])
        left = -(exact(p) * exact(weight)) @ exact(p).T
        for i in range(4):
            left[i, i] -= left[i].sum()
        for i in range(3):
            expected = left[i] / mpmath.sqrt(left[i, i])
            np.testing.assert_allclose(factor[i, i:], expected[i:].astype(float), rtol=1e-14)
            left -= np.outer(expected, expected)


@pytest.mark.parametrize(
    ("classes", "l1", "l2"),
    [(2, 0, 1e-2), (2, 0.03, 0), (3, 0, 0), (3, 0, 1e-3), (3, 0.03, 0), (3, 0.01, 0.1)],
)
def test_problems_that_hold_rows_out_are_those_of_the_other_rows(classes, l1, l2):
    """Whatever the rows that do not count hold; the second block is held out whole."""
    x, y, weight, problem = solved(l1=l1, l2=l2, classes=classes)
    if l1:
        problem.w[1] = 0  # outside the box where rows are left out
    fold = np.where(np.arange(200) < 100, np.arange(200) % 3, 1)
    offset = 0.1 * np.random.default_rng(1).normal(size=(200, 1))
    changes = [{"held_out": 1}, {"held_out": 0, "latest": 1}, {"held_out": 1, "latest": 0}, {}]
    changes.append({"held_out": 1, "class_weight": np.array([0.5, 1.0, 2.0])[:classes]})
    kept = [fold != 1, fold == 1, fold == 0, fold >= 0, fold != 1]
    for rows, change in zip(kept, changes, strict=True):
        far = np.where(rows[:, None], x, 1e6 * x)
        blocks = [
            host.Block(*(a[part] for a in (far, y, weight, offset, fold)))
            for part in (slice(100), slice(100, 200))
        ]
        problems = [dataclasses.replace(problem, w=w * problem.w, **change) for w in (0.9, 1.0)]
        one = [dataclasses.replace(p, held_out=-1, latest=np.iinfo(np.int32).max) for p in problems]
        expected = certificate.certify(one_block(x[rows], y[rows], weight[rows], offset[rows]), one)
        for found, alone in zip(
            certificate.certify(lambda blocks=blocks: blocks, problems), expected, strict=True
        ):
            assert found.objective == pytest.approx(alone.objective, rel=1e-13)
            assert (found.reason, found.unclear) == (alone.reason, alone.unclear)
            assert (found.gap is None) == (alone.gap is None)
            assert found.gap is None or found.gap == pytest.approx(alone.gap, rel=1e-9)
            np.testing.assert_allclose(found.gradient, alone.gradient, atol=1e-14)


def test_blocks_of_many_problems_hold_fewer_rows():
    assert host.block_elements(784, 10) == 784 * (2**18 // 784)
    assert host.block_elements(4, 3, 225) // 4 * 3 * 225 <= 2**20


@pytest.mark.long
@pytest.mark.parametrize("start", range(200, 10_000, 490))
def test_the_bound_is_never_below_the_truth_at_length(start):
    assert sum(check_case(seed) for seed in range(start, start + 490)) > 490


def solved(seed=0, l1=0.0, l2=1e-3, bias=True, classes=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 4))
    y = (x @ rng.normal(size=(4, classes)) + rng.gumbel(size=(200, classes))).argmax(axis=1)
    weight = rng.uniform(0.5, 2, 200)
    w = np.zeros((4 + bias, 1 if classes == 2 else classes))
    problem = problem_at(x, w, bias=bias, l1=l1, l2=l2, classes=classes)
    w, _ = newton(x, y, weight, w, problem, 50)
    return x, y, weight, dataclasses.replace(problem, w=w)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("l2", [0.0, 1e-6, 1e-2])
def test_at_the_optimum_the_gap_is_rounding_and_a_tampered_w_raises_it(classes, l2):
    x, y, weight, problem = solved(l2=l2, classes=classes)
    blocks = one_block(x, y, weight)
    (found,) = certificate.certify(blocks, [problem])
    assert found.gap < 1e-13
    w = problem.w.copy()
    for size in (1e-4, 1e-3, 1e-2):
        w[0, 0] = problem.w[0, 0] + size
        (tampered,) = certificate.certify(blocks, [dataclasses.replace(problem, w=w)])
        assert tampered.gap > max(100 * found.gap, tampered.objective - found.objective)


def test_near_the_optimum_the_bound_is_tight_without_a_penalty():
    ratios = []
    for seed in range(20):
        x, y, weight, problem = solved(seed, l2=0.0, classes=2)
        w = problem.w + 1e-3 * np.random.default_rng(seed).normal(size=problem.w.shape)
        found = certificate.certify(one_block(x, y, weight), [dataclasses.replace(problem, w=w), problem])
        ratios.append(found[0].gap / (found[0].objective - found[1].objective))
    assert min(ratios) > 1
    assert np.median(ratios) < 1.01


@pytest.mark.parametrize(
    ("l1", "l2", "bias"), [(0, 1e-2, True), (0, 1e-2, False), (0.01, 0, True), (0.01, 0.1, True)]
)
def test_kkt_recomputed_in_plain_numpy(l1, l2, bias):
    x, y, weight, problem = solved(l1=l1, l2=l2, bias=bias)
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    columns = np.hstack([x - problem.centre, np.ones((200, 1))])[:, : len(problem.w)]
    z = columns @ problem.w
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    gradient = columns.T @ ((weight / weight.sum())[:, None] * (p - np.eye(3)[y])) + problem.l2 * problem.w
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-14)


def test_several_problems_are_each_alone():
    x, y, weight, problem = solved()
    others = [dataclasses.replace(problem, w=problem.w * scale) for scale in (1, 0.9, 0.0)]
    together = certificate.certify(one_block(x, y, weight), others)
    for one, found in zip(others, together, strict=True):
        (alone,) = certificate.certify(one_block(x, y, weight), [one])
        assert found.gap == pytest.approx(alone.gap, rel=1e-9, abs=1e-16)


def test_a_bias_far_from_its_optimum_has_a_bound_by_the_dual_pass():
    x, y, weight, problem = solved(l2=1e-2, classes=2)
    w = problem.w.copy()
    w[-1] += 0.4  # beyond what the first pass alone can say
    found, best = certificate.certify(one_block(x, y, weight), [dataclasses.replace(problem, w=w), problem])
    assert found.gap is not None, found.reason
    assert found.objective - found.gap <= best.objective


def test_too_many_columns_to_project_is_said(monkeypatch):
    monkeypatch.setattr(projection, "_MOST_PROJECTED", 3)
    x, y, weight, problem = solved(l2=0.0)
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    assert found.gap is None
    assert "too many" in found.reason


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
