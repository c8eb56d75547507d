"""Predictions of rows by models that have not seen them: the receiver operating characteristic of each fold."""

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve
from sklearn.model_selection import StratifiedKFold, cross_val_predict

rng = np.random.default_rng(0)
x, y = load_iris(return_X_y=True)
x, names = np.hstack([x, rng.standard_normal((150, 20))]), np.array(["setosa", "versicolor", "virginica"])[y]

model = LogisticRegression(solver="newton-cholesky", tol=1e-12)
folds = StratifiedKFold(4, shuffle=True, random_state=0)
probabilities = cross_val_predict(model, x, names, cv=folds, method="predict_proba")
logits = cross_val_predict(model, x, names, cv=folds, method="decision_function")
predicted = cross_val_predict(model, x, names, cv=folds)
false, true, _ = roc_curve(names == "virginica", probabilities[:, 2])

numbers = {
    "probabilities": probabilities,
    "logits": logits,
    "curve": np.stack([false, true]),
    "area": roc_auc_score(names, probabilities, multi_class="ovr"),
    "confusion": confusion_matrix(names, predicted),
}
