"""The default config, every field with its unit, and `validate`, which names all faults at once.

A config says what is computed; flags say where. Files in `configs/` change a few of these fields.
Lower modules never see the config: they take plain keyword arguments.
"""

import importlib.util
import logging
from collections.abc import Iterable
from pathlib import Path

from ml_collections import ConfigDict

from tf_logreg import faults
from tf_logreg.errors import InputError

log = logging.getLogger(__name__)


def get_config() -> ConfigDict:
    """The defaults. Every field can be overridden: `--config.l2=1e-3`."""
    config = ConfigDict()
    # Where training starts and in which order rows come: the same seed gives the same run.
    config.seed = 0

    config.data = ConfigDict()
    # A module of tf_logreg/data/sources: csv, libsvm, npy, npz, parquet, sklearn, synthetic, table,
    # tfds.
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
    # The rows that the saved model is fitted to: 'train', the training rows; or 'all': once the model is
    # chosen and measured it is fitted again, to validation and test rows too. Features stay as they are.
    config.data.refit = "train"
    # A Keras model in front, whose vectors of the rows are the features: the path of a .keras file, or an
    # application of Keras by its name ('ResNet50') with a file of weights; '' for none. docs/images.md.
    config.data.encoder = ""
    config.data.encoder_weights = ""
    # Where rows are kept that took long to make, or take more than a quarter of the free memory; '' for
    # tf_logreg's own folder in ~/.cache, or in $XDG_CACHE_HOME. Nothing is ever deleted there.
    config.data.cache_dir = ""

    # Tables (csv, parquet, table) only, docs/tables.md. The columns to predict and, if any, of row weights.
    config.data.label = ""
    config.data.weight = ""
    # A schema.json, or the work directory of a run that has one, instead of inferring it; '' to infer.
    config.data.schema = ""
    # By column what it becomes: 'numeric', 'log1p', 'bucketized:10', 'categorical', 'hashed:1000', 'text',
    # 'date' or 'ignore'; `--config.data.columns.age=bucketized:10` adds one.
    config.data.columns = ConfigDict()
    # Pairs of words of two columns as further features: 'education x occupation:10000', several with commas;
    # hashed into so many, or exact pairs without a number.
    config.data.crosses = ""
    # 'indicator': a missing number takes the mean and a feature says so, a missing word is a level; 'drop'
    # leaves such rows out; 'error' refuses them.
    config.data.missing = "indicator"
    # 'all' levels have a feature, or all but the most frequent one ('reference'); 'auto': all beside a
    # penalty.
    config.data.coding = "auto"
    # Rows that a level needs for a feature of its own, and most levels of a column; others are pooled.
    config.data.min_count = 5
    config.data.max_levels = 2000
    # Features as 'dense' or 'sparse' rows; 'auto': sparse where they are many and mostly zero.
    config.data.layout = "auto"

    config.model = ConfigDict()
    # 'sigmoid' has one output and takes two classes; 'softmax' has one a class; 'auto' chooses between
    # them. 'one_vs_rest' fits each class against all others, and divides the probabilities by their sum.
    config.model.output = "auto"
    config.model.bias = True

    # Penalties of F = mean log loss (nats) + l2 / 2 * ||W||^2 + l1 * ||W||_1; never on the bias.
    config.l1 = 0.0
    config.l2 = 0.0
    # scikit-learn's C > 0 instead of both, by the sum of the training weights, class weights included:
    # l2 = (1 - l1_ratio) / (C * sum) and l1 = l1_ratio / (C * sum). 0.0 for none given.
    config.C = 0.0
    config.l1_ratio = 0.0
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
    # Steps of the method, and seconds, after which it ends without one too; 0 for any number.
    config.solver.max_steps = 0
    config.solver.time_limit = 0.0
    # Whether small problems go on in float64 from there until rounding stops them.
    config.solver.polish = True
    # Work directory of a run over the same features and classes to start from; '' for zeros.
    config.solver.warm_start = ""
    # Work directory of a run towards whose coefficients l2 pulls, instead of zeros, by the names of features;
    # '' for zeros. docs/prior.md.
    config.solver.prior = ""

    config.path = ConfigDict()
    # Which penalty is tried at many strengths, 'l1', 'l2' or 'elastic_net', which is both; '' for the one
    # that is given above. The best by held-out rows is refitted on all training rows.
    config.path.penalty = ""
    # Its strengths, in the units above, from the strongest to the weakest; () for `num` of them on a log
    # scale, from the weakest l1 that leaves no coefficient (a thousand times that for l2) down to `ratio`
    # of it, and on by the same step while the weakest has the lowest held-out loss, up to 3 * num.
    config.path["values"] = ()  # as an item: `values` alone is the ConfigDict's own method
    # Or by scikit-learn's C, from the smallest to the largest, instead of path.values: beside a fold C is
    # divided by the sum of the weights that train there.
    config.path.C = ()
    # With 'elastic_net' each strength is tried with each of these shares of l1, in [0, 1].
    config.path.l1_ratios = ()
    config.path.num = 20
    config.path.ratio = 1e-4

    config.cv = ConfigDict()
    # How many folds are held out in turn, drawn class by class, by data.group or forward in data.time;
    # 0 to choose by the validation rows.
    config.cv.folds = 0
    # What is compared on held-out rows, with the user's row weights, without class weights: log_loss,
    # accuracy, balanced_accuracy (the mean recall of the classes) or roc_auc (with more than two classes the
    # mean of each against the rest).
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

    # Of two classes, above which probability the second one is the answer, docs/thresholds.md: in predict,
    # the SavedModel, and the metrics that count answers. One of the first five fields; none is 0.5.
    config.threshold = ConfigDict()
    # Given, in (0, 1); 0.0 for none.
    config.threshold.value = 0.0
    # Or chosen on validation rows, else on the held-out rows of all folds of a path: the best accuracy, f1,
    # balanced_accuracy, youden (recall less false alarms), or least cost, of rows called wrongly (cost_fp)
    # and missed (cost_fn).
    config.threshold.metric = ""
    config.threshold.cost_fp = 1.0
    config.threshold.cost_fn = 1.0
    # Or the highest that calls this share of the second class, the one of greatest recall with this
    # precision, or the lowest that calls at most this share of all rows (0.1: the top tenth); 0.0 for none.
    config.threshold.at_recall = 0.0
    config.threshold.at_precision = 0.0
    config.threshold.at_rate = 0.0

    # Standard errors, tests and intervals of a fit without penalties, docs/inference.md.
    config.inference = ConfigDict()
    # '' for none; 'nonrobust', from the information matrix; 'HC0', the sandwich by row, or 'HC1', which is
    # n / (n - k) times that; 'cluster', by data.group, times G / (G - 1); 'cluster_small', times
    # (n - 1) / (n - k) too.
    config.inference.cov_type = ""
    # Of the intervals, in (0, 1).
    config.inference.level = 0.95
    # A row of weight 2 counts as two rows ('frequency'), or stands for two of the population ('sampling',
    # for which only the robust kinds are right).
    config.inference.weights = "frequency"
    # The class that a softmax's coefficients are against; '' for the first.
    config.inference.reference = ""
    # Tests of each raw column of a table, or feature: 'wald', and with further fits 'lr' and 'score'.
    config.inference.tests = ("wald",)
    # Columns of a table, or features, whose coefficients have profile-likelihood intervals too.
    config.inference.profile = ()
    # How often the rows are drawn again, with replacement, and fitted: intervals of coefficients, also
    # with penalties, and measures of rows that were not drawn. Whole groups of data.group. 0 for none.
    config.inference.bootstrap = 0

    config.checkpoint = ConfigDict()
    # Save the state when so many minibatch steps have passed since the last; 0 only when interrupted. A
    # full-batch fit saves after a pass when a second has gone by, or more where saving takes long.
    config.checkpoint.every_steps = 1000
    # How many of the newest stay.
    config.checkpoint.keep = 2

    config.evaluate = ConfigDict()
    # The areas need all logits of a split in host memory; beyond this many rows, or bytes of logits (4 a
    # row and class, 8 in float64), they are left out.
    config.evaluate.max_rows = 10_000_000
    config.evaluate.max_bytes = 2**29
    # Columns of a table, or features of few values, by whose levels the metrics of test and validation rows
    # are told too: ('sex', 'education'). Levels beyond the 20 most frequent words are joined.
    config.evaluate.slices = ()
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
    """A config that was written as JSON, which has no tuples; fields that are newer have their defaults."""

    def typed(values: dict, default: ConfigDict) -> dict:
        found = {**default, **values}
        for name, kind in default.items():
            if isinstance(kind, ConfigDict):
                found[name] = typed(values.get(name, {}), kind)
        return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}

    return ConfigDict(typed(values, get_config()))


def check_structure(config: ConfigDict) -> None:
    """Checks that the fields are those of `get_config`, and their types. Imports no TensorFlow.

    Raises:
        InputError: with a line for each fault: the field, what is expected and what came.
    """
    _refuse(faults.structure_faults(config, get_config()))


def validate(config: ConfigDict) -> None:
    """Checks every field: the structure, and if that is sound the values, which imports TensorFlow.

    Raises:
        InputError: with a line for each fault: the field, what is expected and what came.
    """
    check_structure(config)
    _refuse(faults.value_faults(config))


def _refuse(lines: Iterable[str]) -> None:
    if text := "\n".join(lines):
        raise InputError(text)


def num_problems(config: ConfigDict, num_classes: int) -> int:
    """K: how many problems a full-batch run of this config solves at once, penalties x folds x classes."""
    classes = num_classes if config.model.output == "one_vs_rest" else 1
    return num_penalties(config) * max(config.cv.folds, 1) * classes


def num_penalties(config: ConfigDict) -> int:
    """N: how many penalties a run of this config tries; 1 without a path."""
    path = config.path
    if not path.penalty:
        return 1
    strengths = len(path["values"]) or len(path.C) or path.num
    return strengths * (len(path.l1_ratios) if path.penalty == "elastic_net" else 1)
