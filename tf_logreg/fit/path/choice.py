"""From the config's path and cv sections to the strength of the penalty that held-out rows prefer."""

import dataclasses
import logging
from collections.abc import Callable

import numpy as np
import scipy.optimize
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg.data import dataset, moments
from tf_logreg.data import folds as make_folds
from tf_logreg.data.source import Source
from tf_logreg.devices import interrupt, placement, workers
from tf_logreg.devices import memory as data_memory
from tf_logreg.engines import on_devices
from tf_logreg.errors import InputError, RunError
from tf_logreg.fit import class_weight, progress
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.full_batch import optimum, sample
from tf_logreg.fit.full_batch.certified import Certified
from tf_logreg.fit.full_batch.penalized import Penalized
from tf_logreg.fit.path import solution
from tf_logreg.fit.result import Status
from tf_logreg.objective import row_sums
from tf_logreg.solvers import load as solvers

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Path:
    """N strengths x F folds, and which strength was chosen.

    Attributes:
        penalty: 'l1' or 'l2'.
        values: [N], from the strongest.
        scores: [N, F] held-out log loss, nats. choice: index of the chosen strength.
        kernel, bias: [N, F, p, m] and [N, F, m], raw units, without the prior's correction.
        status: [N, F] strings. certified_gap, objective: [N, F] nats, NaN where there is none.
        nonzeros: [N, F], coefficients other than zero. passes: [N, F] reads of the rows.
        iterations: steps of the method. note: what is to be said of the choice, '' for nothing.
    """

    penalty: str
    values: np.ndarray
    scores: np.ndarray
    choice: int
    kernel: np.ndarray
    bias: np.ndarray
    status: np.ndarray
    certified_gap: np.ndarray
    objective: np.ndarray
    nonzeros: np.ndarray
    passes: np.ndarray
    iterations: int
    note: str

    def chosen(self, config: ConfigDict) -> ConfigDict:
        """The config of the single fit at the chosen strength."""
        config = config.copy_and_resolve_references()
        config[self.penalty] = float(self.values[self.choice])
        return config

    @property
    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Raw kernel [p, m] and bias [m] to start that fit at: the mean over folds."""
        return self.kernel[self.choice].mean(axis=0), self.bias[self.choice].mean(axis=0)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What is known of a path before the work directory is touched.

    Attributes:
        folds: of the training rows; one problem over all of them when validation rows choose.
        scan: moments of all training rows. scans: F, of those that train beside each fold.
        memory: bytes that problems solved at once may take.
    """

    folds: make_folds.Folds
    scan: moments.Scan
    scans: list[moments.Scan]
    memory: float


def prepare(
    config: ConfigDict, source: Source, train: np.ndarray, *, output: str, strategy: tf.distribute.Strategy
) -> Prepared:
    """Makes folds, reads each once for its moments, and checks that a problem has room.

    Raises:
        InputError: folds that cannot be made or lack a class, or a problem that fits no device.
    """
    if not optimum.penalty_factor(config.penalty_factor, source.columns).any():
        raise InputError("path.penalty: expected a penalty_factor > 0. Received: 0 for every feature.")
    team, folds = workers.of(strategy), make_folds.none(len(train))
    if config.cv.folds:
        names = {"group": config.data.group, "time": config.data.time, "seed": config.seed}
        folds = team.together(lambda: make_folds.make(source, train, config.cv.folds, **names))
    parts = [dataset.scan_rows(source, train[folds.fold == f], team) for f in range(folds.fold.max() + 1)]
    scans = [
        moments.merged([parts[f] for f in folds.training(which)]) for which in range(len(folds.held_out))
    ]
    make_folds.check_classes(folds, np.array([s.class_weight_sum for s in scans]), source.class_names)
    strengths, outputs = len(config.path["values"]) or config.path.num, len(source.class_names)
    coefficients = (len(source.columns) + config.model.bias) * (1 if output == "sigmoid" else outputs)
    # Starts, answers and raw copies of every problem's coefficients.
    data_memory.check(
        48.0 * strengths * len(scans) * coefficients,
        f"path.num, path.values: {strengths} strengths beside {len(scans)} folds of {coefficients} "
        "coefficients",
    )
    # Beside the rows, and what a solver keeps on the host.
    memory = float(team.gather(np.array(placement.device_memory(strategy) / 4)).min())
    outputs = len(source.class_names) if output == "softmax" else 1
    solution.problems_at_once((len(source.columns), outputs), config.model.bias, memory, len(train))
    whole, factor = moments.merged(parts), optimum.penalty_factor(config.penalty_factor, source.columns)
    if not config.path["values"] and not whole.deviation[factor > 0].any():
        raise InputError("path.values: expected strengths where no penalised column varies. Received: ().")
    return Prepared(folds, whole, scans, memory)


def fit_path(
    config: ConfigDict,
    source: Source,
    rows: dict[str, np.ndarray],
    columns: moments.Affine,
    prepared: Prepared,
    *,
    solver: str,
    output: str,
    strategy: tf.distribute.Strategy,
    dtype: str,
    checkpoints: Checkpoints,
    device_memory_fraction: float = 0.5,
) -> Path:
    """Fits every strength beside every fold, scores each on what it did not see, and chooses.

    Args:
        config: its sections path, cv, solver, model, data and its penalties are read.
        source: where rows are read.
        rows: row ids by role; those under 'train' are fitted, 'validation' scores where there are no folds.
        columns: from `optimum.training_columns`, of all training rows.
        prepared: from `prepare`.
        solver: from `optimum.choose`.
        output: 'sigmoid', 'softmax' or 'one_vs_rest'.
        strategy: where the replicas live.
        dtype: of X on the devices.
        checkpoints: of the run; the path's are in a folder below.
        device_memory_fraction: rows that take at most this share are placed on the devices once.

    Raises:
        RunError: no strength could be scored.
        InterruptError: a signal came; the state is saved.
    """
    train, folds, scans = rows["train"], prepared.folds, prepared.scans
    sum_rows = optimum.place_rows(strategy, source, train, columns, dtype, device_memory_fraction, folds.fold)
    sampled = sample.sampled_rows(source, train, columns, folds.fold)
    at = _problems(config, source, len(train), columns, sum_rows, output, sampled)
    team, one_vs_rest = workers.of(strategy), output == "one_vs_rest"
    scored = sum_rows, folds.held_out
    if not config.cv.folds:
        place = (strategy, source, rows["validation"], columns, tf.as_dtype(dtype))
        scored = on_devices.streamed(*place), np.zeros(1, np.int32)

    def fit_grid(values: np.ndarray, folder: str, begin: np.ndarray | None) -> tuple[dict, np.ndarray, int]:
        """N strengths: arrays [N, F, ...], the answers [N, K / N, P] and the steps taken."""
        problems = at(values, folds, scans)
        certified = Certified(problems, source, train, columns, team, folds.fold)
        strengths, count = len(values), len(scans)
        together = len(problems.l2) // strengths
        class_weight_sums = np.tile(
            np.repeat([s.class_weight_sum for s in scans], together // count, axis=0), (strengths, 1)
        )
        start, null = optimum.null_models(certified, class_weight_sums, offset=bool(config.data.offset))
        if begin is not None and np.isfinite(begin).all():
            start = np.tile(begin, (strengths, 1))
        with progress.gap_bar(float(config.solver.tol * null[0])) as show, interrupt.listen() as interrupted:
            solved = solution.solve(
                solvers.load(solver),
                certified,
                start,
                solution.batches(problems, together, prepared.memory),
                values=values,
                target=config.solver.tol * null,
                max_passes=config.solver.max_passes,
                noise=optimum.NOISE[dtype],
                checkpoints=checkpoints.below(folder),
                report=show,
                interrupted=lambda: team.any(interrupted()),
            )
        kernel, bias = _models(solved.w, problems, (strengths, count))
        corrected = bias
        if config.class_weight and config.correct_prior:
            weights = problems.class_weight[:together].reshape(count, -1, len(source.class_names))
            weights = weights if one_vs_rest else weights[:, 0]
            zero = np.zeros(bias.shape[2])
            corrected = bias + np.array([class_weight.correct_prior(zero, one) for one in weights])
        scores = _scores(*scored, kernel, corrected, one_vs_rest)
        status, gap, value, reads = (
            array.reshape(strengths, count, -1)
            for array in (np.array(solved.status), solved.gap, solved.objective, solved.passes)
        )
        # One against the rest, the first class that did not end well speaks for the model.
        first_bad = (status != Status.OPTIMAL).argmax(axis=2)[:, :, None]
        status = np.take_along_axis(status, first_bad, axis=2)[:, :, 0]
        scores[status == Status.DIVERGED] = np.nan
        kernel = kernel * columns.scale[:, None]
        found = {
            "values": values,
            "scores": scores,
            "kernel": kernel,
            "bias": bias - np.einsum("j,nfjm->nfm", columns.shift, kernel),
            "status": status,
            "certified_gap": gap.sum(axis=2),
            "objective": value.sum(axis=2),
            "nonzeros": np.count_nonzero(kernel, axis=(2, 3)),
            "passes": reads.max(axis=2),
        }
        return found, solved.w.reshape(strengths, together, -1), solved.iterations

    given = config.path["values"]
    values = (
        np.array(given, float)
        if given
        else _from_largest(config, source, train, columns, at, prepared.scan, team)
    )
    found, w, iterations = fit_grid(values, "path", None)
    # The default strengths go on while the weakest is the best. All workers take the same way.
    while not given and team.any(solution.still_falls(found["scores"])):
        more = solution.next_values(found["values"], config.path.num)
        if not len(more):
            break
        log.info(
            "path: the held-out loss still falls at %s=%.3g: on to %.3g.",
            config.path.penalty, found["values"][-1], more[-1],
        )  # fmt: skip
        further, w, steps = fit_grid(more, f"path-{len(found['values'])}", w[-1])
        found = {name: np.concatenate([found[name], further[name]]) for name in found}
        iterations += steps
    if np.isnan(found["scores"]).any(axis=1).all():
        raise RunError("path: no strength of the penalty could be fitted and scored beside every fold.")
    choice = solution.choose(found["scores"], config.cv.choose)
    note = solution.at_an_end(config.path.penalty, found["values"], choice, given=bool(given))
    if note:
        log.warning("path: %s", note)
    return Path(penalty=config.path.penalty, choice=choice, iterations=iterations, note=note, **found)


def _problems(
    config: ConfigDict,
    source: Source,
    num_rows: int,
    columns: moments.Affine,
    sum_rows: on_devices.SumRows,
    output: str,
    sample: Callable,
) -> Callable[[np.ndarray, make_folds.Folds, list[moments.Scan]], Penalized]:
    """(strengths [N], F folds, moments of what trains beside each) -> the K = N F M problems."""
    classes, options = len(source.class_names), config.path
    one_vs_rest = output == "one_vs_rest"
    sides = classes if one_vs_rest else 1
    factor = optimum.penalty_factor(config.penalty_factor, source.columns)

    def at(values: np.ndarray, folds: make_folds.Folds, scans: list[moments.Scan]) -> Penalized:
        weights, units = [], []
        for scan in scans:
            found = class_weight.parse(
                config.class_weight, source.class_names, scan.class_weight_sum, one_vs_rest=one_vs_rest
            )
            weights.append(np.broadcast_to(np.ones(classes) if found is None else found, (sides, classes)))
            # What penalties act on, over a coefficient in training columns: that of the raw column, or of
            # the column as these rows alone would standardise it. Where it is centred is the bias's affair.
            deviation = np.where(scan.deviation > 0, scan.deviation, 1.0)
            raw = columns.penalty_unit(standardize=False)
            units.append(columns.scale * deviation if config.standardize else raw)
        strengths, together = len(values), len(scans) * sides
        strength = np.repeat(values, together)[:, None]
        unit = np.tile(np.repeat(units, sides, axis=0), (strengths, 1))
        positive = np.tile(optimum.positives(sides), strengths * len(scans))
        return Penalized(
            sum_rows,
            (len(source.columns), classes if output == "softmax" else 1),
            config.model.bias,
            np.tile(np.repeat(folds.held_out, sides), strengths),
            np.tile(np.concatenate(weights), (strengths, 1)),
            optimum.held((strength if options.penalty == "l1" else config.l1) * factor * unit),
            optimum.held((strength if options.penalty == "l2" else config.l2) * factor * unit * unit),
            num_rows,
            latest=np.tile(np.repeat(folds.latest, sides), strengths),
            positive=positive,
            # The folds of a strength have about the same Hessian; of one class, against the rest.
            alike=np.repeat(np.arange(strengths), together) * sides + positive,
            sample=sample,
        )

    return at


def _from_largest(
    config, source, train, columns, at, scan: moments.Scan, team: workers.Workers
) -> np.ndarray:
    """The default strengths, from the gradient of all training rows where nothing is penalised away."""
    null = at(np.zeros(1), make_folds.none(1), [scan])
    p, count = null.shape[0], len(null.l2)
    certified = Certified(null, source, train, columns, team)
    w, _ = optimum.null_models(certified, scan.class_weight_sum, offset=False)
    factor = optimum.penalty_factor(config.penalty_factor, source.columns)
    free = null.per_coefficient(np.tile(factor == 0, (count, 1)).astype(float)) > 0
    if free.any() or config.data.offset:
        free |= null.per_coefficient(np.ones((count, p))) == 0

        def value_and_gradient(part: np.ndarray) -> tuple[float, np.ndarray]:
            w[free] = part
            value, gradient = certified.exact(w, np.arange(count))
            return value.sum(), gradient[free]

        scipy.optimize.minimize(value_and_gradient, w[free], jac=True, method="BFGS", options={"gtol": 1e-9})
    _, gradient = certified.exact(w, np.arange(count))
    unit = columns.penalty_unit(standardize=False)
    if config.standardize:
        unit = columns.scale * np.where(scan.deviation > 0, scan.deviation, 1.0)
    gradient = null.unpack(gradient)[:, :p].transpose(1, 0, 2).reshape(p, -1) / unit[:, None]
    largest = solution.largest_penalty(config.path.penalty, gradient, factor)
    return solution.grid(config.path.num, config.path.ratio, largest)


def _models(w: np.ndarray, problems: Penalized, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Kernels [N, F, p, m] and biases [N, F, m] in training columns from w [K, P]; m = C for one-vs-rest."""
    whole = problems.unpack(w)
    whole = whole.reshape(*shape, -1, *whole.shape[1:]).transpose(0, 1, 3, 2, 4)
    whole = whole.reshape(*whole.shape[:3], -1)
    return whole[:, :, :-1], whole[:, :, -1]


def _scores(sum_rows, held_out: np.ndarray, kernel, bias, one_vs_rest: bool) -> np.ndarray:
    """Held-out log losses [N, F] of kernels [N, F, p, m]."""
    program = row_sums.held_out_loss_one_vs_rest if one_vs_rest else row_sums.held_out_loss
    shape = kernel.shape[:2]
    w = np.concatenate([kernel, bias[:, :, None]], axis=2)
    record = row_sums.Problems(np.tile(held_out, shape[0]), np.ones((w.shape[0] * w.shape[1], 1)))
    weight, loss = sum_rows(program, (w.reshape(-1, *w.shape[2:]),), record, 3 * w[..., 0, :].size)
    return (loss / weight).reshape(shape)
