"""What is wrong with a config, a line for each fault: the field, what is expected and what came.

Structure first (fields and types), then values. Lines are yielded, so that all faults are told at once.
Only values need Keras and the sources, so these are imported there: a misspelt field is answered at once.
"""

import itertools
from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

from tf_logreg.data import load as sources
from tf_logreg.fit.minibatch import early_stopping
from tf_logreg.fit.path import strengths
from tf_logreg.solvers import load as solvers

SOLVERS = ("auto", "minibatch", *solvers.known())
OUTPUTS = ("auto", "sigmoid", "softmax", "one_vs_rest")


def structure_faults(config: ConfigDict, default: ConfigDict, prefix: str = "") -> Iterator[str]:
    """Unknown and missing fields and wrong types; `*args` are open, what they go to checks them."""
    for name in config:
        if name not in default:
            yield f"{prefix}{name}: no such field. Known here: {', '.join(default)}."
    for name, expected in default.items():
        field = prefix + name
        if name not in config:
            yield f"{field}: missing; copy tf_logreg.config.get_config() and change it."
        elif isinstance(expected, ConfigDict):
            if not isinstance(config[name], ConfigDict):
                yield f"{field}: expected a section of fields. Received: {config[name]!r}."
            elif not name.endswith("args"):
                yield from structure_faults(config[name], expected, field + ".")
        elif type(config[name]) is not type(expected) and not (
            isinstance(expected, float) and type(config[name]) is int
        ):
            yield f"{field}: expected {type(expected).__name__}. Received: {config[name]!r}."
        elif type(expected) is int and not -(2**63) <= config[name] < 2**63:
            digits = len(str(config[name]))
            yield f"{field}: expected a whole number of 64 bit. Received: one of {digits} digits."


def value_faults(config: ConfigDict) -> Iterator[str]:
    """Values out of range, and names that nothing answers to."""
    from tf_logreg.fit.minibatch import optimizers, schedules  # imports Keras

    def check(field: str, allowed: Callable[[object], bool], expected: str) -> Iterator[str]:
        value = config
        for name in field.split("."):
            value = value[name]
        if not allowed(value):
            yield f"{field}: expected {expected}. Received: {value!r}."

    infinity = float("inf")
    yield from check("seed", lambda v: 0 <= v < 2**32, "a whole number in [0, 2^32)")
    for field in ("data.validation_fraction", "data.test_fraction"):
        yield from check(field, lambda v: 0 <= v < 1, "a fraction in [0, 1)")
    data = config.data
    if data.validation_fraction + data.test_fraction >= 1:
        yield (
            "data.validation_fraction + data.test_fraction: expected less than 1, to leave training rows. "
            f"Received: {data.validation_fraction} + {data.test_fraction}."
        )
    for role in ("validation", "test"):
        if data[f"{role}_split"] and data[f"{role}_fraction"]:
            received = data[f"{role}_fraction"]
            yield f"data.{role}_fraction: expected 0.0 beside data.{role}_split. Received: {received}."
    yield from check("model.output", OUTPUTS.__contains__, f"one of {', '.join(OUTPUTS)}")
    yield from check("solver.name", SOLVERS.__contains__, f"one of {', '.join(SOLVERS)}")
    for field in ("l1", "l2", "solver.tol", "minibatch.clip_norm"):
        yield from check(field, lambda v: 0 <= v < infinity, "a finite number >= 0")
    yield from check("solver.max_passes", lambda v: v >= 0, "a whole number >= 0")
    with_l1 = ", ".join(solvers.taking_l1())
    smooth_only = config.solver.name in solvers.known() and config.solver.name not in solvers.taking_l1()
    if config.l1 > 0 and smooth_only:
        yield (
            f"solver.name: expected auto, {with_l1} or minibatch with l1 > 0. Received: "
            f"{config.solver.name!r}, l1={config.l1}."
        )
    numbers = all(isinstance(v, int | float) and 0 <= v < infinity for v in config.penalty_factor)
    if not numbers:
        yield f"penalty_factor: expected finite numbers >= 0. Received: {config.penalty_factor!r}."
    if config.solver.name == "minibatch":
        for field, unused in (("penalty_factor", ()), ("solver.warm_start", "")):
            yield from check(
                field, lambda v, unused=unused: v == unused, f"{unused!r} with solver 'minibatch'"
            )
    elif config.solver.name in SOLVERS and config.minibatch.early_stopping.metric in early_stopping.METRICS:
        yield (
            "minibatch.early_stopping.metric: expected '' but with solver.name='minibatch'. Received: "
            f"{config.minibatch.early_stopping.metric!r}."
        )
    yield from check("minibatch.learning_rate", lambda v: 0 < v < infinity, "a finite number > 0")
    yield from check("minibatch.batch_size", lambda v: v >= 0, "a whole number >= 0 (0 = all rows)")
    for field in ("minibatch.epochs", "minibatch.steps_per_loop"):
        yield from check(field, lambda v: v >= 1, "a whole number >= 1")
    schedule, stopping = config.minibatch.schedule, config.minibatch.early_stopping
    yield from check(
        "minibatch.schedule.name", schedules.NAMES.__contains__, f"one of {', '.join(schedules.NAMES)}"
    )
    for field in ("warmup_steps", "decay_steps"):
        yield from check(f"minibatch.schedule.{field}", lambda v: v >= 0, "a whole number >= 0")
    yield from check("minibatch.schedule.final_fraction", lambda v: 0 <= v <= 1, "a fraction in [0, 1]")
    if schedule.name == "exponential" and schedule.final_fraction == 0:
        yield "minibatch.schedule.final_fraction: expected > 0 for an exponential decay. Received: 0.0."
    metrics = ("", *early_stopping.METRICS)
    yield from check(
        "minibatch.early_stopping.metric", metrics.__contains__, f"one of {', '.join(metrics[1:])} or ''"
    )
    yield from check("minibatch.early_stopping.patience", lambda v: v >= 0, "a whole number >= 0")
    if stopping.metric and not (data.validation_fraction or data.validation_split):
        yield (
            "minibatch.early_stopping.metric: expected '' without data.validation_fraction and "
            f"data.validation_split. Received: {stopping.metric!r}."
        )
    if (data.group or data.time) and not (data.validation_fraction or data.test_fraction or config.cv.folds):
        yield (
            "data.group, data.time: expected '' without data.validation_fraction, data.test_fraction or "
            "cv.folds."
        )
    if data.group and data.time:
        yield f"data.group, data.time: expected one of them. Received: {data.group!r}, {data.time!r}."
    if config.class_weight and config.correct_prior and not config.model.bias:
        yield "correct_prior: expected False without model.bias, which it shifts. Received: True."
    yield from _path_faults(config)
    if config.model.output == "one_vs_rest":
        for field, unused in (("data.offset", ""), ("data.positive_class", "")):
            yield from check(
                field, lambda v, unused=unused: v == unused, f"{unused!r} with model.output='one_vs_rest'"
            )
        if config.solver.name == "minibatch":
            yield "model.output: expected another with solver.name='minibatch'. Received: 'one_vs_rest'."
        if config.correct_prior and "=" in config.class_weight:
            yield (
                "correct_prior: expected False with model.output='one_vs_rest' and weights by name: a class "
                "against others of several weights has no one shift. Received: True."
            )
    yield from check("checkpoint.every_steps", lambda v: v >= 0, "a whole number >= 0")
    yield from check("checkpoint.keep", lambda v: v >= 1, "a whole number >= 1")
    for field in ("evaluate.max_rows", "evaluate.max_bytes"):
        yield from check(field, lambda v: v >= 0, "a whole number >= 0")
    yield from sources.faults(data.source, data.args)
    l1 = config.l1 if config.solver.name == "minibatch" else 0.0
    yield from optimizers.faults(config.minibatch.optimizer, config.minibatch.optimizer_args, l1)


def _path_faults(config: ConfigDict) -> Iterator[str]:
    """What is wrong with the sections path and cv."""
    options, cv, data = config.path, config.cv, config.data
    if options.penalty not in ("", "l1", "l2"):
        yield f"path.penalty: expected 'l1', 'l2' or ''. Received: {options.penalty!r}."
    values = options["values"]
    if not all(isinstance(v, int | float) and 0 <= v < float("inf") for v in values):
        yield f"path.values: expected finite numbers >= 0. Received: {values!r}."
    elif any(a <= b for a, b in itertools.pairwise(values)):
        yield f"path.values: expected numbers in decreasing order, each once. Received: {values!r}."
    if not values and options.num < 2:
        yield f"path.num: expected a whole number >= 2 without path.values. Received: {options.num}."
    if not 0 < options.ratio < 1:
        yield f"path.ratio: expected a fraction in (0, 1). Received: {options.ratio!r}."
    if cv.folds < 0 or cv.folds == 1:
        yield f"cv.folds: expected 0 or a whole number >= 2. Received: {cv.folds}."
    if cv.metric != "log_loss":
        yield f"cv.metric: expected 'log_loss'. Received: {cv.metric!r}."
    if cv.choose not in strengths.CHOICES:
        yield f"cv.choose: expected one of {', '.join(strengths.CHOICES)}. Received: {cv.choose!r}."
    if cv.choose == "one_standard_error" and not cv.folds:
        yield "cv.choose: expected 'best' without cv.folds. Received: 'one_standard_error'."
    if not options.penalty:
        if cv.folds:
            yield f"cv.folds: expected 0 without path.penalty. Received: {cv.folds}."
        if values:
            yield f"path.values: expected () without path.penalty. Received: {values!r}."
        return
    if options.penalty in ("l1", "l2") and config[options.penalty]:
        yield (
            f"{options.penalty}: expected 0.0 with path.penalty={options.penalty!r}, which tries many. "
            f"Received: {config[options.penalty]}."
        )
    if config.solver.name == "minibatch":
        yield f"path.penalty: expected '' with solver.name='minibatch'. Received: {options.penalty!r}."
    elif options.penalty == "l1" and config.solver.name not in ("auto", *solvers.taking_l1()):
        yield (
            f"solver.name: expected auto or {', '.join(solvers.taking_l1())} with path.penalty='l1'. "
            f"Received: {config.solver.name!r}."
        )
    if config.solver.warm_start:
        yield f"solver.warm_start: expected '' with path.penalty. Received: {config.solver.warm_start!r}."
    if not cv.folds and not (data.validation_fraction or data.validation_split):
        yield (
            "path.penalty: expected cv.folds, data.validation_fraction or data.validation_split beside it. "
            f"Received: {options.penalty!r} alone."
        )
