"""The loop around a full-batch solver: step, certify, checkpoint, report, stop.

A solver only estimates how far it is; what stops it is the certificate, computed in float64 from the
data as given. Where the devices' rounding keeps the bound above the wanted gap, values and gradients
come from that same float64 pass from then on, while Hessians stay on the devices: iterative
refinement (Higham, Accuracy and Stability, 2002, ch. 12).
"""

import dataclasses
import logging
import time
from collections.abc import Callable
from types import ModuleType

import numpy as np

from tf_logreg.engines.on_devices import SumRows
from tf_logreg.errors import InterruptError
from tf_logreg.exact.certificate import Certificate
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.result import Status
from tf_logreg.solvers import core

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_CHECKPOINTS = 1.0
_MOST_REFUSALS = 12  # certificates that may fail before a problem is given up
_STEPS_WITHOUT_PROGRESS = 8  # of the estimated gap, after which a certificate is asked for


@dataclasses.dataclass
class Outcome:
    """How K problems ended.

    Attributes:
        w: [K, P]. status: K of them. certificates: K, the last of each problem.
        running_off: K of None, or the direction [q, m] along which a separated problem has no optimum.
        passes: [K] reads of the rows. iterations: steps of the method.
        history: (passes of the slowest problem, its objective, its estimated gap) after each step.
    """

    w: np.ndarray
    status: list[Status]
    certificates: list[Certificate]
    running_off: list[np.ndarray | None]
    passes: np.ndarray
    iterations: int
    history: list[tuple[float, float, float]]


class Tape:
    """Wraps passes over the rows and remembers those since the last whole step.

    A method's algebra is deterministic: a resumed step plays its passes from the tape and reads X only
    where the tape ends.
    """

    def __init__(self, sum_rows: SumRows, after: Callable[[], None]):
        """`after` is called after each pass that was made, not played."""
        self.recorded: list[list[np.ndarray]] = []
        self._next, self._sum_rows, self._after = 0, sum_rows, after

    def __call__(self, *arguments) -> list[np.ndarray]:
        """The sums of a pass, made or played."""
        if self._next == len(self.recorded):
            self.recorded.append(self._sum_rows(*arguments))
            self._next += 1
            self._after()
            return self.recorded[-1]
        self._next += 1
        return self.recorded[self._next - 1]

    def clear(self) -> None:
        """A step is whole."""
        self.recorded, self._next = [], 0

    def close(self) -> SumRows:
        """Gives back what it wrapped. `after` knows the tape and X: left in place, it would keep X alive."""
        sum_rows, self._sum_rows, self._after = self._sum_rows, None, None
        self.clear()
        return sum_rows


def solve(
    method: ModuleType,
    penalized: Penalized,
    w: np.ndarray,
    *,
    target: np.ndarray,
    max_passes: int,
    noise: float,
    certify: Callable[[np.ndarray, np.ndarray], list[Certificate]],
    exact: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    separation: Callable[[np.ndarray, int], tuple[np.ndarray | None, bool]],
    checkpoints: Checkpoints,
    report: Callable[[float, float, float], None],
    interrupted: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Solves K problems to a certified gap.

    Args:
        method: from `solvers.load`.
        penalized: the problems. Its passes are counted on.
        w: [K, P] the start.
        target: [K] the gap that is wanted, nats.
        max_passes: reads of the rows after which a problem is given up.
        noise: relative rounding error of the devices' values.
        certify: (w [k, P], problems [k]) -> certificates.
        exact: (w [k, P], problems [k]) -> values [k] and gradients [k, P] of the smooth part, float64.
        separation: (w [P], problem) -> the direction without an optimum [q, m] or None, and whether
            that is settled.
        checkpoints: where the state is saved and found.
        report: called after each step with (passes, objective, estimated gap) of the slowest problem.
        interrupted: asked after each pass.

    Raises:
        InterruptError: a signal came; the state is saved.
        InputError: a checkpoint that does not fit, or cannot be written.
    """
    loop = _Loop(w, target)
    fns = penalized.functions(target, noise)
    saved_at = time.monotonic()

    def save() -> None:
        nonlocal saved_at
        start = time.monotonic()
        checkpoints.save(loop.iterations, loop.arrays(tape))
        # A large state is saved less often: it may take a twentieth of the time.
        saved_at = time.monotonic() + 19 * (time.monotonic() - start)

    def after_pass() -> None:
        stop = interrupted()
        due = checkpoints.every_steps and time.monotonic() - saved_at > _SECONDS_BETWEEN_CHECKPOINTS
        if stop or due:
            save()
        if stop:
            passes = float(penalized.passes.max())
            raise InterruptError(
                f"Interrupted after {passes:.1f} passes over the rows: {Status.INTERRUPTED.explain()}."
            )

    def exact_pass(w: np.ndarray, problems: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = exact(w, problems)
        after_pass()
        return found

    tape = Tape(penalized.sum_rows, after_pass)
    penalized.sum_rows = tape
    try:
        if (found := checkpoints.latest()) is not None:
            loop.restore(found[1], tape)
            penalized.passes[:] = loop.passes
        if loop.exact:
            fns.value_and_gradient, fns.noise = exact_pass, np.finfo(float).eps
        if loop.state is None:
            loop.passes[:] = penalized.passes
            loop.state = method.init(fns, w)
            loop.passes[:] = penalized.passes
            tape.clear()
        while True:
            due = loop.due(penalized.passes >= max_passes)
            if due.size:
                for k, certificate in zip(due, certify(loop.state.w[due], due), strict=True):
                    loop.judge(k, certificate, separation, spent=penalized.passes[k] >= max_passes)
                if loop.wants_exact():
                    log.info("Rounding in --dtype hides further progress: gradients in float64 from here on.")
                    loop.exact, fns.value_and_gradient, fns.noise = True, exact_pass, np.finfo(float).eps
                    at = core.active(loop.state)
                    loop.state = core.copy(loop.state)
                    loop.state.value[at], loop.state.gradient[at] = exact(loop.state.w[at], at)
                    loop.state.stalled[:] = False
                    loop.state.gap[at] = np.inf  # it was of rounded gradients: no step is judged by it
                loop.passes[:] = penalized.passes
                after_pass()
            if loop.state.finished.all():
                break
            with penalized.blas_threads():
                loop.state = method.step(fns, loop.state)
            loop.iterations += 1
            loop.passes[:] = penalized.passes
            loop.note_progress()
            tape.clear()
            for k in np.flatnonzero(~np.isfinite(loop.state.w).all(axis=1) & ~loop.state.finished):
                loop.end(k, Status.DIVERGED)
            if loop.state.finished.all():
                break
            slowest = int(core.active(loop.state)[np.argmax(loop.state.gap[core.active(loop.state)])])
            value = loop.state.value[slowest] + (fns.l1[slowest] * np.abs(loop.state.w[slowest])).sum()
            loop.history.append((penalized.passes[slowest], value, loop.state.gap[slowest]))
            report(*loop.history[-1])
        # What follows the fit may be killed too.
        if checkpoints.every_steps and time.monotonic() - saved_at > _SECONDS_BETWEEN_CHECKPOINTS:
            save()
    finally:
        penalized.sum_rows = tape.close()
    return Outcome(
        loop.state.w,
        [Status(s) for s in loop.status],
        loop.certificates,
        loop.running_off,
        penalized.passes.copy(),
        loop.iterations,
        loop.history,
    )


class _Loop:
    """What the loop knows between two steps, and how it judges."""

    def __init__(self, w: np.ndarray, target: np.ndarray):
        count = len(w)
        self.state: core.State | None = None
        self.iterations, self.exact = 0, False
        self.history: list[tuple[float, float, float]] = []
        self.target, self.threshold = target, target.copy()
        self.passes, self.refusals = np.zeros(count), np.zeros(count, int)
        self.least, self.since = np.full(count, np.inf), np.zeros(count, int)
        self.status: list[str] = [""] * count
        self.certificates: list[Certificate | None] = [None] * count
        self.running_off: list[np.ndarray | None] = [None] * count

    def due(self, spent: np.ndarray) -> np.ndarray:
        """Problems to certify now."""
        state = self.state
        ready = (state.gap <= self.threshold) | state.stalled | (self.since >= _STEPS_WITHOUT_PROGRESS)
        return np.flatnonzero(~state.finished & (ready | spent))

    def note_progress(self) -> None:
        """Counts the steps since a problem's estimated gap was last at its least."""
        better = self.state.gap < self.least
        self.least = np.minimum(self.least, self.state.gap)
        self.since = np.where(better, 0, self.since + 1)

    def judge(self, k: int, certificate: Certificate, separation: Callable, *, spent: bool) -> None:
        """Ends problem k, or says how much closer its estimate must come."""
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
        elif spent or self.refusals[k] >= _MOST_REFUSALS or (self.exact and state.stalled[k]):
            self.end(k, Status.MAX_PASSES)
        else:
            halved = before and before.gap and certificate.gap and certificate.gap < before.gap / 2
            self.refusals[k] += not halved
            self.threshold[k] = min(self.threshold[k], state.gap[k]) / 10

    def wants_exact(self) -> bool:
        """Whether a refused problem has come to where the devices' rounding may be what stops it."""
        refused = ~self.state.finished & (self.refusals > 0)
        return not self.exact and bool((refused & (self.state.stalled | (self.refusals > 1))).any())

    def end(self, k: int, status: Status) -> None:
        """Problem k is done."""
        self.status[k] = status.value
        self.state.finished[k] = True

    def arrays(self, tape: Tape) -> dict[str, np.ndarray]:
        """For a checkpoint: the state before the step that is under way, and its passes so far."""
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
            "least": self.least,
            "since": self.since,
            "status": np.array(self.status, "U16"),
            "exact": np.array(self.exact),
            "iterations": np.array(self.iterations),
        }

    def restore(self, arrays: dict[str, np.ndarray], tape: Tape) -> None:
        """Takes up `arrays` again."""
        self.history = [tuple(row) for row in arrays["history"].tolist()]
        for name in ("threshold", "passes", "refusals", "least", "since"):
            setattr(self, name, arrays[name].copy())
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
