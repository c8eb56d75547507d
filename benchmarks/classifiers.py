"""Classifiers that fit one objective, ours and its peers': functions of X, y, penalties and a tolerance.

The objective is scikit-learn's: sum_i loss_i + l2 / 2 ||w||^2 or + l1 ||w||_1, the intercept not penalised.
"""

import importlib
import importlib.util
import os
from typing import NamedTuple

NUMBERS = ("float64", "float32")


class Contender(NamedTuple):
    """What a contender is made of, and what it takes."""

    package: str
    forms: tuple[str, ...] = NUMBERS  # of X: these, and 'sparse' for a CSR matrix of float64
    penalties: tuple[str, ...] = ("l2",)
    classes: bool = True  # whether it fits a softmax
    intercept: bool = True  # whether it has one that is not penalised
    threads: bool = True  # whether its number of threads matters to it


CONTENDERS = {
    "ours": Contender("tf_logreg", (*NUMBERS, "sparse"), ("l2", "l1"), threads=False),
    "scikit-learn lbfgs": Contender("sklearn", (*NUMBERS, "sparse")),
    "scikit-learn newton-cholesky": Contender("sklearn"),
    "scikit-learn newton-cg": Contender("sklearn", (*NUMBERS, "sparse")),
    "scikit-learn liblinear": Contender(
        "sklearn", ("float64", "sparse"), ("l2", "l1"), classes=False, intercept=False, threads=False
    ),
    "scikit-learn saga": Contender("sklearn", (*NUMBERS, "sparse"), ("l2", "l1"), threads=False),
    "scikit-learn-intelex lbfgs": Contender("sklearnex", (*NUMBERS, "sparse")),
    "PyTorch L-BFGS": Contender("torch"),
    "Snap ML": Contender("snapml", ("float32", "sparse"), ("l2", "l1"), classes=False),
    "glum": Contender("glum", (*NUMBERS, "sparse"), ("l2", "l1"), classes=False),
    "celer": Contender(
        "celer", ("float64", "sparse"), ("l1",), classes=False, intercept=False, threads=False
    ),
    "skglm": Contender("skglm", ("float64", "sparse"), ("l1",), classes=False, threads=False),
}


def installed(name: str) -> bool:
    """Whether a contender's package is there."""
    return importlib.util.find_spec(CONTENDERS[name].package) is not None


def fits(name: str, classes: int, penalty: dict) -> bool:
    """Whether a contender minimises an objective: of so many classes; l1, l2 and intercept."""
    contender = CONTENDERS[name]
    return (
        (contender.classes or classes == 2)
        and (contender.intercept or not penalty["intercept"])
        and ("l1" if penalty["l1"] else "l2") in contender.penalties
    )


def import_package(package: str, threads: int) -> None:
    """Imports what the fits of a package need; `threads` that they may use, 0 for its own choice."""
    module = importlib.import_module(package)
    if package == "tf_logreg":
        module.LogisticRegression  # noqa: B018 - it is imported when it is asked for
    elif package == "torch":
        if threads:
            module.set_num_threads(threads)
    elif package.startswith("sklearn"):
        importlib.import_module(f"{package}.linear_model")
    if package == "sklearnex" and threads:
        importlib.import_module("daal4py").daalinit(threads)


def fit(name: str, x, y, penalty: dict, tol: float):
    """A contender's answer: kernel [p, m] and bias [m] in float64, m = 1 for two classes.

    Args:
        name: of CONTENDERS.
        x: [n, p] in a form that the contender takes. y: [n], 0..C-1.
        penalty: l1 and l2, of which one is 0, and intercept.
        tol: what the contender calls its tolerance: of the gap, of the gradient's largest entry, or both.
    """
    import numpy as np
    from scipy.sparse import csc_matrix, csr_matrix

    if name == "PyTorch L-BFGS":
        return torch_lbfgs(x, y, penalty, tol)
    l1, n = penalty["l1"] > 0, len(y)
    strength, intercept = penalty["l1"] or penalty["l2"], penalty["intercept"]
    common = {"tol": tol, "max_iter": 100_000, "fit_intercept": intercept}
    if name == "glum":
        from glum import GeneralizedLinearRegressor

        model = GeneralizedLinearRegressor(
            family="binomial", alpha=strength / n, l1_ratio=float(l1), gradient_tol=tol, max_iter=10_000,
            fit_intercept=intercept,
        )  # fmt: skip
    elif name == "celer":
        from celer import LogisticRegression

        model = LogisticRegression(C=1 / strength, **{**common, "max_iter": 1000})
    elif name == "skglm":
        from skglm import SparseLogisticRegression

        model = SparseLogisticRegression(alpha=strength / n, **{**common, "max_iter": 1000})
    elif name == "Snap ML":
        from snapml import LogisticRegression

        if not isinstance(x, np.ndarray):  # it takes the older matrices alone, by columns for the primal
            x = csc_matrix(x) if l1 or n < x.shape[1] else csr_matrix(x)
        model = LogisticRegression(
            penalty="l1" if l1 else "l2", regularizer=strength, dual=not l1 and n >= x.shape[1],
            n_jobs=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())), **common,
        )  # fmt: skip
    elif name == "ours":
        from tf_logreg import LogisticRegression

        model = LogisticRegression(C=1 / strength, l1_ratio=float(l1), tol=tol, fit_intercept=intercept)
    else:
        if "intelex" in name:
            from sklearnex.linear_model import LogisticRegression
        else:
            from sklearn.linear_model import LogisticRegression
        share = {"l1_ratio": 1.0} if l1 else {}
        model = LogisticRegression(C=1 / strength, solver=name.split()[-1], **share, **common)
    model.fit(x, y)
    kernel = np.atleast_2d(np.asarray(model.coef_, np.float64)).T
    bias = model.intercept_ if intercept else 0.0
    return kernel, np.broadcast_to(np.asarray(bias, np.float64), kernel.shape[1:])


def torch_lbfgs(x, y, penalty: dict, tol: float):
    """Full-batch L-BFGS with a strong Wolfe line search, as PyTorch's documentation has it."""
    import numpy as np
    import torch

    features, labels = torch.from_numpy(x), torch.from_numpy(y).long()
    binary = int(y.max()) < 2
    targets = labels.to(features.dtype)
    layer = torch.nn.Linear(
        x.shape[1], 1 if binary else int(y.max()) + 1, bias=penalty["intercept"], dtype=features.dtype
    )
    for weights in layer.parameters():
        torch.nn.init.zeros_(weights)
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=100_000, max_eval=200_000, history_size=10,
        tolerance_grad=tol, tolerance_change=tol / 100, line_search_fn="strong_wolfe",
    )  # fmt: skip
    l2 = penalty["l2"] / len(y)

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
    kernel = layer.weight.detach().numpy().T.astype(np.float64)
    bias = (
        layer.bias.detach().numpy().astype(np.float64) if penalty["intercept"] else np.zeros(kernel.shape[1])
    )
    return kernel, bias
