"""A path: one penalty at many strengths, each beside every fold, as K problems that share their passes.

Problem k = (i F + f) M + c stands for strength i, fold f and, one against the rest, class c; M is 1
otherwise. Folds enter through what differs between problems: which rows count, class weights, and the
penalties, into which a fold's own standardisation goes. X exists once.
"""

import dataclasses
import logging
import math
from collections.abc import Callable
from types import ModuleType

import numpy as np

from tf_logreg.errors import InputError, InterruptError
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.full_batch import loop, preconditioner, sample
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.result import Status

log = logging.getLogger(__name__)

CHOICES = ("best", "one_standard_error")
_BLOCK_ROWS = 64  # the fewest that a pass takes at a time
_ROWS_PER_COEFFICIENT = 100  # of the sample that a path begins on
_MOST_SAMPLED_STEPS = 12
_FURTHER = 4  # a grid goes on by a quarter of its number of values at a time
MOST_GRIDS = 3  # and ends at three times that number
_COLUMNS = 128  # of a product, from which on more hardly make a column cheaper


@dataclasses.dataclass(frozen=True)
class Solved:
    """K problems as they ended.

    Attributes:
        w: [K, P]. status: K of them. gap, objective: [K] nats; NaN where there is none. passes: [K].
        iterations: steps of the method, over all batches.
    """

    w: np.ndarray
    status: list[Status]
    gap: np.ndarray
    objective: np.ndarray
    passes: np.ndarray
    iterations: int


def grid(num: int, ratio: float, largest: float) -> np.ndarray:
    """`num` strengths on a log scale from `largest` down to ratio * largest."""
    return np.geomspace(largest, ratio * largest, num)


def still_falls(scores: np.ndarray) -> bool:
    """Whether the last of N strengths has the lowest mean of the held-out losses [N, F]."""
    mean = scores.mean(axis=1)
    return not np.isnan(mean[-1]) and int(np.nanargmin(mean)) == len(mean) - 1


def next_values(values: np.ndarray, num: int) -> np.ndarray:
    """Where a grid of at first `num` strengths goes on, by the same step; none at three times as many."""
    step = values[1] / values[0]
    count = min(max(1, num // _FURTHER), MOST_GRIDS * num - len(values))
    return values[-1] * step ** np.arange(1, count + 1)


def at_an_end(penalty: str, values: np.ndarray, choice: int, *, given: bool) -> str:
    """What is to be said of a choice at either end of the strengths, '' of any other.

    Args:
        penalty: 'l1' or 'l2'.
        values: [N], from the strongest. choice: an index.
        given: whether path.values named them.
    """
    if len(values) == 1 or 0 < choice < len(values) - 1 or values[choice] == 0:
        return ""
    if choice == 0:
        end, remedy = "strongest", "the best may lie beyond: give stronger path.values"
        if penalty == "l1" and not given:
            remedy = "it leaves no coefficient, so the features tell nothing of the held-out rows"
    else:
        end, remedy = "weakest", "the best may lie beyond: give weaker path.values"
        remedy += "" if given else ", or a smaller path.ratio"
    return f"{penalty}={values[choice]:.3g} is the {end} that was tried; {remedy}."


def largest_penalty(penalty: str, gradient: np.ndarray, factor: np.ndarray) -> float:
    """Where a path begins.

    For l1 the weakest penalty at which all coefficients are zero, max_j |g_j| / factor_j. l2 has no such
    place; its paths begin where those of an elastic net with an l1 share of 0.001 do, as glmnet's
    (Friedman, Hastie and Tibshirani, J. Stat. Softw. 33, 2010, sec. 2.5).

    Args:
        penalty: 'l1' or 'l2'.
        gradient: [p, m], of the null model's loss by coefficients in the penalty's units.
        factor: [p], the penalty factors; columns without a penalty are passed over.
    """
    some = factor > 0
    steepest = np.abs(gradient[some]).max(axis=1) / factor[some]
    # A little above, so that rounding does not let the first coefficient in.
    return float(steepest.max(initial=0.0)) * (1 + 1e-6) * (1.0 if penalty == "l1" else 1000.0)


def problems_at_once(shape: tuple[int, int], bias: bool, memory: float, num_rows: int) -> int:
    """How many problems of (p, m) coefficients over n rows have room in so many bytes.

    Raises:
        InputError: not even one.
    """
    needed = bytes_of_problem(*shape, bias, num_rows)
    if needed > memory:
        raise InputError(
            f"path: one problem of {shape[0]:,} features and {shape[1]:,} outputs takes about "
            f"{needed / 2**30:.2f} GiB of memory. Received: {memory / 2**30:.2f} GiB for it."
        )
    return int(memory // needed)


def worth_at_once(shape: tuple[int, int], bias: bool, together: int) -> int:
    """How many problems of (p, m) coefficients gain by being solved at once, `together` of each strength."""
    if Penalized.explicit((shape[0] + bias) * shape[1]):
        return np.iinfo(int).max
    return max(together, _COLUMNS // shape[1])


def batches(problems: Penalized, together: int, memory: float) -> list[np.ndarray]:
    """Which problems are solved at once: as many as memory holds, and as gain by it.

    Without explicit Hessians, products with a hundred columns are about as fast a column as wider ones, and
    a start nearby saves passes: 45 strengths of 4,000 x 64, 20 classes, took 14.4 s all at once (1,215
    passes by all problems together), 11.1 s by 15, 9.3 s by 5 and 13.9 s one by one (480 passes).

    Args:
        problems: K of them.
        together: problems of one strength.
        memory: bytes that they may take.
    """
    count = len(problems.l2)
    most = problems_at_once(problems.shape, problems.bias, memory, problems.num_rows)
    most = min(most, worth_at_once(problems.shape, problems.bias, together))
    # Whole strengths at a time where there is room, so that each batch begins near where another ended.
    size = most // together * together or most
    if size < count:
        log.info("The path's %d problems are solved %d at a time.", count, size)
    return [np.arange(a, min(a + size, count)) for a in range(0, count, size)]


def bytes_of_problem(p: int, m: int, bias: bool, num_rows: int) -> float:
    """Memory that one more problem takes, about: its solver's state, its sums, a block's intermediates."""
    size, outputs = (p + bias) * m, min(m, preconditioner.MOST_FACTORS)
    rows = sample.size(num_rows, p)
    if Penalized.explicit(size):
        curvature = 4 * size**2
    elif rows:  # the factors of their products, which are of [s, s], and what they are made from
        curvature = (2 + outputs) * rows**2
    else:
        curvature = (2 + outputs) * (p + 1) ** 2  # beside the sums and what they leave
    return 8.0 * (16 * size + curvature + 6 * m * _BLOCK_ROWS)


def solve(
    method: ModuleType,
    certified: Certified,
    start: np.ndarray,
    parts: list[np.ndarray],
    *,
    values: np.ndarray,
    target: np.ndarray,
    max_passes: int,
    noise: float,
    checkpoints: Checkpoints,
    report: Callable[[float, float, float], None],
    interrupted: Callable[[], bool] = lambda: False,
) -> Solved:
    """Solves K problems to certified gaps, batch after batch.

    A batch begins from the weakest penalties before it (`ahead`); within a batch all begin together.

    Args:
        method: from `solvers.load`.
        certified: the problems.
        start: [K, P].
        parts: from `batches`.
        values: [N], the strengths, from the strongest; K / N problems have each.
        target: [K] the gap that is wanted, nats.
        max_passes, noise, report, interrupted: as in `loop.solve`.
        checkpoints: where finished batches are saved; the one under way has a folder of its own below.

    Raises:
        InterruptError: a signal came; the state is saved.
        InputError: a checkpoint that does not fit, or cannot be written.
    """
    problems = certified.problems
    count = len(problems.l2)
    # Memory may hold more or less when a run resumes: it goes on in the batches that it began with.
    sizes = checkpoints.below("size")
    if (found := sizes.latest()) is None:
        sizes.save(0, {"size": np.array(len(parts[0]))})
    else:
        size = int(found[1]["size"])
        parts = [np.arange(a, min(a + size, count)) for a in range(0, count, size)]
    together = count // len(values)
    with np.errstate(divide="ignore"):
        strength = np.log(np.repeat(values, together))
    w, gap, objective = start.copy(), np.full(count, np.nan), np.full(count, np.nan)
    passes, status, done, iterations = np.zeros(count), np.full(count, "", "U16"), 0, 0
    if (found := checkpoints.latest()) is not None:
        done, arrays = found
        w, gap, objective, passes, status, iterations = (
            arrays[name] for name in ("w", "gap", "objective", "passes", "status", "iterations")
        )
    for number, part in enumerate(parts[done:], done):
        w[part] = ahead(w, part, together, strength, sparse=bool(problems.l1.any()))
        mine = dataclasses.replace(certified, problems=problems.some(part))
        w[part] = near(method, mine.problems, w[part], noise, interrupted)
        outcome = loop.solve(
            method,
            mine.problems,
            w[part],
            target=target[part],
            max_passes=max_passes,
            noise=noise,
            certify=mine.certify,
            exact=mine.exact,
            separation=mine.separated,
            checkpoints=checkpoints.below(f"batch-{number:04d}"),
            report=report,
            interrupted=interrupted,
        )
        w[part], passes[part] = mine.problems.centred(outcome.w, np.arange(len(part))), outcome.passes
        status[part] = [one.value for one in outcome.status]
        iterations = iterations + outcome.iterations
        for k, one, found in zip(part, outcome.status, outcome.certificates, strict=True):
            if found is not None:
                objective[k] = found.objective
                gap[k] = np.nan if found.gap is None or one is Status.SEPARATED else found.gap
        if len(parts) > 1:
            checkpoints.save(
                number + 1,
                {
                    "w": w, "gap": gap, "objective": objective, "passes": passes, "status": status,
                    "iterations": np.array(iterations),
                },
            )  # fmt: skip
    return Solved(w, [Status(one) for one in status.tolist()], gap, objective, passes, int(iterations))


def ahead(
    w: np.ndarray, part: np.ndarray, together: int, strength: np.ndarray, *, sparse: bool
) -> np.ndarray:
    """Where the problems `part` begin, [k, P]: on the line through the last two solutions over the same rows.

    Along the logarithm of the strength a path is nearly straight from one point of a fine grid to the next:
    45 strengths of 9,000 x 768, 100 classes, took 172 products instead of 716 from the last solution alone,
    and 161 along a parabola.

    Args:
        w: [K, P], of which those before `part` are solved; rows without a solution are not finite.
        part: [k] successive problems, whose rows of w are where those without one before begin.
        together: problems of one strength.
        strength: [K], logarithms.
        sparse: whether there is l1: a coefficient that would change its sign begins at zero.
    """
    first = part[0]
    last = first - together + (part - first) % together
    begin = w[part]
    usable = _solved(w, last)
    begin[usable] = w[last[usable]]
    earlier = last - together
    usable &= _solved(w, earlier)
    k, last, earlier = part[usable], last[usable], earlier[usable]
    # No further than the last two lie apart, and what left the model stays out.
    with np.errstate(divide="ignore", invalid="ignore"):  # the last strength may be 0
        far = np.nan_to_num((strength[k] - strength[last]) / (strength[last] - strength[earlier]))
    moved = w[last] + np.clip(far, 0, 1)[:, None] * (w[last] - w[earlier])
    begin[usable] = np.where(moved * w[last] > 0 if sparse else w[last] != 0, moved, 0)
    return begin


def _solved(w: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Whether problems `which` have solutions in w [K, P]; those before the first, below 0, have none."""
    there = which >= 0
    there[there] = np.isfinite(w[which[there]]).all(axis=1)
    return there


def near(
    method: ModuleType,
    problems: Penalized,
    w: np.ndarray,
    noise: float,
    interrupted: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Takes K problems from w [K, P] to the optimum of a sample of the rows, where there are many.

    A sample of n rows puts it about P / n nats above the true one, from where a few steps on all rows remain.

    Raises:
        InterruptError: a signal came; these steps are made again, what was finished before them is not.
    """
    sample = _ROWS_PER_COEFFICIENT * problems.size
    every = problems.num_rows // sample
    if every < 2 or not problems.explicit(problems.size):
        return w
    sampled = dataclasses.replace(problems, every=every)
    close = np.full(len(w), 0.1 * problems.size / sample)
    # Progress by the Newton decrement: what a weak l2 bounds by the gradient is far above what is left.
    fns = dataclasses.replace(
        sampled.functions(close, noise), gradient_gap=lambda gradient, _: np.full(len(gradient), np.inf)
    )
    state = method.init(fns, w)
    for _ in range(_MOST_SAMPLED_STEPS):
        state.finished[:] = (state.gap <= close) | state.stalled
        if state.finished.all():
            break
        with problems.blas_threads():
            state = method.step(fns, state)
        if interrupted():
            raise InterruptError(
                f"Interrupted at the start of a batch of the path: {Status.INTERRUPTED.explain()}."
            )
    return np.where(np.isfinite(state.w).all(axis=1, keepdims=True), state.w, w)


def choose(scores: np.ndarray, how: str) -> int:
    """The index of the chosen strength.

    Args:
        scores: [N, F] held-out losses, the strongest penalty first; lower is better.
        how: 'best', the lowest mean over folds, or 'one_standard_error', the strongest penalty whose mean is
            within one standard error of it (Hastie, Tibshirani and Friedman, 2009, sec. 7.10).
    """
    mean = scores.mean(axis=1)
    best = int(np.nanargmin(mean))
    if how == "best":
        return best
    error = scores[best].std(ddof=1) / math.sqrt(scores.shape[1])
    return int(np.flatnonzero(mean <= mean[best] + error)[0])
