"""The default config, every field with its unit, and `validate`, which names all faults at once.

A config says what is computed; flags say where. Files in `configs/` change a few of these fields.
Lower modules never see the config: they take plain keyword arguments.
"""

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

from tf_logreg.data import load as sources
from tf_logreg.errors import InputError
from tf_logreg.fit import early_stopping, optimizers, path, schedules
from tf_logreg.solvers import load as solvers

SOLVERS = ("auto", "minibatch", *solvers.known())
OUTPUTS = ("auto", "sigmoid", "softmax", "one_vs_rest")


def get_config() -> ConfigDict:
    """The defaults. Every field can be overridden: `--config.l2=1e-3`."""
    config = ConfigDict()
    # Where training starts and in which order rows come: the same seed gives the same run.
    config.seed = 0

    config.data = ConfigDict()
    # A module of tf_logreg/data/sources: npz, sklearn, synthetic, tfds.
    config.data.source = "sklearn"
    # That source's own arguments; `--config.data.args.path=...` may add one.
    config.data.args = ConfigDict()
    # The named split that training rows come from; sources without splits call all rows 'train'.
    config.data.train_split = "train"
    # Shares of the training split set aside class by class, in [0, 1); 0.0 for none.
    config.data.validation_fraction = 0.0
    config.data.test_fraction = 0.0
    # Named splits of the source to use instead; '' for none.
    config.data.validation_split = ""
    config.data.test_split = ""
    # A further column of the source to draw the fractions by: whole groups, none on both sides; or
    # by time, the latest rows set aside. '' for neither.
    config.data.group = ""
    config.data.time = ""
    # A further column of the source that is added to the logits, one value a row for a sigmoid, one
    # a class for a softmax; '' for none. What is exported is the model without it.
    config.data.offset = ""
    # With two classes, the one whose probability the sigmoid gives; '' for the last name in order.
    config.data.positive_class = ""

    config.model = ConfigDict()
    # 'sigmoid' has one output and takes two classes; 'softmax' has one a class; 'auto' chooses between
    # them. 'one_vs_rest' fits each class against all others, and divides the probabilities by their sum.
    config.model.output = "auto"
    config.model.bias = True

    # Penalties of F = mean log loss (nats) + l2 / 2 * ||W||^2 + l1 * ||W||_1; never on the bias.
    # scikit-learn's C is 1 / (l2 * sum of weights).
    config.l1 = 0.0
    config.l2 = 0.0
    # Multiplies both penalties by feature, p numbers >= 0 (0 = unpenalised); () for ones.
    config.penalty_factor = ()
    # Weights by class in the objective: '', 'balanced' or 'name=weight,...'.
    config.class_weight = ""
    # Undo their distortion of the probabilities by a shift of the bias (King and Zeng 2001) in all
    # that is measured, saved and exported; False keeps the weighted model's own.
    config.correct_prior = True
    # Scale columns to deviation one while training; what is reported and saved is in raw units.
    config.standardize = True

    config.solver = ConfigDict()
    # gradient_descent, lbfgs, newton and proximal_newton (the one for l1 > 0) read all rows each step
    # and end with a certified gap; 'auto' is one of the latter two. 'minibatch' makes steps on a few
    # rows, as the section below says, and claims nothing about the optimum.
    config.solver.name = "auto"
    # Ends when F(w) - F* is certified to be at most this, relative to the loss of the best model
    # without features.
    config.solver.tol = 1e-6
    # Reads of the training rows, certificates included, after which a fit ends without one.
    config.solver.max_passes = 1000
    # Work directory of a run over the same features and classes to start from; '' for zeros.
    config.solver.warm_start = ""

    config.path = ConfigDict()
    # Which penalty is tried at many strengths, 'l1' or 'l2'; '' for the one that is given above. The
    # best by held-out rows is refitted on all training rows.
    config.path.penalty = ""
    # Its strengths, in the units above, from the strongest to the weakest; () for `num` of them on a log
    # scale, from the weakest l1 that leaves no coefficient (a thousand times that for l2) down to `ratio`
    # of it.
    config.path["values"] = ()  # as an item: `values` alone is the ConfigDict's own method
    config.path.num = 20
    config.path.ratio = 1e-4

    config.cv = ConfigDict()
    # How many folds are held out in turn, drawn class by class, by data.group or forward in data.time;
    # 0 to choose by the validation rows.
    config.cv.folds = 0
    # What is compared: the mean held-out loss, with the user's row weights, without class weights.
    config.cv.metric = "log_loss"
    # 'best', or 'one_standard_error': the strongest penalty within one standard error of the best.
    config.cv.choose = "best"

    config.minibatch = ConfigDict()
    # Any Keras optimiser by class name; with l1 > 0 Adagrad, Adam, Ftrl, RMSprop or SGD.
    config.minibatch.optimizer = "Adam"
    # The optimiser's own further arguments; `--config.minibatch.optimizer_args.momentum=0.9`.
    config.minibatch.optimizer_args = ConfigDict()
    # Greatest norm of the whole gradient, after the sum over replicas; 0.0 for no limit.
    config.minibatch.clip_norm = 0.0
    config.minibatch.learning_rate = 0.01
    # After a linear warm-up of so many steps the rate is constant, or decays over decay_steps (0 for
    # the rest of the run) to final_fraction of minibatch.learning_rate, as a cosine or exponentially.
    config.minibatch.schedule = ConfigDict()
    config.minibatch.schedule.name = "constant"
    config.minibatch.schedule.warmup_steps = 0
    config.minibatch.schedule.decay_steps = 0
    config.minibatch.schedule.final_fraction = 0.01
    # Rows in a global batch; 0 for all rows, which is full-batch gradient descent.
    config.minibatch.batch_size = 256
    # Passes over the training rows.
    config.minibatch.epochs = 20
    # Steps between two looks from Python: progress, events, checkpoints, signals.
    config.minibatch.steps_per_loop = 100
    # The validation metric looked at after each epoch, log_loss, accuracy or roc_auc; '' for none.
    # Stops after more than `patience` epochs without improvement, with the best weights or the last.
    config.minibatch.early_stopping = ConfigDict()
    config.minibatch.early_stopping.metric = ""
    config.minibatch.early_stopping.patience = 3
    config.minibatch.early_stopping.restore_best = True

    config.checkpoint = ConfigDict()
    # Save the state when so many minibatch steps have passed since the last; 0 only when interrupted. A
    # full-batch fit saves after a pass when a second has gone by, or more where saving takes long.
    config.checkpoint.every_steps = 1000
    # How many of the newest stay.
    config.checkpoint.keep = 2

    config.evaluate = ConfigDict()
    # The areas need all logits of a split in host memory; beyond this many rows they are left out.
    config.evaluate.max_rows = 10_000_000
    return config


def shipped() -> dict[str, Path]:
    """The configs that come with the package, by name."""
    package = Path(__file__).parent
    folder = package / "configs" if (package / "configs").is_dir() else package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def load(name: str) -> ConfigDict:
    """A shipped config by name, for notebooks: `config.load('digits')`.

    Raises:
        InputError: no such config.
    """
    if name not in shipped():
        raise InputError(f"config: expected one of {', '.join(shipped())}. Received: {name!r}.")
    spec = importlib.util.spec_from_file_location(name, shipped()[name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def from_json(values: dict) -> ConfigDict:
    """A config that was written as JSON, which has no tuples."""

    def typed(values: dict, default: ConfigDict) -> dict:
        found = {}
        for name, value in values.items():
            kind = default.get(name)
            if isinstance(kind, tuple):
                value = tuple(value)
            elif isinstance(kind, ConfigDict):
                value = typed(value, kind)
            found[name] = value
        return found

    return ConfigDict(typed(values, get_config()))


def validate(config: ConfigDict) -> None:
    """Checks every field.

    Raises:
        InputError: with a line for each fault: the field, what is expected and what came.
    """
    lines = list(_structure_faults(config, get_config()))
    if not lines:
        lines = list(_value_faults(config))
    if lines:
        raise InputError("\n".join(lines))


def num_problems(config: ConfigDict, num_classes: int) -> int:
    """K: how many problems a full-batch run of this config solves at once, strengths x folds x classes."""
    strengths = (len(config.path["values"]) or config.path.num) if config.path.penalty else 1
    classes = num_classes if config.model.output == "one_vs_rest" else 1
    return strengths * max(config.cv.folds, 1) * classes


def _structure_faults(config: ConfigDict, default: ConfigDict, prefix: str = "") -> Iterator[str]:
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
                yield from _structure_faults(config[name], expected, field + ".")
        elif type(config[name]) is not type(expected) and not (
            isinstance(expected, float) and type(config[name]) is int
        ):
            yield f"{field}: expected {type(expected).__name__}. Received: {config[name]!r}."


def _value_faults(config: ConfigDict) -> Iterator[str]:
    """Values out of range, and names that nothing answers to."""

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
    smooth_only = config.solver.name in solvers.known() and config.solver.name != "proximal_newton"
    if config.l1 > 0 and smooth_only:
        yield (
            "solver.name: expected auto, proximal_newton or minibatch with l1 > 0. Received: "
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
    yield from check("evaluate.max_rows", lambda v: v >= 0, "a whole number >= 0")
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
    if cv.choose not in path.CHOICES:
        yield f"cv.choose: expected one of {', '.join(path.CHOICES)}. Received: {cv.choose!r}."
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
    elif options.penalty == "l1" and config.solver.name not in ("auto", "proximal_newton"):
        yield (
            "solver.name: expected auto or proximal_newton with path.penalty='l1'. Received: "
            f"{config.solver.name!r}."
        )
    if config.solver.warm_start:
        yield f"solver.warm_start: expected '' with path.penalty. Received: {config.solver.warm_start!r}."
    if not cv.folds and not (data.validation_fraction or data.validation_split):
        yield (
            "path.penalty: expected cv.folds, data.validation_fraction or data.validation_split beside it. "
            f"Received: {options.penalty!r} alone."
        )
