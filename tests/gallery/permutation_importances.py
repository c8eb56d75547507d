"""Which features a model leans on: the score that it loses when a column is shuffled."""

from sklearn.datasets import load_breast_cancer
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

x, y = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x[:, :10], y, random_state=42)

model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, solver="newton-cholesky", tol=1e-12))
model.fit(x_train, y_train)
found = permutation_importance(
    model, x_test, y_test, scoring="neg_log_loss", n_repeats=5, random_state=42, max_samples=100
)

numbers = {
    "importances": found.importances,
    "dependence on the radius": partial_dependence(model, x_test, [0], grid_resolution=10)["average"],
}
