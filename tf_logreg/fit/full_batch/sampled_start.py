"""The start of a fit of many rows: near the optimum of a sample of them."""

import dataclasses
from collections.abc import Callable
from types import ModuleType

import numpy as np

from tf_logreg.errors import InterruptError
from tf_logreg.fit.full_batch.penalized import Penalized

_ROWS_PER_COEFFICIENT = 25  # of the sample
_FEWEST_SAMPLES = 3  # in the rows, else their copies take too much memory
_MOST_STEPS = 40


def start_from_sample(
    method: ModuleType,
    problems: Penalized,
    w: np.ndarray,
    noise: float,
    interrupted: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Takes K problems from w [K, P] close to the optimum of a sample of the rows, if there are many rows.

    The optimum of n sampled rows is about P / n nats above the true one; a few steps on all rows remain.

    Raises:
        InterruptError: a signal arrived. Only these steps are repeated when the run resumes.
    """
    sample = _ROWS_PER_COEFFICIENT * problems.size
    every = problems.num_rows // sample
    if every < _FEWEST_SAMPLES or not problems.explicit(problems.size):
        return w
    sampled = problems.one_in(every)
    close = np.full(len(w), 0.1 * problems.size / sample)
    # The gap is estimated by the Newton decrement: with a weak l2 the gradient's bound is far too large.
    fns = dataclasses.replace(
        sampled.functions(close, noise), gradient_gap=lambda gradient, _: np.full(len(gradient), np.inf)
    )
    state = method.init(fns, w)
    for _ in range(_MOST_STEPS):
        state.finished[:] = (state.gap <= close) | state.stalled
        if state.finished.all():
            break
        with problems.blas_threads():
            state = method.step(fns, state)
        if interrupted():
            raise InterruptError(
                "Interrupted while a sample of the rows was fitted, before the first pass over all: the same "
                "command begins there."
            )
    problems.passes += sampled.passes * (sampled.num_rows / problems.num_rows)
    return np.where(np.isfinite(state.w).all(axis=1, keepdims=True), state.w, w)
