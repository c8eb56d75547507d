"""The bound is never below the truth, whatever the problem, and close to it near the optimum.

The truth is the optimum in 50-digit arithmetic: Newton's method in mpmath from a float64 solution.
"""

import dataclasses

import mpmath
import numpy as np
import pytest
from host_problems import newton, one_block, problem_at, solved

from tf_logreg import machine
from tf_logreg.exact import certificate, host, normal_equations


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


@pytest.mark.parametrize("start", range(0, 100, 50))
def test_the_bound_is_never_below_the_truth(start):
    assert sum(check_case(seed) for seed in range(start, start + 50)) > 50


def test_by_the_normal_matrix_it_is_not_either(monkeypatch):
    """As with a thousand classes, where a QR decomposition takes too long."""
    monkeypatch.setattr(normal_equations, "_MOST_BY_QR", 0)
    assert sum(check_case(seed) for seed in range(50)) > 50


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
    assert host.block_elements(784, 11) == 784 * (2**19 // 784)
    # Sums over the pairs of ten classes need more rows than a block of so many features would have.
    assert host.block_elements(4096, 10) == 4096 * 4 * (10 + 45)
    assert host.block_elements(4, 3, 225) // 4 * 3 * 225 <= 2**18


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(start, marks=pytest.mark.long if start < 1000 else pytest.mark.deep)
        for start in range(100, 10_000, 450)
    ],
)
def test_the_bound_is_never_below_the_truth_at_length(start):
    assert sum(check_case(seed) for seed in range(start, start + 450)) > 450


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 1e-8), (0.01, 1e-8), (0.0, 1e-3)])
def test_no_bound_is_above_the_objective_itself(l1, l2):
    """Away from the optimum, where a weak l2 divides a large gradient."""
    x, y, weight, problem = solved(l1=l1, l2=l2)
    away = dataclasses.replace(
        problem, w=problem.w + np.random.default_rng(0).normal(size=problem.w.shape) / 2
    )
    found, best = certificate.certify(one_block(x, y, weight), [away, problem], enough=np.full(2, np.inf))
    assert found.gradient_bound is None or found.gradient_bound > found.objective
    assert found.objective - best.objective <= found.gap <= found.objective + found.rounding


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


@pytest.mark.parametrize(("classes", "l1", "l2"), [(2, 0, 1e-2), (3, 0, 1e-2), (2, 0, 0), (3, 0.02, 0)])
def test_the_number_of_cores_changes_no_digit(monkeypatch, classes, l1, l2):
    x, y, weight, problem = solved(l1=l1, l2=l2, classes=classes)
    problem, arrays = dataclasses.replace(problem, w=0.99 * problem.w), (x, y, weight)

    def blocks():
        for start in range(0, 200, 7):
            part = [array[start : start + 7] for array in arrays]
            yield from one_block(*part)()

    def with_cores(number):
        monkeypatch.setattr(machine, "cores", lambda: number)
        (found,) = certificate.certify(blocks, [problem])
        return found

    one, several = with_cores(1), with_cores(3)
    assert one.gap is not None
    assert (one.gap, one.rounding, one.objective) == (several.gap, several.rounding, several.objective)
    np.testing.assert_array_equal(one.gradient, several.gradient)
