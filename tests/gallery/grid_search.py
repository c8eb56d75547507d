"""Components and a penalty chosen together, by all pairs and by rounds that keep the better half."""

from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

x, y = load_breast_cancer(return_X_y=True)
model = Pipeline(
    [
        ("scale", StandardScaler()),
        ("components", PCA(random_state=0)),
        ("classify", LogisticRegression(solver="newton-cholesky", tol=1e-12)),
    ]
)
grid = {"components__n_components": [3, 6], "classify__C": [0.01, 0.1, 1.0]}
every = GridSearchCV(model, grid, cv=3, scoring="neg_log_loss").fit(x, y)
halving = HalvingGridSearchCV(model, grid, cv=3, scoring="neg_log_loss", factor=3, random_state=0).fit(x, y)

numbers = {
    "scores": every.cv_results_["mean_test_score"],
    "choice": list(every.best_params_.values()),
    "scores of the rounds": halving.cv_results_["mean_test_score"],
    "choice of the rounds": list(halving.best_params_.values()),
    "probabilities": every.predict_proba(x),
}
