"""Problems in float64 NumPy, as certificates see them, and their optimum."""

import dataclasses
import itertools

import numpy as np

from tf_logreg.exact import host


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


def solved(seed=0, l1=0.0, l2=1e-3, bias=True, classes=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 4))
    y = (x @ rng.normal(size=(4, classes)) + rng.gumbel(size=(200, classes))).argmax(axis=1)
    weight = rng.uniform(0.5, 2, 200)
    w = np.zeros((4 + bias, 1 if classes == 2 else classes))
    problem = problem_at(x, w, bias=bias, l1=l1, l2=l2, classes=classes)
    w, _ = newton(x, y, weight, w, problem, 50)
    return x, y, weight, dataclasses.replace(problem, w=w)
