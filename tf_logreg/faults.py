"""What is wrong with a config, a line for each fault: the field, what is expected and what came.

Structure first (fields and types), then values. Lines are yielded, so that all faults are told at once.
Only values need Keras and the sources, so these are imported there: a misspelt field is answered at once.
"""

from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

from tf_logreg.data import encoders
from tf_logreg.data import load as sources
from tf_logreg.fit import inference_settings, path_settings, threshold_settings
from tf_logreg.fit.minibatch import early_stopping
from tf_logreg.solvers import load as solvers

SOLVERS = ("auto", "minibatch", *solvers.known())
OUTPUTS = ("auto", "sigmoid", "softmax", "one_vs_rest")
_INFINITY = float("inf")
_OPEN = ("args", "columns")  # sections of fields that only what they go to knows


def structure_faults(config: ConfigDict, default: ConfigDict, prefix: str = "") -> Iterator[str]:
    """Unknown and missing fields and wrong types; open sections are checked by what they go to."""
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
            elif not name.endswith(_OPEN):
                yield from structure_faults(config[name], expected, field + ".")
        elif type(config[name]) is not type(expected) and not (
            isinstance(expected, float) and type(config[name]) is int
        ):
            yield f"{field}: expected {type(expected).__name__}. Received: {config[name]!r}."
        elif type(expected) is int and not -(2**63) <= config[name] < 2**63:
            digits = len(str(config[name]))
            yield f"{field}: expected a whole number of 64 bit. Received: one of {digits} digits."


def value_faults(config: ConfigDict) -> Iterator[str]:
    """Values out of range, and names that nothing answers to, in the order of the config's sections."""
    yield from _check(config, "seed", lambda v: 0 <= v < 2**32, "a whole number in [0, 2^32)")
    yield from _data_faults(config)
    yield from _objective_faults(config)
    yield from _solver_faults(config)
    yield from path_settings.faults(config)
    yield from threshold_settings.faults(config)
    yield from inference_settings.faults(config)
    yield from _minibatch_faults(config)
    for field in ("checkpoint.every_steps", "evaluate.max_rows", "evaluate.max_bytes"):
        yield from _check(config, field, lambda v: v >= 0, "a whole number >= 0")
    yield from _check(config, "checkpoint.keep", lambda v: v >= 1, "a whole number >= 1")
    expected = "names of columns, each once"
    yield from _check(config, "evaluate.slices", _are_names, expected)


def _check(config: ConfigDict, field: str, allowed: Callable[[object], bool], expected: str) -> Iterator[str]:
    """A line when the value of `field` ('data.group') is not allowed."""
    value = config
    for name in field.split("."):
        value = value[name]
    if not allowed(value):
        yield f"{field}: expected {expected}. Received: {value!r}."


def _are_names(values: tuple) -> bool:
    """Whether these are texts, each once."""
    return all(isinstance(value, str) for value in values) and len(set(values)) == len(values)


def _data_faults(config: ConfigDict) -> Iterator[str]:
    """What is wrong with the section data."""
    data = config.data
    yield from sources.faults(data.source, data.args)
    for field in ("data.validation_fraction", "data.test_fraction"):
        yield from _check(config, field, lambda v: 0 <= v < 1, "a fraction in [0, 1)")
    if data.validation_fraction + data.test_fraction >= 1:
        yield (
            "data.validation_fraction + data.test_fraction: expected less than 1, to leave training rows. "
            f"Received: {data.validation_fraction} + {data.test_fraction}."
        )
    for role in ("validation", "test"):
        if data[f"{role}_split"] and data[f"{role}_fraction"]:
            received = data[f"{role}_fraction"]
            yield f"data.{role}_fraction: expected 0.0 beside data.{role}_split. Received: {received}."
    splits = data.validation_fraction or data.test_fraction or config.cv.folds
    clusters = config.inference.cov_type.startswith("cluster") or config.inference.bootstrap
    if (data.time or (data.group and not clusters)) and not splits:
        yield (
            "data.group, data.time: expected '' without data.validation_fraction, data.test_fraction or "
            "cv.folds."
        )
    yield from _refit_faults(config)
    yield from encoders.faults(data.encoder, data.encoder_weights)
    if data.encoder and data.source in sources.TABLES:
        yield f"data.encoder: expected '' with a table. Received: {data.encoder!r}."
    yield from _table_faults(data)
    if data.group and data.time:
        yield f"data.group, data.time: expected one of them. Received: {data.group!r}, {data.time!r}."


def _refit_faults(config: ConfigDict) -> Iterator[str]:
    """What is wrong with a second fit, to all rows."""
    data, metric = config.data, config.minibatch.early_stopping.metric
    yield from _check(config, "data.refit", ("train", "all").__contains__, "'train' or 'all'")
    if data.refit != "all":
        return
    if not (data.validation_fraction or data.validation_split or data.test_fraction or data.test_split):
        yield (
            "data.refit: expected 'train' without validation and test rows, as all rows train then. "
            "Received: 'all'."
        )
    if config.solver.name == "minibatch" and metric:
        yield (
            "data.refit: expected 'train' with minibatch.early_stopping.metric, as no validation rows "
            f"are left to stop a fit to all rows. Received: 'all' and {metric!r}."
        )


def _table_faults(data: ConfigDict) -> Iterator[str]:
    """What is wrong with the fields for tables."""
    for field, known in (
        ("missing", ("indicator", "drop", "error")),
        ("coding", ("auto", "all", "reference")),
        ("layout", ("auto", "dense", "sparse")),
    ):
        if data[field] not in known:
            yield f"data.{field}: expected one of {', '.join(known)}. Received: {data[field]!r}."
    for field in ("min_count", "max_levels"):
        if data[field] < 1:
            yield f"data.{field}: expected a whole number >= 1. Received: {data[field]}."
    if data.source not in sources.TABLES:
        for field in ("label", "weight", "schema", "crosses"):
            if data[field]:
                yield (
                    f"data.{field}: expected '' with a source that is none of {', '.join(sources.TABLES)}. "
                    f"Received: {data[field]!r} with data.source={data.source!r}."
                )
        if data.columns:
            yield f"data.columns: expected none with a source that is no table. Received: {data.source!r}."


def _objective_faults(config: ConfigDict) -> Iterator[str]:
    """What is wrong with what is minimised: the model's output, penalties and class weights."""
    yield from _check(config, "model.output", OUTPUTS.__contains__, f"one of {', '.join(OUTPUTS)}")
    for field in ("l1", "l2"):
        yield from _check(config, field, lambda v: 0 <= v < _INFINITY, "a finite number >= 0")
    yield from _check(config, "C", lambda v: 0 <= v < _INFINITY, "a finite number > 0, or 0.0 for none")
    yield from _check(config, "l1_ratio", lambda v: 0 <= v <= 1, "a share in [0, 1]")
    if config.C and (config.l1 or config.l2):
        yield f"C: expected 0.0 beside l1 or l2. Received: {config.C}, l1={config.l1}, l2={config.l2}."
    if config.l1_ratio and not config.C:
        yield f"l1_ratio: expected 0.0 without C, of which it is a share. Received: {config.l1_ratio}."
    if not all(isinstance(v, int | float) and 0 <= v < _INFINITY for v in config.penalty_factor):
        yield f"penalty_factor: expected finite numbers >= 0. Received: {config.penalty_factor!r}."
    if config.class_weight and config.correct_prior and not config.model.bias:
        yield "correct_prior: expected False without model.bias, which it shifts. Received: True."
    if config.model.output != "one_vs_rest":
        return
    for field in ("data.offset", "data.positive_class"):
        yield from _check(config, field, lambda v: v == "", "'' with model.output='one_vs_rest'")
    if config.solver.name == "minibatch":
        yield "model.output: expected another with solver.name='minibatch'. Received: 'one_vs_rest'."
    if config.correct_prior and "=" in config.class_weight:
        yield (
            "correct_prior: expected False with model.output='one_vs_rest' and weights by name: a class "
            "against others of several weights has no one shift. Received: True."
        )


def _solver_faults(config: ConfigDict) -> Iterator[str]:
    """What is wrong with the section solver, and what its method does not take."""
    name, taking_l1 = config.solver.name, solvers.taking_l1()
    yield from _check(config, "solver.name", SOLVERS.__contains__, f"one of {', '.join(SOLVERS)}")
    yield from _check(config, "solver.tol", lambda v: 0 <= v < _INFINITY, "a finite number >= 0")
    for field in ("solver.max_passes", "solver.max_steps"):
        yield from _check(config, field, lambda v: v >= 0, "a whole number >= 0")
    yield from _check(config, "solver.time_limit", lambda v: 0 <= v < _INFINITY, "seconds >= 0 (0 = any)")
    l1 = {field: config[field] for field in ("l1", "l1_ratio") if config[field] > 0}
    if l1 and name in solvers.known() and name not in taking_l1:
        given = ", ".join(f"{field}={value}" for field, value in l1.items())
        yield (
            f"solver.name: expected auto, {', '.join(taking_l1)} or minibatch with l1 > 0. Received: "
            f"{name!r}, {given}."
        )
    if config.solver.prior:
        yield from _prior_faults(config)
    if name == "minibatch":
        yield from _check(config, "penalty_factor", lambda v: v == (), "() with solver 'minibatch'")
        yield from _check(config, "solver.warm_start", lambda v: v == "", "'' with solver 'minibatch'")
    elif name in SOLVERS and config.minibatch.early_stopping.metric in early_stopping.METRICS:
        yield (
            "minibatch.early_stopping.metric: expected '' but with solver.name='minibatch'. Received: "
            f"{config.minibatch.early_stopping.metric!r}."
        )


def _prior_faults(config: ConfigDict) -> Iterator[str]:
    """What cannot stand beside a prior."""
    penalty, received = config.path.penalty, f"Received: {config.solver.prior!r}"
    if not (config.l2 or config.C or penalty):
        yield f"solver.prior: expected '' without l2, C or path.penalty='l2', which pull. {received}."
    if config.l1 or config.l1_ratio or penalty not in ("", "l2"):
        yield f"solver.prior: expected '' with l1, whose zeros are not those of a difference. {received}."
    if config.solver.name == "minibatch":
        yield f"solver.prior: expected '' with solver.name='minibatch'. {received}."
    if config.model.output == "one_vs_rest":
        yield f"solver.prior: expected '' with model.output='one_vs_rest'. {received}."


def _minibatch_faults(config: ConfigDict) -> Iterator[str]:
    """What is wrong with the section minibatch."""
    from tf_logreg.fit.minibatch import optimizers, schedules  # imports Keras

    options, data = config.minibatch, config.data
    l1 = config.l1 or config.l1_ratio if config.solver.name == "minibatch" else 0.0
    yield from optimizers.faults(options.optimizer, options.optimizer_args, l1)
    yield from _check(config, "minibatch.clip_norm", lambda v: 0 <= v < _INFINITY, "a finite number >= 0")
    yield from _check(config, "minibatch.learning_rate", lambda v: 0 < v < _INFINITY, "a finite number > 0")
    yield from _check(config, "minibatch.batch_size", lambda v: v >= 0, "a whole number >= 0 (0 = all rows)")
    for field in ("minibatch.epochs", "minibatch.steps_per_loop"):
        yield from _check(config, field, lambda v: v >= 1, "a whole number >= 1")

    known = f"one of {', '.join(schedules.NAMES)}"
    yield from _check(config, "minibatch.schedule.name", schedules.NAMES.__contains__, known)
    for field in ("minibatch.schedule.warmup_steps", "minibatch.schedule.decay_steps"):
        yield from _check(config, field, lambda v: v >= 0, "a whole number >= 0")
    fraction = "minibatch.schedule.final_fraction"
    yield from _check(config, fraction, lambda v: 0 <= v <= 1, "a fraction in [0, 1]")
    if options.schedule.name == "exponential" and options.schedule.final_fraction == 0:
        yield f"{fraction}: expected > 0 for an exponential decay. Received: 0.0."

    metrics, metric = early_stopping.METRICS, options.early_stopping.metric
    known = f"one of {', '.join(metrics)} or ''"
    yield from _check(config, "minibatch.early_stopping.metric", ("", *metrics).__contains__, known)
    patience = "minibatch.early_stopping.patience"
    yield from _check(config, patience, lambda v: v >= 0, "a whole number >= 0")
    if metric and not (data.validation_fraction or data.validation_split):
        yield (
            "minibatch.early_stopping.metric: expected '' without data.validation_fraction and "
            f"data.validation_split. Received: {metric!r}."
        )
