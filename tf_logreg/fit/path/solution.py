"""Solves a path: each strength with each fold held out, as K problems that share their passes.

Problem k = (i F + f) M + c is that of strength i, fold f and class c; M is C with one against the rest,
else 1. Folds change which rows count, the class weights, and the penalties, which include the fold's own
standardisation. X exists once.
"""

import dataclasses
from collections.abc import Callable
from types import ModuleType

import numpy as np

from tf_logreg.errors import InputError
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.full_batch import goal as goals
from tf_logreg.fit.full_batch import loop, polish, row_space
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.full_batch.sampled_start import start_from_sample
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status


@dataclasses.dataclass
class Solved:
    """Results of K problems.

    Attributes:
        w: [K, P]. status: [K] strings, '' for unsolved. gap, objective: [K] nats; NaN where there is none.
        passes: [K] reads of the rows. steps: [K] of the method.
        iterations: steps of the method, over all batches.
    """

    w: np.ndarray
    status: np.ndarray
    gap: np.ndarray
    objective: np.ndarray
    passes: np.ndarray
    steps: np.ndarray
    iterations: int = 0

    @classmethod
    def before(cls, start: np.ndarray) -> "Solved":
        """No results yet, for problems that start at `start` [K, P]."""
        count = len(start)
        nothing = np.full(count, np.nan), np.full(count, np.nan), np.zeros(count)
        return cls(start.copy(), np.full(count, "", "U16"), *nothing, np.zeros(count, int))

    def add(self, part: np.ndarray, outcome: goals.Outcome) -> None:
        """Adds the results of the problems `part` [k], except w, which the caller sets."""
        self.passes[part], self.steps[part] = outcome.passes, outcome.steps
        self.status[part] = [one.value for one in outcome.status]
        self.iterations += outcome.iterations
        for k, one, found in zip(part, outcome.status, outcome.certificates, strict=True):
            if found is not None:
                self.objective[k] = found.objective
                self.gap[k] = np.nan if found.gap is None or one is Status.SEPARATED else found.gap

    def arrays(self, part: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays of a checkpoint: the results of the problems `part` [k], and all iterations so far."""
        arrays = {name: value[part] for name, value in vars(self).items() if name != "iterations"}
        return arrays | {"iterations": np.array(self.iterations)}

    def restore(self, part: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
        """Sets the results of the problems `part` [k] from `arrays`."""
        for name in arrays.keys() - {"iterations"}:
            getattr(self, name)[part] = arrays[name]
        self.iterations = int(arrays["iterations"])


def solve(
    method: ModuleType,
    certified: Certified,
    start: np.ndarray,
    parts: list[np.ndarray],
    *,
    values: np.ndarray,
    goal: goals.Goal,
    monitor: Monitor,
    report: Callable[[float, float, float], None],
) -> Solved:
    """Solves K problems to certified gaps, batch after batch.

    A batch starts from the weakest penalties solved before it (`ahead`); its problems are solved together.

    Args:
        method: from `solvers.load`.
        certified: the problems.
        start: [K, P].
        parts: from `batches.batches`.
        values: [N], the strengths, strongest first; each has K / N problems.
        goal, report: as in `loop.solve`.
        monitor: saves each finished batch, and the current one, in subfolders of its checkpoints.

    Raises:
        InterruptError: a signal arrived; the state is saved.
        InputError: a checkpoint does not match, or cannot be written.
    """
    problems, checkpoints = certified.problems, monitor.checkpoints
    count = len(problems.l2)
    parts, done, solved = _restored(checkpoints, start, parts)
    together = count // len(values)
    with np.errstate(divide="ignore"):
        strength = np.log(np.repeat(values, together))
    w = solved.w
    for number, part in enumerate(parts[done:], done):
        w[part] = ahead(w, part, together, strength, sparse=bool(problems.l1.any()))
        mine = dataclasses.replace(certified, problems=problems.some(part))
        own = goal.some(part)
        begin = row_space.start(method, mine.problems, w[part], goal=own, monitor=monitor)
        if begin is not None:
            w[part] = begin.w
        else:
            w[part] = start_from_sample(method, mine.problems, w[part], goal.noise, monitor.interrupted)
        outcome = loop.solve(
            method,
            mine,
            w[part],
            goal=own,
            monitor=monitor.below(f"batch-{number:04d}"),
            report=report,
            begin=begin,
        )
        polish.polish(mine, outcome, own, monitor, begin)
        w[part] = mine.problems.centred(outcome.w, np.arange(len(part)))
        solved.add(part, outcome)
        if len(parts) > 1:
            _of_batch(checkpoints, number).save(number + 1, solved.arrays(part))
    return solved


def _of_batch(checkpoints: Checkpoints, number: int) -> Checkpoints:
    """Where a finished batch is."""
    return checkpoints.below(f"solved-{number:04d}")


def _restored(
    checkpoints: Checkpoints, start: np.ndarray, parts: list[np.ndarray]
) -> tuple[list[np.ndarray], int, Solved]:
    """The batches of the first run, how many are finished, and their solutions; a new path saves its batches.

    Free memory may differ when a run resumes, so the size of the first run's batches is kept.

    Raises:
        InputError: a checkpoint of an earlier version, which does not say the size.
    """
    if checkpoints.below("size").latest() is not None:
        raise InputError(
            f"--workdir: {checkpoints.folder.path!r} holds an unfinished path of an earlier version. "
            "Give --overwrite to start again."
        )
    count, solved, done = len(start), Solved.before(start), 0
    if (found := checkpoints.latest()) is None:
        checkpoints.save(0, {"size": np.array(len(parts[0]))})
        return parts, 0, solved
    done, arrays = found
    size = int(arrays.pop("size"))
    parts = [np.arange(a, min(a + size, count)) for a in range(0, count, size)]
    if arrays:  # versions up to 0.11 kept all that was finished in this file
        solved.restore(np.arange(count), arrays)
    while done < len(parts) and (found := _of_batch(checkpoints, done).latest()) is not None:
        solved.restore(parts[done], found[1])
        done += 1
    return parts, done, solved


def ahead(
    w: np.ndarray, part: np.ndarray, together: int, strength: np.ndarray, *, sparse: bool
) -> np.ndarray:
    """Starts of the problems `part`, [k, P]: on the line through the last two solutions over the same rows.

    In the logarithm of the strength a path is nearly straight between points of a fine grid: 45 strengths of
    9,000 x 768, 100 classes, took 172 products. Starting from the last solution took 716, and from a parabola
    161.

    Args:
        w: [K, P], solved before `part`; rows without a solution are not finite.
        part: [k] successive problems; those without an earlier solution start at their rows of w.
        together: problems of one strength.
        strength: [K], logarithms of the strengths.
        sparse: whether there is l1; a coefficient that would change its sign then starts at zero.
    """
    first = part[0]
    last = first - together + (part - first) % together
    begin = w[part]
    usable = _solved(w, last)
    begin[usable] = w[last[usable]]
    earlier = last - together
    usable &= _solved(w, earlier)
    k, last, earlier = part[usable], last[usable], earlier[usable]
    # Extrapolate no further than the last two are apart, and keep coefficients that became zero at zero.
    with np.errstate(divide="ignore", invalid="ignore"):  # the last strength may be 0
        far = np.nan_to_num((strength[k] - strength[last]) / (strength[last] - strength[earlier]))
    moved = w[last] + np.clip(far, 0, 1)[:, None] * (w[last] - w[earlier])
    begin[usable] = np.where(moved * w[last] > 0 if sparse else w[last] != 0, moved, 0)
    return begin


def _solved(w: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Whether problems `which` have solutions in w [K, P]; negative indices have none."""
    there = which >= 0
    there[there] = np.isfinite(w[which[there]]).all(axis=1)
    return there
