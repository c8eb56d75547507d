"""`LogisticRegressionCV`: scikit-learn's interface to a path of penalties.

The folds of a partition are one batch of problems over one X; every fit of the path is certified.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import _check_method_params, check_is_fitted

from tf_logreg import notebook
from tf_logreg.arguments import attributes, inputs, messages, parameters, scoring, splits, word_columns
from tf_logreg.devices.devices import devices_of
from tf_logreg.errors import InputError
from tf_logreg.estimator import LogisticRegression, monitor_of
from tf_logreg.fit.result import Status
from tf_logreg.model.model import Model
from tf_logreg.search import Found, Grid, Search, balanced


class LogisticRegressionCV(LogisticRegression):
    """Logistic regression that chooses C and l1_ratio by cross-validation.

    Every fit minimises scikit-learn's objective, see `LogisticRegression`. The best by the sum of the scores
    over the splits is fitted to all rows.

    Parameters
    ----------
    Cs : int or array-like of floats > 0, default=10
        Inverse strengths of the penalty; a number means so many from 1e-4 to 1e4 on a log scale.
    l1_ratios : array-like of floats in [0, 1] or None, default=None
        Shares of l1 in the penalty, each tried with each C. None is l2 alone, and leaves their axis out of
        the older shapes of attributes.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    cv : int, splitter or iterable of (train, test), default=None
        5 folds by class where None. Splits that train on all rows that they do not test, and do not test the
        same, go as one batch through the path, others one after another. Each trains on rows of every class.
    scoring : str, callable or None, default=None
        Any scorer of scikit-learn; None for accuracy. Accuracy, log loss and balanced accuracy come from one
        pass over the rows.
    tol : float, default=1e-6
        The certified gap of every fit, see `LogisticRegression`.
    max_iter : int, default=1000
        Most steps of the method.
    class_weight : dict, 'balanced' or None, default=None
        Weights by class in the objective. 'balanced' is what scikit-learn's class makes of it: the weights
        are those of all rows given to `fit`, also in each split, so that all fits share one objective.
        `GridSearchCV` over `LogisticRegression` balances each split by its own training rows. So does this
        with output='one_vs_rest', whose classes are balanced each against the others.
    refit : bool, default=True
        Whether the best penalty is fitted to all rows. Else coefficients and penalty are the means over the
        splits of each one's best.
    use_legacy_attributes : bool, default=True
        The shapes of attributes: scikit-learn's up to 1.9, or those of later versions.
    random_state, solver, verbose, standardize, penalty_factor, output, strategy, dtype, n_jobs
        See `LogisticRegression`.
    dual, intercept_scaling, multi_class, penalty
        scikit-learn's, taken at their defaults only.

    Attributes
    ----------
    classes_, coef_, intercept_, n_features_in_, feature_names_in_
        See `LogisticRegression`.
    Cs_ : ndarray of shape (n_cs,)
        The C that were tried.
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
        The l1_ratios that were tried.
    C_, l1_ratio_ : float, or ndarray of shape (n_classes,) or (1,) of the same value
        The choice.
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_cs), or dict by class of (n_folds, n_cs, n_l1_ratios)
        Scores of the tests. A dict has the same for each class, of two only for the second.
    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_cs, n_classes or 1, n_dof), or dict by class of \
            (n_folds, n_cs, n_l1_ratios, n_dof)
        Coefficients, the intercept last.
    n_iter_ : ndarray of shape (n_folds, n_l1_ratios, n_cs), or (1, n_folds, n_cs, n_l1_ratios)
        Steps of the method.
    status_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_cs)
        How each fit ended, see `status_` of `LogisticRegression`.
    certified_gaps_ : ndarray of shape (n_folds, n_l1_ratios, n_cs)
        Bounds on F - min F of the mean loss of each fit, in nats; NaN without one.
    certified_gap_, status_, result_
        Of the fit to all rows, see `LogisticRegression`; NaN, 'averaged' and none without `refit`.
    """  # noqa: D416 - scikit-learn shows the parameters of such a docstring

    # The parent's parameters that mean nothing here.
    workdir = time_limit = None
    # Weights of `score` are the scorer's, which may ask for them.
    __metadata_request__score = {"sample_weight": UNUSED}  # noqa: RUF012 - scikit-learn reads it from the class

    def __init__(
        self,
        *,
        Cs=10,  # noqa: N803
        l1_ratios=None,
        fit_intercept=True,
        cv=None,
        scoring=None,
        tol=1e-6,
        max_iter=1000,
        class_weight=None,
        verbose=0,
        solver="auto",
        refit=True,
        random_state=None,
        use_legacy_attributes=True,
        standardize=False,
        penalty_factor=None,
        output="auto",
        strategy="auto",
        dtype="auto",
        penalty="deprecated",
        dual=False,
        n_jobs=None,
        intercept_scaling=1,
        multi_class="deprecated",
    ):
        """Keeps the parameters; `fit` checks them."""
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.verbose = verbose
        self.solver = solver
        self.refit = refit
        self.random_state = random_state
        self.use_legacy_attributes = use_legacy_attributes
        self.standardize = standardize
        self.penalty_factor = penalty_factor
        self.output = output
        self.strategy = strategy
        self.dtype = dtype
        self.penalty = penalty
        self.dual = dual
        self.n_jobs = n_jobs
        self.intercept_scaling = intercept_scaling
        self.multi_class = multi_class

    @messages.translated()
    def fit(self, X, y, sample_weight=None, **params):  # noqa: N803
        """Chooses a penalty by cross-validation and fits the model to all rows.

        Args:
            X: [n, p] real numbers: an array, a frame, or a matrix or array of `scipy.sparse`, never laid out.
            y: [n] labels of any kind.
            sample_weight: [n] >= 0, or None for ones; of the fits and of their scores.
            **params: of the splitter and the scorer, with scikit-learn's metadata routing.

        Returns:
            The estimator.

        Raises:
            ValueError: parameters or arrays that cannot be used.
            RunError: a fit diverged.
        """
        _raise_for_params(params, self, "fit")
        parameters.check(self)
        word_columns.refuse_words(X)
        grid = Grid.of(self.Cs, self.l1_ratios)
        source, labels = inputs.rows_of(self, X, y, sample_weight)
        routed = self._routed("fit", sample_weight, params)
        weight = source.host(np.arange(len(labels.y))).weight
        cut = splits.splits_of(self.cv, X, labels.classes[labels.y], routed.splitter.split)
        splits.check_classes(cut, labels.y, weight, labels.classes)
        settings = parameters.settings_of(self, source.class_names, labels.classes)
        settings.solver.name = parameters.method_of(self.solver, l1=any(grid.l1_ratios > 0))
        devices = devices_of(self.strategy, inputs.dtype_of(self.dtype, source, X)).for_rows(
            sparse=source.sparse
        )
        search = Search(settings, source, devices, cut, grid, monitor_of(self.verbose))
        if settings.class_weight == "balanced" and not search.head.is_one_vs_rest:
            settings.class_weight = balanced(source, labels, weight)
        asked = routed.scorer.score
        passed = scoring.is_pass(self.scoring, asked, weighted=sample_weight is not None)
        metric, sign = scoring.PASSES[self.scoring] if passed else ("log_loss", -1)
        try:
            with notebook.log_lines(bool(self.verbose)):
                found = search.explore(metric)
        except InputError:
            inputs.check_values(self, source)
            raise
        self.classes_ = labels.classes
        scores = sign * found.scores if passed else self._scores(search, found, labels, X, asked)
        self._set_choice(search, found, scores, inputs.dtype_of("auto", source, X))
        if message := self._uncertified(found):
            messages.warn(messages.beginning(self, found.steps.max()) + message)
        return self

    def score(self, X, y, sample_weight=None, **score_params):  # noqa: N803
        """The score of predictions of X by `scoring`.

        Args:
            X, y: rows and labels. sample_weight: [n], or None.
            **score_params: of the scorer, with scikit-learn's metadata routing.
        """
        _raise_for_params(score_params, self, "score")
        routed = self._routed("score", sample_weight, score_params)
        check_is_fitted(self)
        return scoring.scorer_of(self.scoring, self.classes_)(self, X, y, **routed.scorer.score)

    def get_metadata_routing(self):
        """What the splitter and the scorer ask of `fit` and `score`, as scikit-learn's MetadataRouter."""
        scores = MethodMapping().add(caller="fit", callee="score").add(caller="score", callee="score")
        splits_ = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(splitter=self.cv, method_mapping=splits_).add(
            scorer=self._get_scorer(), method_mapping=scores
        )

    def _get_scorer(self):
        return scoring.get_scorer(self.scoring or "accuracy")

    def _routed(self, method: str, sample_weight: Any, params: dict) -> Bunch:
        """Parameters of the splitter's split and the scorer's score."""
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routing_enabled():
            return process_routing(self, method, **weight, **params)
        return Bunch(splitter=Bunch(split={}), scorer=Bunch(score=weight))

    def _scores(
        self, search: Search, found: Found, labels: inputs.Labels, x: Any, params: dict
    ) -> np.ndarray:
        """Scores [F, S, R] of the rows that each split tests, by scikit-learn's scorer."""
        scorer = scoring.scorer_of(self.scoring, labels.classes)
        scores, names = np.empty(found.scores.shape), search.source
        model = LogisticRegression(output=self.output, strategy=self.strategy)
        model.classes_, model.n_features_in_ = labels.classes, self.n_features_in_
        for f, (_, test) in enumerate(search.cut):
            rows, y = search.source.host(test).x, labels.classes[labels.y[test]]
            mine = _check_method_params(x, params, indices=test)
            for i, r in np.ndindex(scores.shape[1:]):
                fitted = found.kernel[f, i, r], found.bias[f, i, r]
                model._model = Model(*fitted, names.feature_names, names.class_names, search.head)
                model.coef_, model.intercept_ = fitted[0].T, fitted[1]
                model.C, model.l1_ratio = search.grid.inverse[i], search.grid.l1_ratios[r]
                scores[f, i, r] = scorer(model, rows, y, **mine)
        return scores

    def _set_choice(self, search: Search, found: Found, scores: np.ndarray, dtype: str) -> None:
        """Chooses by scores [F, S, R], fits or averages, and sets all attributes but `classes_`.

        Args:
            search, found: what was tried. scores: of it. dtype: of X.
        """
        grid = search.grid
        if self.refit:
            i, r = grid.best(scores)
            attributes.set_attributes(self, *search.refit(found, i, r), dtype)
            inverse, ratio = grid.inverse[i], grid.l1_ratios[r]
        else:
            each = [(f, *grid.best(one[None])) for f, one in enumerate(scores)]
            of_each = tuple(np.array(each).T)
            names = search.source.feature_names, search.source.class_names
            kernel, bias = found.kernel[of_each].mean(axis=0), found.bias[of_each].mean(axis=0)
            self._model = Model(
                kernel, bias, *names, search.head, bool(self.fit_intercept), sparse=search.source.sparse
            )
            self.coef_, self.intercept_ = kernel.T.copy(), bias.copy()
            self.certified_gap_, self.status_ = np.nan, "averaged"
            vars(self).pop("result_", None)  # of a fit before
            inverse, ratio = grid.inverse[of_each[1]].mean(), grid.l1_ratios[of_each[2]].mean()
        self.Cs_, self.l1_ratios_ = grid.inverse, grid.l1_ratios
        self.C_, self.l1_ratio_ = float(inverse), float(ratio)
        # [F, S, R, ...] -> [F, R, S, ...]; coefficients [F, R, S, m, p + 1].
        self.scores_, self.n_iter_ = (np.swapaxes(one, 1, 2) for one in (scores, found.steps))
        paths = np.swapaxes(found.kernel, -1, -2)
        if self.fit_intercept:
            paths = np.concatenate([paths, found.bias[..., None]], axis=-1)
        self.coefs_paths_ = np.swapaxes(paths, 1, 2)
        self.status_paths_, self.certified_gaps_ = (
            np.swapaxes(one, 1, 2) for one in (found.status, found.certified_gap)
        )
        if self.use_legacy_attributes:
            self._set_legacy(scores, paths, found.steps)

    def _uncertified(self, found: Found) -> str:
        """What is to be said of all fits; '' where each has a certificate of its optimum."""
        message = found.uncertified()
        if self.refit and self.status_ != Status.OPTIMAL:
            message = f"{message} The fit to all rows: {self.result_['message']}".strip()
        return message

    def _set_legacy(self, scores: np.ndarray, paths: np.ndarray, steps: np.ndarray) -> None:
        """The attributes of the search in their older shapes.

        Args:
            scores, steps: [F, S, R]. paths: [F, S, R, m, p + 1].
        """
        if self.l1_ratios is None:
            scores, steps, paths = scores[:, :, 0], steps[:, :, 0], paths[:, :, 0]
            self.l1_ratios_ = np.array([None])
        outputs = paths.shape[-2]
        names = self.classes_[1:] if outputs == 1 else self.classes_
        self.C_, self.l1_ratio_ = np.full(outputs, self.C_), np.full(outputs, self.l1_ratio_)
        self.n_iter_ = steps[None]
        self.scores_ = {label: scores.copy() for label in names}
        self.coefs_paths_ = {label: paths[..., c, :] for c, label in enumerate(names)}
