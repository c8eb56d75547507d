"""A rare class: weights, a threshold tuned to a score, and a model that is fitted already, calibrated."""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split

x, y = make_classification(n_samples=1000, n_features=6, weights=[0.9], flip_y=0.05, random_state=3)
x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y, random_state=3)
rows = np.random.default_rng(3).uniform(0.5, 2, len(y_train))

plain = LogisticRegression(solver="newton-cholesky", tol=1e-12)
balanced = LogisticRegression(solver="newton-cholesky", tol=1e-12, class_weight="balanced")
tuned = TunedThresholdClassifierCV(plain, cv=3, thresholds=20).fit(x_train, y_train)
plain.fit(x_train, y_train, sample_weight=rows)
calibrated = CalibratedClassifierCV(FrozenEstimator(balanced.fit(x_train, y_train)), method="sigmoid")
calibrated.fit(x_test, y_test)

models = {"weighted rows": plain, "balanced": balanced, "tuned": tuned, "calibrated": calibrated}
numbers = {name: model.predict_proba(x_test) for name, model in models.items()}
numbers["threshold"] = tuned.best_threshold_
numbers["scores"] = [balanced_accuracy_score(y_test, model.predict(x_test)) for model in models.values()]
