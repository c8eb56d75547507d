"""Optima in 50-digit arithmetic, by Newton's method from a point near them."""

import mpmath


def optimum(x, y, weight, problem):
    """The optimum nearest to problem.w, [q, m] of mpf; None where l1 would change which coefficients are zero.

    Args:
        x: [n, p] float64, as given. y: [n]. weight: [n].
        problem: a `host.Problem`, whose zeros stay. Rows of a softmax without a penalty sum to zero.
    """
    with mpmath.workdps(50):
        w = mpmath.matrix(problem.w.tolist())
        rows = [
            [mpmath.mpf(v) - mpmath.mpf(c) for v, c in zip(row, problem.centre, strict=True)]
            for row in x.tolist()
        ]
        rows = [row + [mpmath.mpf(1)] * problem.has_bias for row in rows]
        total = mpmath.fsum(weight.tolist())
        shares = [mpmath.mpf(s) / total for s in weight.tolist()]
        free = [
            (i, c)
            for i in range(w.rows)
            for c in range(w.cols)
            if not (problem.l1[i, c] and not problem.w[i, c])
        ]
        for _ in range(8 if free else 0):
            gradient, hessian = _derivatives(rows, y.tolist(), shares, w, problem, free)
            step = mpmath.lu_solve(hessian, mpmath.matrix([gradient[place] for place in free]))
            for place, move in zip(free, step, strict=True):
                w[place] -= move
            if max(abs(move) for move in step) < mpmath.mpf(10) ** -40:
                break
        gradient, _ = _derivatives(rows, y.tolist(), shares, w, problem, free)
        zeros = [(i, c) for i in range(w.rows) for c in range(w.cols) if (i, c) not in free]
        same = all(w[i, c] * problem.w[i, c] > 0 for i, c in free if problem.l1[i, c])
        held = all(abs(gradient[i, c]) <= problem.l1[i, c] for i, c in zeros)
        return w if same and held else None


def _derivatives(rows, y, shares, w, problem, free):
    """The gradient by place, and the Hessian of the free coefficients."""
    q, m = w.rows, w.cols
    gradient = {(i, c): mpmath.mpf(problem.l2[i, c]) * w[i, c] for i in range(q) for c in range(m)}
    for i, c in free:
        gradient[i, c] += mpmath.mpf(problem.l1[i, c]) * mpmath.sign(problem.w[i, c])
    hessian = mpmath.diag([mpmath.mpf(problem.l2[place]) for place in free])
    for row, label, share in zip(rows, y, shares, strict=True):
        z = [mpmath.fdot(row, [w[i, c] for i in range(q)]) for c in range(m)]
        z = [mpmath.mpf(0), *z] if m == 1 else z
        top = max(z)
        p = [mpmath.exp(v - top) for v in z]
        total = sum(p)
        p = [v / total for v in p]
        error = [v - (c == label) for c, v in enumerate(p)][-m:]
        p = p[-m:]
        for place in gradient:
            gradient[place] += share * row[place[0]] * error[place[1]]
        for a, (i, c) in enumerate(free):
            for b, (j, d) in enumerate(free[: a + 1]):
                more = share * row[i] * row[j] * p[c] * ((c == d) - p[d])
                hessian[a, b] += more
                if a != b:
                    hessian[b, a] += more
    bare = [i for i in range(q) if m > 1 and not problem.l2[i].any() and not problem.l1[i].any()]
    for i in bare:
        for c in range(m):
            gradient[i, c] += sum(w[i, d] for d in range(m))
            for d in range(m):
                hessian[free.index((i, c)), free.index((i, d))] += 1
    return gradient, hessian
