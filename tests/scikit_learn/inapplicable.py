"""Tests of scikit-learn's test_logistic.py that do not apply to our classes: a pattern of names -> the reason."""

LIBLINEAR = "ask for liblinear alone, which penalises the intercept and is refused"
SPARSE = "keep coefficients as a sparse matrix, which ours does not"
LONG_INDICES = "want sag and saga to refuse indices of 64 bits, which ours take"
PENALTY = "are of the parameter `penalty`, deprecated in 1.8: `l1_ratio` and `C` say the same"
PRIVATE = "call private functions of scikit-learn, not the classes"
NO_CHANGE = "want a warning of a parameter that will change or go, which ours does not"
CALLBACKS = "are of scikit-learn's callbacks"
NO_STEP = "allow no step of a solver, which is refused"
MISSING_CLASS = "train a fold without a class, which is refused"
NO_EFFECT = "give a value to a parameter without effect, which is refused"
WEIGHT_OF_ZERO = "give a class the weight 0, whose intercept has no finite optimum, which is refused"
FALLBACK = "want a fallback from newton-cholesky to lbfgs, which ours does not need"

# The whole name of a test has to match, its parameters included. The first pattern counts.
INAPPLICABLE = {
    r".*\[.*liblinear.*": LIBLINEAR,
    r"test_liblinear_.*": LIBLINEAR,
    r"test_.*_liblinear\[.*": LIBLINEAR,
    r"test_logisticregression_liblinear_.*": LIBLINEAR,
    r"test_logistic_cv\[.*": LIBLINEAR,
    r"test_check_solver_option.*": LIBLINEAR,
    r"test_sparsify.*": SPARSE,
    r"test_large_sparse_matrix\[.*-saga?\]": LONG_INDICES,
    r"test_logistic_regression_path_.*": PRIVATE,
    r"test_logisticregressioncv_warns_with_use_legacy_attributes": NO_CHANGE,
    r"test_lr_scoring_warns": NO_CHANGE,
    r"test_logreg_predict_proba_multinomial.*": PRIVATE,
    r"test_elastic_net_l1_l2_equivalence.*": PENALTY,
    r"test_l1_ratio_non_elasticnet": PENALTY,
    r"test_penalty_none.*": PENALTY,
    r"test_penalty_deprecated.*": PENALTY,
    r"test_lr_penalty_l1ratio_incompatible.*": PENALTY,
    r"test_l1_ratio_None_deprecated": PENALTY,
    r"test_logisticregression_warns_with_n_jobs": NO_CHANGE,
    r"test_consistency_path.*": NO_EFFECT,
    r"test_.*_callback_.*": CALLBACKS,
    r"test_zero_max_iter.*": NO_STEP,
    r"test_newton_cholesky_fallback_to_lbfgs": FALLBACK,
    r"test_multinomial_logistic_regression_string_inputs": WEIGHT_OF_ZERO,
    r"test_logistic_cv_folds_with_classes_missing.*": MISSING_CLASS,
    r"test_multinomial_cv_iris.*": MISSING_CLASS,
}
