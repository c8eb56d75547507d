"""Classifiers that fit one objective: ours and its peers', each as a function of X, y, C and a tolerance.

The objective is scikit-learn's: sum_i loss_i + ||w||^2 / (2 C), the intercept not penalised.
"""

import importlib
import importlib.util

# Contender -> the package it needs.
PACKAGES = {
    "ours": "tf_logreg",
    "scikit-learn lbfgs": "sklearn",
    "scikit-learn newton-cholesky": "sklearn",
    "scikit-learn-intelex lbfgs": "sklearnex",
    "PyTorch L-BFGS": "torch",
    "glum": "glum",
}
BINARY = ("glum",)  # those that have no softmax


def installed(name: str) -> bool:
    """Whether a contender's package is there."""
    return importlib.util.find_spec(PACKAGES[name]) is not None


def import_package(name: str, threads: int) -> None:
    """Imports what a contender's fit needs; `threads` that it may use, 0 for its own choice."""
    module = importlib.import_module(PACKAGES[name])
    if name == "ours":
        module.LogisticRegression  # noqa: B018 - it is imported when it is asked for
    elif name == "PyTorch L-BFGS":
        if threads:
            module.set_num_threads(threads)
    elif "intelex" in name:
        importlib.import_module("sklearnex.linear_model")
        if threads:
            importlib.import_module("daal4py").daalinit(threads)
    elif "scikit" in name:
        importlib.import_module("sklearn.linear_model")


def fit(name: str, x, y, c: float, tol: float):
    """A contender's answer: kernel [p, m] and bias [m] in float64, m = 1 for two classes.

    Args:
        name: of PACKAGES.
        x: [n, p] float32 or float64, which is the precision of the fit. y: [n], 0..C-1.
        c: scikit-learn's C.
        tol: what the contender calls its tolerance: of the gap, of the gradient's largest entry, or both.
    """
    import numpy as np

    if name == "PyTorch L-BFGS":
        return torch_lbfgs(x, y, c, tol)
    if name == "glum":
        from glum import GeneralizedLinearRegressor

        model = GeneralizedLinearRegressor(
            family="binomial", alpha=1 / (c * len(y)), l1_ratio=0, gradient_tol=tol, max_iter=10_000
        ).fit(x, y)
        return model.coef_.astype(np.float64)[:, None], np.atleast_1d(model.intercept_).astype(np.float64)
    if name == "ours":
        from tf_logreg import LogisticRegression

        model = LogisticRegression(C=c, tol=tol)
    else:
        if "intelex" in name:
            from sklearnex.linear_model import LogisticRegression
        else:
            from sklearn.linear_model import LogisticRegression
        model = LogisticRegression(C=c, solver=name.split()[-1], tol=tol, max_iter=100_000)
    model.fit(x, y)
    return model.coef_.T.astype(np.float64), np.atleast_1d(model.intercept_).astype(np.float64)


def torch_lbfgs(x, y, c: float, tol: float):
    """Full-batch L-BFGS with a strong Wolfe line search, as PyTorch's documentation has it."""
    import numpy as np
    import torch

    features, labels = torch.from_numpy(x), torch.from_numpy(y).long()
    binary = int(y.max()) < 2
    targets = labels.to(features.dtype)
    layer = torch.nn.Linear(x.shape[1], 1 if binary else int(y.max()) + 1, dtype=features.dtype)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=100_000, max_eval=200_000, history_size=10,
        tolerance_grad=tol, tolerance_change=tol / 100, line_search_fn="strong_wolfe",
    )  # fmt: skip
    l2 = 1 / (c * len(y))

    def closure():
        optimizer.zero_grad()
        z = layer(features)
        if binary:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], targets)
        else:
            loss = torch.nn.functional.cross_entropy(z, labels)
        loss = loss + l2 / 2 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return layer.weight.detach().numpy().T.astype(np.float64), layer.bias.detach().numpy().astype(np.float64)
