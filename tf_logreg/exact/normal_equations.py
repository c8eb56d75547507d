"""The weighted normal equations of the columns that are moved, summed over rows.

A = D^T D, D = sqrt(weight) (diag p - p p^T)^(1/2) [x, 1] of the rows, is what `projection` takes apart. Each
block of rows gives A itself, and where A is large it is summed in place, in a pass of its own. Where columns
turn out to depend on each other closely, and it is little work, R with R^T R = A comes in another pass from
the QR decomposition of D, which keeps all digits. A
softmax's biases alone need no QR: their A is a Laplacian, of which what is off the diagonal is enough.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy.linalg
import scipy.sparse

from tf_logreg import machine
from tf_logreg.exact import host, logits
from tf_logreg.exact.host import Block, Problem

_MOST_PROJECTED = 10_000  # columns that the projection may fix: A takes 800 MB, and its factor as much
_MOST_IN_BLOCKS = 2000  # of whose A each block of rows may have its own
_MOST_OPERATIONS = 2e12
_MOST_BY_QR = 256**2  # outputs times the square of the columns
_DESIGN_ELEMENTS = 2**21  # floats of the design in memory at a time


def obstacle(problem: Problem, num_rows: int) -> str:
    """Why the columns that are moved cannot be projected on for so many rows; '' where they can."""
    count, outputs = int(problem.moved.sum()), problem.w.shape[1]
    alone = biases_alone(problem)
    if not alone and count > _MOST_IN_BLOCKS and count > num_rows * max(1, outputs - 1):
        return f"{count:,} coefficients without l2 are more than {num_rows:,} rows determine"
    if count > _MOST_PROJECTED:
        return f"{count:,} coefficients without l2 are too many to project on, more than {_MOST_PROJECTED:,}"
    if num_rows * (outputs if by_qr(problem) else 1) * count**2 > _MOST_OPERATIONS:
        return f"{count:,} coefficients without l2 and {num_rows:,} rows are too many to project on"
    return ""


def in_blocks(problem: Problem) -> bool:
    """Whether each block of rows has a matrix of its own; otherwise it is summed `in_place`."""
    return 0 < int(problem.moved.sum()) <= _MOST_IN_BLOCKS


def by_qr(problem: Problem) -> bool:
    """Whether R may come from a QR decomposition; beside l2, A itself has digits enough."""
    few = problem.w.shape[1] * int(problem.moved.sum()) ** 2 <= _MOST_BY_QR
    return few and not problem.tight and not biases_alone(problem)


def biases_alone(problem: Problem) -> bool:
    """Whether the coefficients that are moved are the biases of a softmax, and no other."""
    mask = problem.moved
    return bool(problem.has_bias and mask.shape[1] > 1 and mask[-1].all() and not mask[:-1].any())


def of_sigmoid(x: np.ndarray, curvature: np.ndarray, problem: Problem) -> np.ndarray | None:
    """A block's A of one output; None where it has none.

    Args:
        x: [B, p]. curvature: [B], weight p (1 - p). problem: says which coefficients are moved.
    """
    if not in_blocks(problem):
        return None
    if scipy.sparse.issparse(x):
        return _gram_of_sparse(x, curvature, np.flatnonzero(problem.moved.any(axis=1)))
    _, rows = _columns(x, curvature, problem.moved)
    return np.dot(rows.T, rows)


def _gram_of_sparse(x: scipy.sparse.csr_array, weight: np.ndarray, features: np.ndarray) -> np.ndarray:
    """[x, 1]^T diag(weight) [x, 1] of some features [f], ascending, where p stands for the bias: [f, f].

    Args:
        x: [B, p]. weight: [B].
    """
    inside = features[features < x.shape[1]]
    some = x[:, inside]
    scaled = some.multiply(weight[:, None]).tocsr()
    found = np.empty((features.size, features.size))
    found[: inside.size, : inside.size] = (some.T @ scaled).toarray()
    if inside.size < features.size:
        found[-1, :-1] = found[:-1, -1] = scaled.sum(axis=0)
        found[-1, -1] = weight.sum()
    return found


def of_softmax(x: np.ndarray, weight: np.ndarray, p: np.ndarray, problem: Problem) -> np.ndarray | None:
    """A block's A of several outputs; None where it has none.

    Of the biases alone it is A off the diagonal; what stands on it means nothing.

    Args:
        x: [B, p]. weight: [B]. p: [C, B]. problem: says which coefficients are moved.
    """
    mask = problem.moved
    if not in_blocks(problem):
        return None
    if biases_alone(problem):
        return -(p * weight) @ p.T
    return sum(
        _softmax_matrix(columns, p[:, part], which)
        for part, columns, which in _designs(x, weight, mask, len(p))
    )


def _designs(x: np.ndarray, weight: np.ndarray, mask: np.ndarray, numbers: int) -> Iterator[tuple]:
    """(slice of the rows, their `_columns`, which coefficients of these are moved), a few rows at a time.

    Args:
        numbers: of the design, in memory for each row and feature.
    """
    features = np.flatnonzero(mask.any(axis=1))
    which = mask[features].ravel()
    block = max(1, _DESIGN_ELEMENTS // (features.size * numbers))
    for start in range(0, x.shape[0], block):
        part = slice(start, min(start + block, x.shape[0]))
        yield part, _columns(x[part], weight[part], mask)[1], which


def _columns(x: np.ndarray, weight: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which features [f] have coefficients that are moved, and their columns [B, f] times sqrt(weight)."""
    features, root = np.flatnonzero(mask.any(axis=1)), np.sqrt(weight)[:, None]
    inside = features[features < x.shape[1]]
    columns = host.scratch("columns", x.shape[0], features.size)
    given = x if inside.size == x.shape[1] else x[:, inside]
    given = given.toarray() if scipy.sparse.issparse(given) else given
    np.multiply(given, root, out=columns[:, : inside.size])
    columns[:, inside.size :] = root
    return features, columns


def _softmax_matrix(columns: np.ndarray, p: np.ndarray, which: np.ndarray) -> np.ndarray:
    """A = sum_i x_i^T x_i (diag p - p p^T), of the coefficients `which` [f m] alone."""
    outputs = len(p)
    rows = (columns[:, :, None] * p.T[:, None, :]).reshape(len(columns), -1)
    rows = rows if which.all() else rows[:, which]
    whole = -np.dot(rows.T, rows)
    feature, output = np.divmod(np.flatnonzero(which), outputs)
    for c in range(outputs):
        at = np.flatnonzero(output == c)
        # p (1 - p) and not p - p^2, which cancels.
        own = columns[:, feature[at]] * np.sqrt(p[c] * (1 - p[c]))[:, None]
        whole[np.ix_(at, at)] = np.dot(own.T, own)
    return whole


def roots(
    blocks: Callable[[], Iterable[Block]], problems: list[Problem], gather: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray]:
    """R with R^T R = A of each problem, from a pass over the rows; `gather` as in certificate.py."""
    view, found = logits.View(problems), [np.zeros((0, int(one.moved.sum()))) for one in problems]

    def part_of(block: Block) -> list[np.ndarray]:
        seen, parts = view.of(block), []
        for k, problem in enumerate(problems):
            p = logits.probabilities(seen.logits[k], seen.labels[seen.labelling[k]])[0]
            parts.append(_root(seen.x, seen.weight[seen.weighting[k]], p, problem))
        return parts

    for parts in machine.in_parallel(part_of, blocks()):
        found = [_triangle([one, part]) for one, part in zip(found, parts, strict=True)]
    return [_triangle(list(gather(_square(root)))) for root in found]


def _root(x: np.ndarray, weight: np.ndarray, p: np.ndarray, problem: Problem) -> np.ndarray:
    """R of a block's rows."""
    mask = problem.moved
    outputs, found = mask.shape[1], np.zeros((0, int(mask.sum())))
    for at, columns, which in _designs(x, weight, mask, outputs**2):
        chances = p[:, at]
        if outputs == 1:
            part = columns * np.sqrt(chances[0] * chances[1])[:, None]
        else:
            part = _softmax_rows(columns, chances).reshape(-1, which.size)[:, which]
        found = _triangle([found, part])
    return found


def _softmax_rows(columns: np.ndarray, p: np.ndarray) -> np.ndarray:
    """D of rows: diag p - p p^T = B^T B, B = diag(sqrt p) (I - 1 p^T)."""
    chances = p.T
    half = np.sqrt(chances)[:, :, None] * (np.eye(len(p)) - chances[:, None, :])
    return half[:, :, None, :] * columns[:, None, :, None]


def _triangle(parts: list[np.ndarray]) -> np.ndarray:
    """R of the QR decomposition of rows, with no more of them than columns."""
    rows = np.vstack(parts)
    found = scipy.linalg.qr(rows, mode="r", overwrite_a=True, check_finite=False)[0]
    return found[: found.shape[1]]


def _square(root: np.ndarray) -> np.ndarray:
    """R with as many rows as columns, so that every worker sends an array of one shape."""
    return np.pad(root, [(0, root.shape[1] - len(root)), (0, 0)])


def gathered(matrix: np.ndarray | None, problem: Problem, gather) -> np.ndarray:
    """The sum of all workers' matrices; `gather` as in certificate.py, None from a worker without rows."""
    count = int(problem.moved.sum())
    return gather(np.zeros((count, count)) if matrix is None else matrix).sum(axis=0)


def in_place(
    blocks: Callable[[], Iterable[Block]], problem: Problem, gather: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """A of all rows, summed in place in a pass of its own; its upper triangle means something.

    Args:
        blocks, gather: as in certificate.py.
        problem: with more columns than `in_blocks` takes.
    """
    mask, alone = problem.moved, biases_alone(problem)
    outputs, count = mask.shape[1], int(mask.sum())
    # [T], the output of each column, in the order of mask.ravel().
    output = np.nonzero(mask)[1]
    own = [np.flatnonzero(output == c) for c in range(outputs)]
    whole = np.zeros((count, count), order="F")
    within = [np.zeros((at.size, at.size), order="F") for at in own] if outputs > 1 and not alone else []
    for x, weight, p in _many_rows(blocks(), problem, max(1, _DESIGN_ELEMENTS // count)):
        if alone:
            _add_gram(whole, p.T * np.sqrt(weight)[:, None], -1.0)
            continue
        if outputs == 1 and scipy.sparse.issparse(x):
            whole += _gram_of_sparse(x, weight * p[0] * p[1], np.flatnonzero(mask))
            continue
        features, columns = _columns(x, weight, mask)
        if outputs == 1:
            _add_gram(whole, columns * np.sqrt(p[0] * p[1])[:, None], 1.0)
            continue
        rows = (columns[:, :, None] * p.T[:, None, :]).reshape(len(columns), -1)
        _add_gram(whole, rows[:, mask[features].ravel()], -1.0)
        for c, part in enumerate(within):
            if not part.size:  # without a bias l1 may hold all of an output at zero
                continue
            # p (1 - p) and not p - p^2, which cancels.
            _add_gram(part, columns[:, mask[features, c]] * np.sqrt(p[c] * (1 - p[c]))[:, None], 1.0)
    for at, part in zip(own, within, strict=False):
        whole[np.ix_(at, at)] = part
    return gather(whole).sum(axis=0)


def _many_rows(blocks: Iterable[Block], problem: Problem, least: int):
    """(x, weight, p) of blocks put together until they have so many rows; sparse ones are taken apart."""
    waiting, size, view = [], 0, logits.View([problem])

    def together() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, weight, p = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
        return x, weight, p.T

    for block in blocks:
        x, (y,), _, (weight,), _, (z,) = view.of(block)
        chances = logits.probabilities(z, y)[0].T
        if scipy.sparse.issparse(x):
            # Of several outputs they are laid out, of one they are not.
            step = least if chances.shape[1] > 2 else len(y)
            parts = (slice(start, start + step) for start in range(0, len(y), step))
            yield from ((x[part], weight[part], chances[part].T) for part in parts)
            continue
        waiting.append((x.copy(), weight, chances))
        size += len(y)
        if size >= least:
            yield together()
            waiting, size = [], 0
    if waiting:
        yield together()


def _add_gram(total: np.ndarray, rows: np.ndarray, sign: float) -> None:
    """The upper triangle of total [T, T], in Fortran's order, += sign rows^T rows."""
    rows = np.ascontiguousarray(rows)
    scipy.linalg.blas.dsyrk(sign, rows.T, beta=1.0, c=total, overwrite_c=1)
