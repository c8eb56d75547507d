"""`LogisticRegression`: scikit-learn's interface to a certified fit.

It goes the road of the command line: arrays -> Source -> Dataset -> learn -> Fit -> Model. On a machine
without accelerators it imports no TensorFlow.
"""

from __future__ import annotations

import copy
import dataclasses
import time

import numpy as np
from ml_collections import ConfigDict
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from tf_logreg import machine, notebook, outcome
from tf_logreg.arguments import attributes, inputs, messages, parameters, word_columns
from tf_logreg.data import digest
from tf_logreg.data.source import Source
from tf_logreg.devices.devices import Devices, devices_of
from tf_logreg.fit import learn, progress
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status
from tf_logreg.model import head as heads
from tf_logreg.model.model import Model
from tf_logreg.results import workdir as workdirs

# With the imports: a small fit takes no longer than finding them.
machine.libraries()


class LogisticRegression(ClassifierMixin, BaseEstimator):
    """Logistic regression with a proof of its distance to the optimum.

    It minimises scikit-learn's objective, sum_i s_i loss_i + (1 - l1_ratio) / (2 C) ||w||^2 +
    l1_ratio / C ||w||_1 over columns as they are, and never penalises the intercept.

    Parameters
    ----------
    C : float > 0, default=1.0
        Inverse strength of the penalty; np.inf for none.
    l1_ratio : float in [0, 1] or None, default=0.0
        Share of l1 in the penalty; with some, coefficients are exactly zero. None is 0.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    class_weight : dict, 'balanced' or None, default=None
        Weights by class in the objective. Probabilities are those of the weighted objective.
    random_state : int, RandomState instance or None, default=None
        Nothing here is random; taken for scikit-learn's sake.
    solver : str, default='auto'
        'auto', 'newton-cg', 'newton-cholesky', 'lbfgs'; 'sag' and 'saga' mean 'auto'.
    max_iter : int, default=1000
        Most steps of the method.
    tol : float, default=1e-6
        The fit ends when the objective is certified to be at most this far above its minimum, relative to the
        objective of the best model without features. Small problems go on until rounding stops them.
    warm_start : bool, default=False
        Whether a further call of fit starts at the coefficients of the last; not with a workdir.
    verbose : int, default=0
        Whether progress and what is logged are printed.
    standardize : bool, default=False
        Whether penalties act on columns of deviation one.
    penalty_factor : array-like of shape (n_features,), default=None
        Multiplies the penalty of each feature; 0 for none.
    output : {'auto', 'sigmoid', 'softmax', 'one_vs_rest'}, default='auto'
        'auto' is a sigmoid for two classes, a softmax for more.
    strategy : str or tf.distribute.Strategy, default='auto'
        Where it runs: 'auto' takes a TPU or all GPUs of this machine, or its cores without TensorFlow; 'off',
        'one_device', 'mirrored', 'multi_worker_mirrored', 'tpu'; or a strategy.
    dtype : {'auto', 'float32', 'float64', 'bfloat16'}, default='auto'
        Of X while training; 'auto' is X's own floating dtype, float64 for other kinds.
    workdir : str or None, default=None
        Directory for the run's files. A fit that was interrupted or killed is resumed from there; one that
        ended, also at a limit, is read from there. Other parameters or rows need another directory.
    time_limit : float or None, default=None
        Seconds after which fit ends with the best model so far and its proven gap.
    categorical_features : 'from_dtype' or None, default='from_dtype'
        Columns of words of a frame become levels, as docs/tables.md tells, and missing values are filled in;
        `coef_` then has a column a level. A frame of numbers alone is taken as an array is, without missing
        values. None takes numbers only.
    n_jobs : int or None, default=None
        scikit-learn's; all cores are used, which changes no answer.
    dual, intercept_scaling, multi_class, penalty
        scikit-learn's, taken at their defaults only.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients of the columns as they are: float32 where X is, unless that moves logits by more than
        1e-4; else float64. Predictions take the float64 that was found, until they are written to.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray of shape (n_classes,)
        The labels, in increasing order.
    n_iter_ : ndarray of shape (1,)
        Steps of the method.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X had them.
    schema_ : Schema
        How a frame with words became features, whose names are `schema_.feature_names`; absent without words.
    certified_gap_ : float
        Bound on F - min F, relative to the F of the best model without features; NaN without one.
    status_ : str
        How the fit ended: 'optimal', 'max_passes', 'time_limit', 'separated', 'rounded'.
    result_ : dict
        What the fit found, with the fields of a run's `result.json`.
    """  # noqa: D416 - scikit-learn shows the parameters of such a docstring

    def __init__(
        self,
        C=1.0,  # noqa: N803
        *,
        l1_ratio=0.0,
        fit_intercept=True,
        class_weight=None,
        random_state=None,
        solver="auto",
        max_iter=1000,
        tol=1e-6,
        warm_start=False,
        verbose=0,
        standardize=False,
        penalty_factor=None,
        output="auto",
        strategy="auto",
        dtype="auto",
        workdir=None,
        time_limit=None,
        categorical_features="from_dtype",
        penalty="deprecated",
        dual=False,
        n_jobs=None,
        intercept_scaling=1,
        multi_class="deprecated",
    ):
        """Keeps the parameters; `fit` checks them."""
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose
        self.standardize = standardize
        self.penalty_factor = penalty_factor
        self.output = output
        self.strategy = strategy
        self.dtype = dtype
        self.workdir = workdir
        self.time_limit = time_limit
        self.categorical_features = categorical_features
        self.penalty = penalty
        self.dual = dual
        self.n_jobs = n_jobs
        self.intercept_scaling = intercept_scaling
        self.multi_class = multi_class

    @messages.translated()
    def fit(self, X, y, sample_weight=None, offset=None):  # noqa: N803
        """Fits the model to rows.

        Args:
            X: [n, p] real numbers: an array, a frame, or a matrix or array of `scipy.sparse`, never laid out.
            y: [n] labels of any kind.
            sample_weight: [n] >= 0, or None for ones.
            offset: [n], or [n, C] for a softmax, added to the logits while training; None for none, and with
                output='one_vs_rest'.

        Returns:
            The estimator.

        Raises:
            ValueError: parameters or arrays that cannot be used.
            RunError: the fit diverged.
        """
        parameters.check(self)
        l1_ratio = 0.0 if self.l1_ratio is None else self.l1_ratio
        parameters.check_penalty(self.C, l1_ratio)
        x, schema = word_columns.encoded(self, X, y, sample_weight)
        source, labels = inputs.rows_of(self, x, y, sample_weight, offset)
        source = word_columns.named(self, source, schema)
        settings = parameters.settings_of(self, source.class_names, labels.classes)
        parameters.penalise(settings, self.C, l1_ratio, self.solver)
        if offset is not None:
            settings.data.offset = "offset"
        devices = devices_of(self.strategy, inputs.dtype_of(self.dtype, source, x))
        devices = devices.for_rows(sparse=source.sparse)
        with notebook.log_lines(bool(self.verbose)):
            road = self._learn if self.workdir is None else self._run
            model, result = road(settings, source, devices)
        self.classes_ = labels.classes
        attributes.set_attributes(self, model, result, inputs.dtype_of("auto", source, x))
        if result["status"] != Status.OPTIMAL:
            remedy = f"{result['message']}{', with another workdir' * (self.workdir is not None)}"
            messages.warn(messages.beginning(self, result["iterations"]) + remedy)
        return self

    def _learn(self, settings: ConfigDict, source: Source, devices: Devices) -> tuple[Model, dict]:
        """Fits, and returns the model and what `result.json` would hold."""
        start = self._start(source)
        began = time.perf_counter()
        dataset = inputs.dataset_of(self, source, settings, devices)
        learn.check(settings, dataset, devices)
        fit = learn.learn(settings, dataset, devices, monitor_of(self.verbose), start)
        seconds = {"fit": time.perf_counter() - began}
        return outcome.with_rows(fit.model, dataset), outcome.record_of(fit, dataset, devices, {}, seconds)

    def _run(self, settings: ConfigDict, source: Source, devices: Devices) -> tuple[Model, dict]:
        """`_learn` in a work directory, with all files of a run; a finished one is not repeated."""
        from tf_logreg import training  # imports TensorFlow, which saves the Keras model and the SavedModel

        settings.data.source = "arrays"
        files = digest.of_arrays(inputs.arrays_of(source))
        data = training.Data(
            prepare=lambda: dataclasses.replace(
                inputs.dataset_of(self, source, settings, devices), files=files
            ),
            digests=lambda _: files,
        )
        result = training.run(settings, str(self.workdir), devices, data)
        return workdirs.load(str(self.workdir)), result

    def decision_function(self, X):  # noqa: N803
        """Log odds of the second class, [n], where there are two; else logits [n, C]."""
        found = self._logits(X)
        return self._model.head.log_odds(found) if len(self.classes_) == 2 else found

    def predict_proba(self, X):  # noqa: N803
        """Probabilities, [n, C] in the order of `classes_`."""
        found = self._logits(X)
        return self._model.head.probabilities(found)

    def predict_log_proba(self, X):  # noqa: N803
        """Logarithms of the probabilities, [n, C], finite where these underflow."""
        found = self._logits(X)
        return self._model.head.log_probabilities(found)

    def predict(self, X):  # noqa: N803
        """The most probable class of each row, [n]."""
        found = self._logits(X)
        return self.classes_[self._model.classes(found)]

    def to_keras(self):
        """The fitted model as a `keras.Sequential`; imports TensorFlow."""
        return self._fitted().to_keras()

    def export(self, path):
        """Writes the fitted model as a SavedModel; imports TensorFlow."""
        self._fitted().export(path)

    def _logits(self, X) -> np.ndarray:  # noqa: N803
        """[n, m] float64."""
        model = self._fitted()
        x = inputs.columns_of(self, X) if model.schema is None else word_columns.features(model, X)
        found = model.logits(x)
        if not np.isfinite(found).all():
            beyond = ~np.isfinite(found).all(axis=1)
            inputs.check_finite(self, x)
            found[beyond] = attributes.logits_in_range(model, x[beyond])
        return found

    def _fitted(self) -> Model:
        """The model, with what has been written into `coef_` and `intercept_` since `fit`.

        Raises:
            NotFittedError: scikit-learn's, before `fit`.
        """
        check_is_fitted(self, "coef_")
        model, coef, intercept = self._model, np.asarray(self.coef_), np.asarray(self.intercept_)
        if all(map(np.array_equal, (coef, intercept), attributes.as_attributes(model, coef.dtype))):
            return model
        kernel = np.ascontiguousarray(coef.T, np.float64)
        return dataclasses.replace(model, kernel=kernel, bias=intercept.astype(np.float64))

    def _start(self, source: Source) -> Model | None:
        """With warm_start the last fit's model, if it was of such features and classes; else None."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        model, head = self._fitted(), heads.resolve(self.output, len(source.class_names))
        alike = model.head == head and model.class_names == source.class_names
        return model if alike and len(model.kernel) == len(source.feature_names) else None

    def __sklearn_tags__(self):
        """What scikit-learn asks of an estimator: sparse rows are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_clone__(self):
        """A copy without what was fitted, which keeps the strategy itself."""
        # copy.copy goes through __getstate__, so it holds the strategy's name, which scikit-learn can copy.
        found = super(LogisticRegression, copy.copy(self)).__sklearn_clone__()
        found.strategy = self.strategy
        return found

    def __getstate__(self):
        """What is pickled: the strategy by its name."""
        state = super().__getstate__()
        return {**state, "strategy": parameters.strategy_name(self.strategy)}


def monitor_of(verbose: int) -> Monitor:
    """A monitor that prints the progress, or nothing."""
    return Monitor(bar=progress.lines if verbose else progress.silent)
