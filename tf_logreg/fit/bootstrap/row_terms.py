"""What a block's B rows add to the sums of k replicates: losses, errors, Hessians, counts."""

from collections.abc import Iterator

import numpy as np

from tf_logreg.objective import host_losses

BINS = 512  # of logits, for areas under the curve


_SMALL = 2**15  # numbers of arrays that malloc keeps


_SERIES = 0.1  # a move of a logit up to which four terms of a series are as good as float32


def of_moves(
    z: np.ndarray, near: list[np.ndarray] | None, y: np.ndarray, *, loss: bool, error: bool
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Losses [k, B] in nats and p - e_y [k, m, B], of `Passes._moves` [k, m, B]; None if not asked for."""
    if near is None:
        return losses_and_errors(z, y)
    z = z[:, 0]
    errors = series(z, *near[2:]) if error else None
    losses = series(z, near[1], near[2], near[3] / 2, near[4] / 3, near[5] / 4) if loss else None
    far = np.flatnonzero(np.abs(z) > _SERIES)
    if far.size:
        row = far % len(y)
        exact = losses_and_errors((near[0][row] + z.ravel()[far])[:, None, None], y[row][:, None])
        if error:
            errors.ravel()[far] = exact[1][:, 0, 0]
        if loss:
            losses.ravel()[far] = exact[0][:, 0]
    return losses, errors[:, None] if error else None


def slices(count: int, numbers: int) -> Iterator[slice]:
    """Slices of replicates, of so many numbers each, whose arrays stay small: large ones are new memory."""
    size = max(1, _SMALL // numbers)
    return (slice(a, a + size) for a in range(0, count, size))


def counts(z: np.ndarray, y: np.ndarray, kept: np.ndarray, low: float, unit: float) -> np.ndarray:
    """How many of the kept rows [k, B] of either class have logits z [k, B] in each bin: [k, 2, BINS]."""
    z -= z.dtype.type(low)
    z *= z.dtype.type(unit)
    place = np.clip(z, 0, BINS - 1, out=z).astype(np.int32)
    place += (2 * BINS * np.arange(len(z))[:, None]).astype(np.int32)
    place += (BINS * y).astype(np.int32)
    found = np.bincount(np.compress(kept.ravel(), place.ravel()), minlength=2 * BINS * len(z))
    return found.reshape(-1, 2, BINS)


def series(move: np.ndarray, *terms: np.ndarray) -> np.ndarray:
    """terms[0] + terms[1] move + terms[2] move^2 + ..., [k, B], of terms [B]."""
    found = move * terms[-1]
    for term in terms[-2:0:-1]:
        found += term
        found *= move
    found += terms[0]
    return found


def losses_and_errors(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses [k, B] and p - e_y [k, m, B] of logits z [k, m, B], which are overwritten; y [B] or [k, B]."""
    if z.shape[1] > 1:
        return host_losses.softmax_loss_and_error(z, y)
    loss, error = host_losses.sigmoid_loss_and_error(z[:, 0], (1 - 2 * y).astype(z.dtype))
    return loss, error[:, None]


def hessian(x: np.ndarray, weight: np.ndarray, p: np.ndarray) -> np.ndarray:
    """[q m, q m] of rows x [B, q]; p [m, B] is p (1 - p) of a sigmoid."""
    q, m = x.shape[1], len(p)
    if m == 1:
        rows = x * np.sqrt(weight * p[0])[:, None]
        return np.dot(rows.T, rows)
    found = np.empty((q, m, q, m))
    for a in range(m):
        for b in range(a + 1):
            by = weight * p[a] * ((a == b) - p[b])
            found[:, a, :, b] = found[:, b, :, a] = np.dot((x * by[:, None]).T, x)
    return found.reshape(q * m, q * m)


def pairs(x: np.ndarray, p: np.ndarray, upper: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Each row's Hessian, [B, pairs]; p [m, B] is p (1 - p) of a sigmoid."""
    m = len(p)
    if m == 1:
        rows = x * np.sqrt(p[0])[:, None]
        return rows[:, upper[0]] * rows[:, upper[1]]
    (i, c), (j, d) = np.divmod(upper[0], m), np.divmod(upper[1], m)
    p = p.T
    return x[:, i] * x[:, j] * p[:, c] * ((c == d) - p[:, d])
