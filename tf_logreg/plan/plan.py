"""`--mode=plan`: sizes and a topology -> every program compiled, and what the job needs and takes."""

import dataclasses
from collections.abc import Callable

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import config as configs
from tf_logreg.devices import chips
from tf_logreg.errors import InputError
from tf_logreg.exact import host, normal_equations
from tf_logreg.fit import penalties
from tf_logreg.plan import compiler, counting, estimate, programs
from tf_logreg.plan.job import Job, check_sizes, sizes_of

# Planted rows that a solve is measured on: with so many multiply-adds a product it takes a minute or two.
_SAMPLE_FEATURES, _MOST_SAMPLE_ROWS = 2**31, 2**13


def plan(config: ConfigDict, topology: str, **options) -> dict:
    """Compiles a job for a TPU slice and estimates what it needs and takes.

    Args:
        config: as of `plans`. topology: one of `chips.known()`.
        **options: the further arguments of `plans`.

    Returns:
        What `plan.json` holds: sizes, `compiler`, `memory`, `programs`, `passes`, `full_batch`, `minibatch`.

    Raises:
        InputError: as of `plans`.
    """
    (found,) = plans(config, [topology], **options)
    return found


def plans(
    config: ConfigDict,
    topologies: list[str],
    *,
    num_rows: int = 0,
    num_features: int = 0,
    num_classes: int = 0,
    dtype: str = "float32",
    num_passes: int = 0,
    log: Callable[[str], None] = print,
) -> list[dict]:
    """`plan` of each of several slices. What is measured on this machine is measured once for all.

    Args:
        config: its solver, minibatch, l1, l2, model sections; its data when a size is 0.
        topologies: some of `chips.known()`.
        num_rows, num_features, num_classes: of the training rows; 0 takes them from the config's source.
        dtype: of X on the chips, float32 or bfloat16.
        num_passes: reads of the rows on the chips that a solve takes; 0 measures them.
        log: told what is under way.

    Raises:
        InputError: an unknown topology, float64, sizes that cannot be, or no compiler.
    """
    slices = [chips.topology(name) for name in topologies]
    check_sizes(dtype, num_rows, num_features, num_classes)
    compiler.check()
    configs.validate(config)
    sizes = sizes_of(config, num_rows, num_features, num_classes)
    config = penalties.of_mean(config, float(sizes[0]))  # rows of weight 1
    jobs = [Job(config, slice_.name.partition(":")[0], slice_, *sizes, dtype) for slice_ in slices]
    measured = _measured(jobs[0], num_passes, log)
    return [_plan(job, measured, log) for job in jobs]


def _plan(job: Job, measured: "_Measured", log: Callable[[str], None]) -> dict:
    """What `plan` returns of one job."""
    compiled, found = _passes(job, log)
    step, steps = _minibatch(job)
    return {
        "note": f"estimates of {compiler.versions()} and of published figures of the chip, not a run",
        "compiler": compiler.versions(),
        "topology": job.slice_.name,
        "num_chips": job.slice_.num_chips,
        "solver": job.config.solver.name,
        "dtype": job.dtype,
        "num_problems": job.problems_in_all,
        "num_problems_at_once": job.num_problems,
        "num_rows": job.num_rows,
        "num_features": job.num_features,
        "num_classes": job.num_classes,
        "memory": dataclasses.asdict(_memory(job, compiled)),
        "programs": [
            dataclasses.asdict(one) | {"seconds": one.seconds}
            for one in (*found.values(), *([step] * (steps > 0)))
        ],
        **_full_batch(job, found, measured),
        "minibatch": {"steps": steps, "seconds": steps * step.seconds},
    }


@dataclasses.dataclass(frozen=True)
class _Measured:
    """What is measured on this machine: passes of solves and where their numbers come from; the host's speed.

    rate: multiply-adds a second and core.
    """

    counts: list[counting.Count]
    origin: str
    rate: float


def _passes(
    job: Job, log: Callable[[str], None]
) -> tuple[list[compiler.Compiled], dict[str, estimate.Program]]:
    """The passes of a full-batch fit, compiled, and what each takes, by name."""
    compiled, found = [], {}
    for request in programs.requests(job.num_rows, job.num_features, job.classes, job.num_problems):
        log(f"Compiling {request.name} for {job.kind}, {job.rows_a_chip:,} rows a chip.")
        text = programs.pass_over_rows(
            request,
            job.rows_a_chip,
            job.num_features,
            job.classes,
            dtype=job.dtype,
            num_problems=job.num_problems,
        )
        compiled.append(compiler.compile_for(job.kind, text))
        found[request.name] = estimate.program(request.name, compiled[-1], job.slice_)
    return compiled, found


def _memory(job: Job, compiled: list[compiler.Compiled]) -> estimate.Memory:
    """What the passes need on each chip."""
    weights = 4 * job.num_problems * (job.num_features + 1) * job.outputs
    row_bytes = compiled[0].arguments - weights  # as the compiler lays rows out, padding included
    return estimate.memory(compiled, job.slice_, job.num_rows, row_bytes / job.rows_a_chip, 6.0 * weights)


def _full_batch(job: Job, found: dict[str, estimate.Program], measured: _Measured) -> dict:
    """How long a solve takes, and what that is made of: the fields of `plan.json` that say so."""
    counts, origin, rate = measured.counts, measured.origin, measured.rate
    certificate, projected = _certificate(job.single, job.num_rows, job.num_features, job.classes)
    num_batches = -(-job.problems_in_all // job.num_problems)
    shape = job.num_rows, job.num_features, job.outputs
    solves = [
        estimate.full_batch(found, count, job.slice_, shape, rate, job.num_problems, projected).times(
            num_batches
        )
        for count in counts
    ]
    return {
        "passes": {"origin": origin, "counts": [dataclasses.asdict(count) for count in counts]},
        "host": {
            "cores_a_chip": job.slice_.chip.host_cores,
            "multiply_adds_a_second_and_core": rate,
            "origin": "a float64 pass measured on this machine, times the physical cores of the TPU's hosts",
        },
        "certificate": certificate,
        "full_batch": [dataclasses.asdict(one) | {"total": one.total} for one in solves],
    }


def _certificate(config: ConfigDict, num_rows: int, num_features: int, num_classes: int) -> tuple[str, int]:
    """Whether the host can certify such a solve, in words, and on how many coefficients it projects."""
    shape = num_features + config.model.bias, programs.outputs_of(num_classes)
    l1, l2 = np.full(shape, config.l1), np.full(shape, config.l2)
    if config.model.bias:
        l1[-1] = l2[-1] = 0.0
    problem = host.Problem(np.zeros(shape), np.zeros(num_features), l1, l2, np.ones(num_classes))
    count = int(problem.constrained.sum())
    if obstacle := normal_equations.obstacle(problem, num_rows):
        return f"none at this size: {obstacle}; with l2 > 0, model.bias=False needs no projection", 0
    return "duality gap", count


def _minibatch(job: Job) -> tuple[estimate.Program, int]:
    """The program of a step, and how many steps the config means."""
    config, options, rows = job.config, job.config.minibatch, job.num_rows
    batch = min(options.batch_size or rows, rows)
    shape = -(-batch // job.slice_.num_chips), job.num_features, job.num_classes
    if programs.has_tpu_kernels():  # their route takes no variables: the update is left out
        text, name = programs.step_gradient(*shape, dtype=job.dtype), "minibatch step without its update"
    else:
        text, name = (
            programs.step(
                *shape,
                dtype=job.dtype,
                optimizer=options.optimizer,
                optimizer_args=options.optimizer_args.to_dict(),
                l1=config.l1,
                l2=config.l2,
                clip_norm=options.clip_norm,
            ),
            "minibatch step",
        )
    weights = 4 * (job.num_features + 1) * programs.outputs_of(job.num_classes)
    step = estimate.program(name, compiler.compile_for(job.kind, text), job.slice_, reduced=weights)
    return step, options.epochs * -(-rows // batch)


def _measured(job: Job, num_passes: int, log: Callable[[str], None]) -> _Measured:
    """What is measured of a job, whatever the slice."""
    counts, origin = _counts(job, num_passes, log)
    return _Measured(counts, origin, counting.host_rate(job.num_features, job.classes))


def _counts(job: Job, num_passes: int, log: Callable) -> tuple[list[counting.Count], str]:
    """Passes of a solve, as a range, and where they come from."""
    if num_passes:
        asked = programs.requests(job.num_rows, job.num_features, job.classes, job.num_problems)
        has_products = any(request.name == "hessian_product" for request in asked)
        main = "hessian_product" if has_products else "value_and_gradient"
        count = counting.Count(job.num_rows, "given", {main: num_passes}, 2.0, 0.0)
        return [count], f"--plan_passes={num_passes}, all of them {main}; 2 on the host"
    config = job.single
    l2 = config.l2
    if config.path.penalty:
        raise InputError(
            "--plan_passes: expected a number for a path without strengths in path.values: its passes "
            f"cannot be measured beforehand. Received: {num_passes}."
        )
    # Fewer rows than the job's tell the classes apart more easily, so at the same l2 they take more passes.
    # At the same penalty on the sum of losses (l2 times the rows) they are held back more, and take fewer.
    p, classes = job.num_features, job.num_classes
    rows = min(job.num_rows, max(classes, _SAMPLE_FEATURES // (p * classes)))
    rows = min(rows, _MOST_SAMPLE_ROWS)
    scaled = l2 * job.num_rows / rows
    counts = []
    for strength in sorted({l2, scaled}):
        log(f"Solving {rows:,} planted rows of {p:,} x {classes:,} at l2 = {strength:.2g} here.")
        sample = config.copy_and_resolve_references()
        sample.l2 = strength
        counts.append(counting.measure(sample, rows, p, classes, job.dtype))
    between = " and ".join(f"{one:.2g}" for one in sorted({l2, scaled}))
    return (
        counts,
        f"measured by solving {rows:,} planted rows of the same p and C on this machine, l2 {between}",
    )
