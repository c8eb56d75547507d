"""The sums of `row_sums` in NumPy, under the same names, for the engine on this machine's cores.

Each function takes weights w [K, q, m] (q = p + 1, the bias last), the problems and a block of B rows, and
returns a list of sums over those rows, numerators and weights undivided, in the dtype of w. Outputs come
before rows in all intermediate arrays, [K, m, B]: sums over outputs then run along rows, which is how NumPy
is fast. Products are `np.dot`, which lets go of Python's lock; `@` keeps it where one side has few rows
(NumPy 2.4), and threads wait. x of the rows may be a `scipy.sparse.csr_array`; the `columns` of programs that
take products of columns then make an array of a block. `Rows.offset` and `Rows.fold` may be None.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse

from tf_logreg.objective import host_losses
from tf_logreg.objective.records import Problems, Rows

SQUARED = {"hessian", "pooled_gram"}  # sums of products of columns, which cancel unless columns are shifted
SPARSE = {"pooled_diagonal"}  # of sparse rows alone, in place of products of columns
GRADIENTS = {"value_and_gradient", "hessian_product"}  # the last of their sums is [K, q, m]


def _with_one(x: np.ndarray) -> np.ndarray:
    """[X, 1], [B, q]."""
    return np.concatenate([x, np.ones((len(x), 1), x.dtype)], axis=1)


def numbers_a_row(name: str, w: np.ndarray, numbers: int) -> int:
    """Numbers in a row of x and of the intermediate arrays that the program `name` makes at w [K, q, m].

    Args:
        numbers: of a row of x itself, those of sparse rows that are not zero.
    """
    k, q, m = w.shape
    return 2 * q + m * q if name in SQUARED else numbers + 1 + 5 * k * m


def value_and_gradient(w: np.ndarray, problems: Problems, rows: Rows) -> list[np.ndarray]:
    """Sums of weights [K], of weighted losses [K] in nats, and the latter's gradient [K, q, m]."""
    z, (weight, own) = _logits(w, rows), _weights(w, problems, rows)
    if z.shape[1] == 1:
        loss, error = host_losses.sigmoid_loss_and_error(z[:, 0], _signs(w, problems, rows))
        loss, error = _weighted_sum(weight, own, loss), error[:, None]
    else:
        loss, error = host_losses.softmax_loss_and_error(z, rows.y)
        loss = _weighted_sum(weight, own, loss)
    error *= _each(weight, own)
    return [weight.sum(axis=1)[own], loss, _transposed(rows.x, error)]


def hessian_product(w: np.ndarray, v: np.ndarray, problems: Problems, rows: Rows) -> list[np.ndarray]:
    """Sums of weights [K], and the Hessian at w of the weighted losses times v: [K, q, m]."""
    both = _products(rows.x, np.concatenate([w, v]))
    z, t = both[: len(w)], both[len(w) :]
    if rows.offset is not None:
        z += rows.offset.T
    weight, own = _weights(w, problems, rows)
    if z.shape[1] == 1:
        t *= host_losses.sigmoid_curvature(z)
    else:
        p = host_losses.softmax(z)
        t -= np.einsum("kmb,kmb->kb", p, t)[:, None]
        t *= p
    t *= _each(weight, own)
    return [weight.sum(axis=1)[own], _transposed(rows.x, t)]


def hessian(
    w: np.ndarray, problems: Problems, rows: Rows, columns: Callable = _with_one, every: int = 1
) -> list[np.ndarray]:
    """Sums of weights [K], and the Hessian of the weighted losses [K, q m, q m]; for few coefficients.

    Args:
        columns: some of x -> their training columns and a column of ones, a new array.
        every: products are made of one row in so many, chosen by curvature (`_chosen`).
    """
    z, (weight, own) = _logits(w, rows), _weights(w, problems, rows)
    (k, m, _), q = z.shape, w.shape[1]
    found, total = np.empty((k, q, m, q, m), w.dtype), weight.sum(axis=1)[own]
    curvature = host_losses.sigmoid_curvature(z) if m == 1 else host_losses.softmax(z)
    whole = columns(rows.x) if every == 1 else None
    for problem, (mine, p) in enumerate(zip(own, curvature, strict=True)):
        own_weight = weight[mine]
        if whole is None:
            by_row = own_weight * (p[0] if m == 1 else (p * (1 - p)).sum(axis=0))
            at, factor = _chosen(by_row, every)
            x, p, own_weight = columns(rows.x[at]), p[:, at], own_weight[at] * factor
        else:
            x = whole
        found[problem] = of_curvature(x, own_weight, p).reshape(q, m, q, m)
    return [total, found.reshape(k, q * m, q * m)]


def of_curvature(x: np.ndarray, weight: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """The Hessian [q m, q m] of one problem's weighted losses.

    Args:
        x: [B, q], the column of ones included. weight: [B]. curvature: [m, B], as of `curvatures`.
    """
    (num_rows, q), m = x.shape, len(curvature)
    if m == 1:
        return _gram(x, weight * curvature[0])
    scaled = np.sqrt(weight) * curvature
    # The products of all pairs of outputs, p_a p_b, are one symmetric product.
    wide = (scaled[:, None] * x.T).reshape(m * q, num_rows)
    found = -np.dot(wide, wide.T).reshape(m, q, m, q).transpose(1, 0, 3, 2)
    for a, d in enumerate(weight * curvature):
        found[:, a, :, a] += _gram(x, d)
    return found.reshape(q * m, q * m)


def curvatures(w: np.ndarray, problems: Problems, rows: Rows) -> list[np.ndarray]:
    """Sums of weights [K]; and of each row its weight [K, B], and [K, m, B] p (1 - p), or p of a softmax."""
    z, (weight, own) = _logits(w, rows), _weights(w, problems, rows)
    found = host_losses.sigmoid_curvature(z) if z.shape[1] == 1 else host_losses.softmax(z)
    return [weight.sum(axis=1)[own], weight[own], found]


def pooled_gram(
    w: np.ndarray, problems: Problems, rows: Rows, columns: Callable = _with_one
) -> list[np.ndarray]:
    """Sums of weights [K], of d_ic [x_i, 1] [K, q, m], of d_ic [x_i, 1] [x_i, 1]^T over all c [K, q, q].

    `columns` is that of `hessian`.
    """
    z, (weight, own) = _logits(w, rows), _weights(w, problems, rows)
    d = host_losses.sigmoid_curvature(z) if z.shape[1] == 1 else host_losses.softmax_curvature(z)
    d *= _each(weight, own)
    x = columns(rows.x)
    grams = np.stack([_gram(x, one) for one in d.sum(axis=1)])
    return [weight.sum(axis=1)[own], _transposed(x[:, :-1], d), grams]


def pooled_diagonal(w: np.ndarray, problems: Problems, rows: Rows) -> list[np.ndarray]:
    """The first two sums of `pooled_gram`, and the diagonals of its third without the ones, [K, p]."""
    z, (weight, own) = _logits(w, rows), _weights(w, problems, rows)
    d = host_losses.sigmoid_curvature(z) if z.shape[1] == 1 else host_losses.softmax_curvature(z)
    d *= _each(weight, own)
    squares = rows.x.copy()
    squares.data *= squares.data
    return [weight.sum(axis=1)[own], _transposed(rows.x, d), _sums_of_columns(squares, d.sum(axis=1))]


def held_out(w: np.ndarray, problems: Problems, rows: Rows) -> list[np.ndarray]:
    """Sums over each problem's held-out rows: weights by class [K, C], losses [K], correct weights [K, C]."""
    return _held_out_sums(_logits(w, rows), problems, rows)


def held_out_one_vs_rest(w: np.ndarray, problems: Problems, rows: Rows) -> list[np.ndarray]:
    """The same for models [K, q, C] of one sigmoid a class, whose probabilities are made to sum to one."""
    z = _logits(w, rows)
    return _held_out_sums(np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z))), problems, rows)


def _held_out_sums(z: np.ndarray, problems: Problems, rows: Rows) -> list[np.ndarray]:
    outputs = z.shape[1]
    fold = 0 if rows.fold is None else rows.fold
    weight = np.where(fold == problems.held_out[:, None], rows.weight, 0).astype(z.dtype)
    first = z[:, 0] > 0 if outputs == 1 else z.argmax(axis=1)
    correct = weight * (first == rows.y)
    if outputs == 1:
        loss, _ = host_losses.sigmoid_loss_and_error(z[:, 0], (1 - 2 * rows.y).astype(z.dtype))
    else:
        loss, _ = host_losses.softmax_loss_and_error(z, rows.y)
    classes = (rows.y[:, None] == np.arange(max(outputs, 2))).astype(z.dtype)
    return [weight @ classes, np.einsum("kb,kb->k", weight, loss), correct @ classes]


def _products(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """X W_k + b_k of K models, [K, m, B]."""
    k, q, m = w.shape
    columns = w.transpose(0, 2, 1).reshape(k * m, q)
    if scipy.sparse.issparse(x):
        # SciPy reads its rows faster for one column after another than for all at once.
        z = np.stack([x @ np.ascontiguousarray(one) for one in columns[:, :-1]])
    else:
        z = np.dot(columns[:, :-1], x.T)
    z += columns[:, -1:]
    return z.reshape(k, m, x.shape[0])


def _logits(w: np.ndarray, rows: Rows) -> np.ndarray:
    z = _products(rows.x, w)
    if rows.offset is not None:
        z += rows.offset.T
    return z


def _transposed(x: np.ndarray, r: np.ndarray) -> np.ndarray:
    """[X, 1]^T R of K models from r [K, m, B]: [K, q, m]."""
    k, m, num_rows = r.shape
    found = np.empty((k, m, x.shape[1] + 1), r.dtype)
    found[:, :, :-1] = _sums_of_columns(x, r.reshape(k * m, num_rows)).reshape(k, m, -1)
    found[:, :, -1] = r.sum(axis=2)
    return found.transpose(0, 2, 1)


def _sums_of_columns(x: np.ndarray, r: np.ndarray) -> np.ndarray:
    """R X [J, p] of r [J, B]."""
    if scipy.sparse.issparse(x):
        transposed = x.T
        return np.stack([transposed @ np.ascontiguousarray(one) for one in r])
    return np.dot(r, x)


def _gram(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    """X^T diag(d) X, with d >= 0; BLAS makes half of a product of an array with itself."""
    scaled = x * np.sqrt(d)[:, None]
    return np.dot(scaled.T, scaled)


def _chosen(curvature: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """One row in `every`, the likelier the more curvature it has, and the factors that make up for the rest.

    Rows [B] above a threshold of curvature are taken, others with a chance of their share of it. On data that
    are almost separated a few rows in a hundred have nearly all of the curvature. The choice is evenly spaced
    in the sum of the chances, so repeats are equal (systematic sampling; Madow, Ann. Math. Stat. 20, 1949).
    """
    wanted = max(1, len(curvature) // every)
    threshold = curvature.sum(dtype=np.float64) / wanted
    for _ in range(5):  # each round finds more rows above it, and lowers it for the rest
        below = curvature < threshold
        left = wanted - np.count_nonzero(~below)
        if left < 1:
            break
        threshold = curvature.sum(where=below, dtype=np.float64) / left
    if not threshold > 0:
        return np.flatnonzero(curvature), np.ones(np.count_nonzero(curvature), curvature.dtype)
    chance = np.minimum(curvature / threshold, 1.0)
    passed = np.floor(np.cumsum(chance, dtype=np.float64) + 0.5)
    at = np.flatnonzero(np.diff(passed, prepend=0.0))
    return at, (1 / chance[at]).astype(curvature.dtype)


def _weights(w: np.ndarray, problems: Problems, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Row weights [U, B] of the problems that differ in them, and which of these are each problem's, [K]."""
    k, fields = len(w), (problems.held_out, problems.latest, problems.class_weight)
    keys = [tuple(field[i % len(field)].tobytes() for field in fields) for i in range(k)] if k > 1 else [()]
    place: dict[tuple, int] = {}
    own = np.array([place.setdefault(key, len(place)) for key in keys])
    weight = np.empty((len(place), len(rows.y)), w.dtype)
    for problem, key in enumerate(keys):
        if own[problem] < problem and key in keys[:problem]:
            continue
        held_out, latest, by_class = (field[problem % len(field)] for field in fields)
        mine = weight[own[problem]]
        mine[:] = rows.weight
        if not (by_class == 1).all():
            mine *= by_class.astype(w.dtype)[rows.y]
        if rows.fold is not None:
            mine *= (rows.fold != held_out) & (rows.fold <= latest)
    return weight, own


def row_weights(problems: Problems, rows: Rows) -> np.ndarray:
    """What rows count in the one problem that is given, [B] float64."""
    return _weights(np.empty((1, 0)), problems, rows)[0][0]


def _each(weight: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The row weights of each problem's outputs, [K or 1, 1, B]."""
    return (weight if len(weight) in (1, len(own)) else weight[own])[:, None]


def _weighted_sum(weight: np.ndarray, own: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Sums over rows [K] of losses [K, B]."""
    return np.array([weight[mine] @ one for mine, one in zip(own, loss, strict=True)])


def _signs(w: np.ndarray, problems: Problems, rows: Rows) -> np.ndarray:
    """1 for rows of class 0 and -1 for class 1, [1 or K, B]; a problem may tell another class apart."""
    positive = problems.positive[:, None]
    ones = rows.y if (positive < 0).all() else np.where(positive < 0, rows.y, rows.y == positive)
    return np.atleast_2d(1 - 2 * ones).astype(w.dtype)
