"""How the scores on training and on other rows change with the number of rows and with the penalty."""

import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit, learning_curve, validation_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

x, y = load_wine(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", tol=1e-12))
cv = ShuffleSplit(n_splits=4, test_size=0.3, random_state=0)

sizes, train, test = learning_curve(
    model, x, y, cv=cv, train_sizes=np.linspace(0.2, 1.0, 4), scoring="neg_log_loss"
)
by_strength = validation_curve(
    model,
    x,
    y,
    cv=cv,
    param_name="logisticregression__C",
    param_range=np.logspace(-3, 1, 4),
    scoring="neg_log_loss",
)

numbers = {"sizes": sizes, "train": train, "test": test, "by strength": np.stack(by_strength)}
