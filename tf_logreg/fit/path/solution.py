"""A path: one penalty at many strengths, each beside every fold, as K problems that share their passes.

Problem k = (i F + f) M + c stands for strength i, fold f and, one against the rest, class c; M is 1
otherwise. Folds enter through what differs between problems: which rows count, class weights, and the
penalties, into which a fold's own standardisation goes. X exists once.
"""

import dataclasses
from collections.abc import Callable
from types import ModuleType

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.full_batch import loop
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.full_batch.sampled_start import start_from_sample
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status


@dataclasses.dataclass
class Solved:
    """K problems as they ended.

    Attributes:
        w: [K, P]. status: [K] strings, '' before the end. gap, objective: [K] nats; NaN where there is none.
        passes: [K] reads of the rows.
        iterations: steps of the method, over all batches.
    """

    w: np.ndarray
    status: np.ndarray
    gap: np.ndarray
    objective: np.ndarray
    passes: np.ndarray
    iterations: int = 0

    @classmethod
    def before(cls, start: np.ndarray) -> "Solved":
        """None of the problems that begin at `start` [K, P]."""
        count = len(start)
        nothing = np.full(count, np.nan), np.full(count, np.nan), np.zeros(count)
        return cls(start.copy(), np.full(count, "", "U16"), *nothing)

    def add(self, part: np.ndarray, outcome: loop.Outcome) -> None:
        """How the problems `part` [k] ended; their w is set by the caller."""
        self.passes[part] = outcome.passes
        self.status[part] = [one.value for one in outcome.status]
        self.iterations += outcome.iterations
        for k, one, found in zip(part, outcome.status, outcome.certificates, strict=True):
            if found is not None:
                self.objective[k] = found.objective
                self.gap[k] = np.nan if found.gap is None or one is Status.SEPARATED else found.gap

    def arrays(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {name: np.array(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Solved":
        """From `arrays`."""
        return cls(
            **{name: array.copy() for name, array in arrays.items()}
            | {"iterations": int(arrays["iterations"])}
        )


def solve(
    method: ModuleType,
    certified: Certified,
    start: np.ndarray,
    parts: list[np.ndarray],
    *,
    values: np.ndarray,
    goal: loop.Goal,
    monitor: Monitor,
    report: Callable[[float, float, float], None],
) -> Solved:
    """Solves K problems to certified gaps, batch after batch.

    A batch begins from the weakest penalties before it (`ahead`); within a batch all begin together.

    Args:
        method: from `solvers.load`.
        certified: the problems.
        start: [K, P].
        parts: from `batches.batches`.
        values: [N], the strengths, from the strongest; K / N problems have each.
        goal, report: as in `loop.solve`.
        monitor: its checkpoints are where finished batches are saved; the one under way has a folder of
            its own below.

    Raises:
        InterruptError: a signal came; the state is saved.
        InputError: a checkpoint that does not fit, or cannot be written.
    """
    problems, checkpoints = certified.problems, monitor.checkpoints
    count = len(problems.l2)
    done, solved, size = _restored(checkpoints, start, len(parts[0]))
    # Memory may hold more or less when a run resumes: it goes on in the batches that it began with.
    parts = [np.arange(a, min(a + size, count)) for a in range(0, count, size)]
    together = count // len(values)
    with np.errstate(divide="ignore"):
        strength = np.log(np.repeat(values, together))
    w = solved.w
    for number, part in enumerate(parts[done:], done):
        w[part] = ahead(w, part, together, strength, sparse=bool(problems.l1.any()))
        mine = dataclasses.replace(certified, problems=problems.some(part))
        w[part] = start_from_sample(method, mine.problems, w[part], goal.noise, monitor.interrupted)
        outcome = loop.solve(
            method,
            mine,
            w[part],
            goal=goal.some(part),
            monitor=monitor.below(f"batch-{number:04d}"),
            report=report,
        )
        w[part] = mine.problems.centred(outcome.w, np.arange(len(part)))
        solved.add(part, outcome)
        if len(parts) > 1:
            checkpoints.save(number + 1, solved.arrays() | {"size": np.array(size)})
    return solved


def _restored(checkpoints: Checkpoints, start: np.ndarray, size: int) -> tuple[int, Solved, int]:
    """How many batches are finished, their solutions and the size of a batch; those of a new path are saved.

    Raises:
        InputError: a checkpoint of an earlier version, which does not say the size.
    """
    if checkpoints.below("size").latest() is not None:
        raise InputError(
            f"--workdir: {checkpoints.folder.path!r} holds an unfinished path of an earlier version. "
            "Give --overwrite to start again."
        )
    if (found := checkpoints.latest()) is None:
        solved = Solved.before(start)
        checkpoints.save(0, solved.arrays() | {"size": np.array(size)})
        return 0, solved, size
    done, arrays = found
    size = int(arrays.pop("size"))
    return done, Solved.from_arrays(arrays), size


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
