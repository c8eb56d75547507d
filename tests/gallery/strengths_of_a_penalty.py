"""Coefficients along a path of penalties, each fit starting where the last ended."""

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

x, y = load_iris(return_X_y=True)
x, y = StandardScaler().fit_transform(x), np.array(["setosa", "other", "other"])[y]

model = LogisticRegression(solver="newton-cholesky", tol=1e-12, warm_start=True)
path, odds = [], []
for strength in np.logspace(-4, 2, 13):
    model.set_params(C=strength).fit(x, y)
    path.append(np.append(model.coef_, model.intercept_))
    odds.append(model.predict_log_proba(x[::10]))

numbers = {"coefficients": np.stack(path), "logarithms of probabilities": np.stack(odds)}
