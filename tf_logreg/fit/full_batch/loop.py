"""The loop around a full-batch solver: step, certify, checkpoint, report, stop.

A solver only estimates its gap. The certificate decides when it stops, computed in float64 from the raw
data. If rounding on the devices keeps the bound above the target gap, values and gradients are from then
on computed in float64 too, while Hessians stay on the devices: iterative
refinement (Higham, Accuracy and Stability, 2002, ch. 12).
"""

import dataclasses
import logging
from collections.abc import Callable
from types import ModuleType

import numpy as np

from tf_logreg.exact.certificate import Certificate
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.full_batch.goal import Goal, Outcome, Start
from tf_logreg.fit.full_batch.saving import OutOfTime, Saving
from tf_logreg.fit.full_batch.tape import Tape
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status
from tf_logreg.solvers import core

log = logging.getLogger(__name__)

_MOST_REFUSALS = 12  # certificates that may miss the target before a problem is given up
_STEPS_FOR_A_BOX = 3  # refusals after which a bound is made as tight as it can be, at any cost
_STEPS_WITHOUT_PROGRESS = 8  # in the estimated gap, after which a problem is certified anyway


def solve(
    method: ModuleType,
    certified: Certified,
    w: np.ndarray,
    *,
    goal: Goal,
    monitor: Monitor,
    report: Callable[[float, float, float], None],
    begin: Start | None = None,
) -> Outcome:
    """Solves K problems to a certified gap.

    1. The state is restored from a checkpoint, or the method starts at w.
    2. Problems with a small estimated gap are certified, and end or continue (`_Loop.judge`).
    3. The method takes a step. After each pass the state may be saved, and a signal may end the fit.
    4. Problems whose weights are not finite end as diverged; the slowest is reported. Back to 2.

    Args:
        method: from `solvers.load`.
        certified: the problems; passes are added to their count.
        w: [K, P] the start.
        goal: the stopping rule.
        monitor: saves and restores the state, and may interrupt the fit.
        report: called after each step with (passes, objective, estimated gap) of the slowest problem.
        begin: how w was found, where that is known.

    Raises:
        InterruptError: a signal arrived; the state is saved.
        InputError: a checkpoint does not match, or cannot be written.
    """
    passes, exact = certified.problems.passes, goal.last_digits and not certified.problems.engine.exact
    loop = _Loop(w, goal, exact=exact)
    saving = Saving(monitor, loop, passes)
    tape = saving.tape = Tape(certified.problems.sums, saving.after_pass_of_step)
    penalized = certified.problems.through(tape)
    fns = penalized.functions(goal.certified_at, goal.noise, saving.late_in_step)

    exact_pass = _exact_passes(certified, tape)
    try:
        if (found := monitor.checkpoints.latest()) is not None:
            loop.restore(found[1], tape)
            passes[:] = loop.passes
        if loop.exact:
            fns.value_and_gradient, fns.noise = exact_pass, np.finfo(float).eps
        if loop.state is None:
            loop.passes[:] = passes
            loop.begin(method, fns, w, begin)
            for line in loop.history:
                report(*line)
            loop.passes[:] = passes
            tape.clear()
        while True:
            if loop.certify(certified, goal, late=monitor.late()):
                if loop.wants_exact():
                    log.info("Rounding in --dtype hides further progress: gradients in float64 from here on.")
                    fns.value_and_gradient, fns.noise = exact_pass, np.finfo(float).eps
                    loop.go_on_in_float64(certified)
                loop.passes[:] = passes
                saving.after_pass()
            if loop.state.finished.all():
                break
            stepping = core.active(loop.state)
            try:
                with penalized.blas_threads():
                    loop.state = method.step(fns, loop.state)
            except OutOfTime:
                tape.clear()
                continue  # the weights before this step are certified
            loop.passes[:] = passes
            loop.note_progress(stepping)
            tape.clear()
            if loop.state.finished.all():
                break
            loop.note_slowest(fns.l1)
            report(*loop.history[-1])
        saving.at_end()
    finally:
        tape.close()
    return loop.outcome()


def _exact_passes(certified: Certified, tape: Tape) -> Callable:
    """`Certified.exact` by way of the tape."""
    passes = certified.problems.passes

    def exact_pass(w: np.ndarray, problems: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        before = passes[problems]
        found = tuple(tape.sums(certified.exact, w, problems))
        passes[problems] = before + 1  # also where it is replayed
        return found

    return exact_pass


class _Loop:
    """State of the loop between two steps, and the decision which problems end."""

    def __init__(self, w: np.ndarray, goal: Goal, *, exact: bool):
        count = len(w)
        self.state: core.State | None = None
        self.iterations, self.exact = 0, exact
        self.history: list[tuple[float, float, float]] = []
        self.target, self.threshold = goal.gap, goal.certified_at
        self.passes, self.refusals, self.steps = np.zeros(count), np.zeros(count, int), np.zeros(count, int)
        self.least, self.since = np.full(count, np.inf), np.zeros(count, int)
        self.status: list[str] = [""] * count
        self.certificates: list[Certificate | None] = [None] * count
        self.running_off: list[np.ndarray | None] = [None] * count

    def begin(self, method: ModuleType, fns: core.Functions, w: np.ndarray, known: Start | None) -> None:
        """Begins at w [K, P], and counts the steps to it. Where its gap is known it is certified first."""
        if known is not None and known.value_and_gradient is not None:
            fns = dataclasses.replace(fns, value_and_gradient=lambda *_: known.value_and_gradient)
        self.state = method.init(fns, w)
        if known is not None:
            self.state.gap, self.steps = known.gap.copy(), known.steps.copy()
            self.iterations, self.history = int(known.steps.max()), list(known.history)
            if not known.history:
                self.note_slowest(fns.l1)

    def due(self, spent: np.ndarray) -> np.ndarray:
        """Problems to certify now."""
        state = self.state
        ready = (state.gap <= self.threshold) | state.stalled | (self.since >= _STEPS_WITHOUT_PROGRESS)
        return np.flatnonzero(~state.finished & (ready | spent))

    def certify(self, certified: Certified, goal: Goal, *, late: bool) -> bool:
        """Certifies and judges the problems that are due; whether there were any."""
        passes = certified.problems.passes
        spent = (passes >= goal.max_passes) | (self.iterations >= goal.max_steps)
        due = self.due(spent | late)
        if not due.size:
            return False
        ending = Status.TIME_LIMIT if late else Status.MAX_PASSES
        most = _STEPS_FOR_A_BOX if self.exact else 0  # else a loose bound would be taken for rounding
        final = spent | late | self.state.stalled | (self.refusals > most)
        found = certified.certify(self.state.w[due], due, self.target[due], final[due])
        for k, certificate in zip(due, found, strict=True):
            self.judge(k, certificate, certified.separated, ending if spent[k] or late else None)
        return True

    def go_on_in_float64(self, certified: Certified) -> None:
        """Recomputes values and gradients in float64 where the devices' rounding hides progress."""
        self.exact, at = True, core.active(self.state)
        self.state = core.copy(self.state)
        self.state.value[at], self.state.gradient[at] = certified.exact(self.state.w[at], at)
        self.state.stalled[:] = False
        self.state.gap[at] = np.inf  # the old one came from rounded gradients

    def note_progress(self, stepping: np.ndarray) -> None:
        """Counts a step of some problems, and steps since each gap last improved; ends diverged problems."""
        self.iterations += 1
        self.steps[stepping] += 1
        better = self.state.gap < self.least
        self.least = np.minimum(self.least, self.state.gap)
        self.since = np.where(better, 0, self.since + 1)
        for k in np.flatnonzero(~np.isfinite(self.state.w).all(axis=1) & ~self.state.finished):
            self.end(k, Status.DIVERGED)

    def note_slowest(self, l1: np.ndarray) -> None:
        """Adds the slowest problem to the history."""
        state, active = self.state, core.active(self.state)
        slowest = int(active[np.argmax(state.gap[active])])
        value = state.value[slowest] + (l1[slowest] * np.abs(state.w[slowest])).sum()
        self.history.append((self.passes[slowest], value, state.gap[slowest]))

    def outcome(self) -> Outcome:
        """The results of the problems."""
        return Outcome(
            self.state.w,
            [Status(one) for one in self.status],
            self.certificates,
            self.running_off,
            self.passes.copy(),
            self.steps,
            self.iterations,
            self.history,
        )

    def judge(self, k: int, certificate: Certificate, separation: Callable, ending: Status | None) -> None:
        """Ends problem k, or lowers the estimated gap at which it is certified next.

        Args:
            k: the problem. certificate: at its weights.
            separation: `Certified.separated`.
            ending: its status if it misses the target now; None while it may go on.
        """
        state, before = self.state, self.certificates[k]
        self.certificates[k] = certificate
        self.least[k], self.since[k] = np.inf, 0
        settled = not certificate.unclear
        if certificate.unclear:
            self.running_off[k], settled = separation(state.w[k], k)
            if not settled:
                reason = f"{certificate.reason}; too large to settle whether the data are separated"
                self.certificates[k] = dataclasses.replace(
                    certificate, reason=reason, remedy="add some l2, or leave columns out"
                )
        if self.running_off[k] is not None:
            self.end(k, Status.SEPARATED)
        elif certificate.gap is not None and certificate.gap <= self.target[k] and settled:
            self.end(k, Status.OPTIMAL)
        elif ending or self.refusals[k] >= _MOST_REFUSALS or (self.exact and state.stalled[k]):
            self.end(k, ending or Status.MAX_PASSES)
        else:
            halved = before and before.gap and certificate.gap and certificate.gap < before.gap / 2
            self.refusals[k] += not halved
            self.threshold[k] = min(self.threshold[k], state.gap[k]) / 10

    def wants_exact(self) -> bool:
        """Whether a problem missed its target, perhaps because of the devices' rounding."""
        refused = ~self.state.finished & (self.refusals > 0)
        return not self.exact and bool((refused & (self.state.stalled | (self.refusals > 1))).any())

    def end(self, k: int, status: Status) -> None:
        """Ends problem k with a status."""
        self.status[k] = status.value
        self.state.finished[k] = True

    def arrays(self, tape: Tape) -> dict[str, np.ndarray]:
        """Arrays of a checkpoint: the state before the current step, and the step's passes so far."""
        arrays = {f"state/{name}": array for name, array in self.state.arrays().items()} if self.state else {}
        arrays |= {f"tape/{i}/{j}": a for i, sums in enumerate(tape.recorded) for j, a in enumerate(sums)}
        for k, certificate in enumerate(self.certificates):
            if certificate is not None:
                fields = dataclasses.asdict(certificate).items()
                arrays |= {f"certificate/{k}/{name}": np.array(v) for name, v in fields if v is not None}
            if self.running_off[k] is not None:
                arrays[f"running_off/{k}"] = self.running_off[k]
        return arrays | {
            "history": np.array(self.history, float).reshape(-1, 3),
            "threshold": self.threshold,
            "passes": self.passes,
            "refusals": self.refusals,
            "steps": self.steps,
            "least": self.least,
            "since": self.since,
            "status": np.array(self.status, "U16"),
            "exact": np.array(self.exact),
            "iterations": np.array(self.iterations),
        }

    def restore(self, arrays: dict[str, np.ndarray], tape: Tape) -> None:
        """Restores the state from `arrays`."""
        self.history = [tuple(row) for row in arrays["history"].tolist()]
        for name in ("threshold", "passes", "refusals", "least", "since"):
            setattr(self, name, arrays[name].copy())
        self.steps = arrays.get("steps", self.steps).copy()  # versions up to 0.7 did not count them
        self.status, self.exact = arrays["status"].tolist(), bool(arrays["exact"])
        self.iterations = int(arrays["iterations"])
        state = _below(arrays, "state/")
        self.state = core.State.from_arrays(state) if state else None
        for k in range(len(self.status)):
            fields = _below(arrays, f"certificate/{k}/")
            if fields:
                plain = {n: v if n == "gradient" else v.item() for n, v in fields.items()}
                self.certificates[k] = Certificate(**{"gap": None, "gradient_bound": None, **plain})
            self.running_off[k] = arrays.get(f"running_off/{k}")
        for name, array in sorted(_below(arrays, "tape/").items(), key=lambda item: _numbers(item[0])):
            i, _ = _numbers(name)
            if i == len(tape.recorded):
                tape.recorded.append([])
            tape.recorded[i].append(array)


def _below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _numbers(name: str) -> tuple[int, int]:
    """'3/1' -> (3, 1)."""
    i, j = name.split("/")
    return int(i), int(j)
