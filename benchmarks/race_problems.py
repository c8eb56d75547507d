"""The problems of the race and of the estimator's table: rows, and what is minimised over them.

The objective is scikit-learn's and benchopt's: sum_i loss_i + l2 / 2 ||w||^2 + l1 ||w||_1 in the columns as
they are, an intercept, where there is one, not penalised.
"""

import json
import os
from typing import NamedTuple

import planted


class Problem(NamedTuple):
    """Rows and penalties."""

    rows: str  # a name of `rows`
    title: str
    l2: float = 0.0
    share: float = 0.0  # l1 as a share of the smallest l1 at which all coefficients are 0
    intercept: bool = False

    @property
    def sparse(self) -> bool:
        """Whether most of X is 0, so that contenders who can may have it as a sparse matrix."""
        return self.rows == "a9a"


SMALL = {
    "simulated 200 x 500": Problem("simulated 200 500", "l2, simulated 200 x 500", 1.0),
    "simulated 1000 x 10": Problem("simulated 1000 10", "l2, simulated 1,000 x 10", 1.0),
    "breast_cancer": Problem("breast_cancer_scaled", "l2, breast_cancer, 569 x 30, scaled", 1.0),
    "breast_cancer raw": Problem("breast_cancer", "l2, breast_cancer, 569 x 30, raw units", 1.0),
    "odd": Problem("digits_odd", "l2, digits, odd or even, 1,797 x 64", 1.0),
    "iris": Problem("iris", "iris, 150 x 4, 3 classes, intercept", 1.0, intercept=True),
    "digits": Problem("digits", "digits, 1,797 x 64, 10 classes, intercept", 1.0, intercept=True),
    "10k": Problem("planted 10000 100", "10,000 x 100, intercept", 1.0, intercept=True),
    "a9a 1": Problem("a9a", "l2, a9a, 32,561 x 123, lambda 1", 1.0),
    "a9a 0.01": Problem("a9a", "l2, a9a, lambda 0.01", 0.01),
    "l1 breast_cancer": Problem("breast_cancer_scaled", "l1, breast_cancer, 0.1", share=0.1),
    "l1 odd": Problem("digits_odd", "l1, digits, odd or even, 0.1", share=0.1),
    **{f"l1 a9a {c}": Problem("a9a", f"l1, a9a, {c} of the largest", share=c) for c in (0.5, 0.1, 0.05)},
    **{
        f"l1 500 x {p} {c}": Problem(f"correlated 500 {p}", f"l1, simulated 500 x {p:,}, {c}", share=c)
        for p in (2000, 5000)
        for c in (0.5, 0.1, 0.05)
    },
}
LARGE = {
    "1m": Problem("planted 1000000 28", "1,000,000 x 28, intercept", 1.0, intercept=True),
    "500k 1": Problem("planted 500000 30", "l2, 500,000 x 30, lambda 1", 1.0),
    "mild": Problem("planted 60000 784 10", "60,000 x 784, 10 classes, intercept", 1.0, intercept=True),
    "pixels": Problem(
        "pixels 60000 784 10",
        "60,000 x 784, 10 classes, columns correlated like pixels, intercept",
        1.0,
        intercept=True,
    ),
    "100k x 400 1": Problem("simulated 100000 400", "l2, simulated 100,000 x 400, lambda 1", 1.0),
    "200k": Problem("planted 200000 100", "200,000 x 100, intercept", 1.0, intercept=True),
    "2000 x 20000": Problem("simulated 2000 20000", "l2, simulated 2,000 x 20,000", 1.0),
    "l1 500k": Problem("planted 500000 30", "l1, 500,000 x 30, 0.1", share=0.1),
    "500k 0.01": Problem("planted 500000 30", "l2, 500,000 x 30, lambda 0.01", 0.01),
    "100k x 400 0.01": Problem("simulated 100000 400", "l2, simulated 100,000 x 400, lambda 0.01", 0.01),
}
SPARSE = {
    "text 1": Problem(
        "text 20000 50000 60", "(a) l2, 20,000 x 50,000, 60 a row, lambda 1, intercept", 1.0, intercept=True
    ),
    "text 0.01": Problem(
        "text 20000 50000 60", "(a) l2, 20,000 x 50,000, lambda 0.01, intercept", 0.01, intercept=True
    ),
    "hashed": Problem(
        "text 500000 1048576 39",
        "(b) l2, 500,000 x 1,048,576, 39 a row, lambda 1, intercept",
        1.0,
        intercept=True,
    ),
    **{
        f"l1 text {c}": Problem(
            "text 20000 50000 60", f"(c) l1, 20,000 x 50,000, {c} of the largest", share=c
        )
        for c in (0.1, 0.01)
    },
    "one-hot": Problem(
        "onehot 100000 2000 20",
        "(d) l2, 100,000 x 2,000, one-hot of 20 variables, lambda 1, intercept",
        1.0,
        intercept=True,
    ),
}
OTHERS = {
    "breast_cancer intercept": Problem(
        "breast_cancer", "breast_cancer, 569 x 30, raw units, intercept", 1.0, intercept=True
    ),
    "classes": Problem("planted 50000 768 100", "50,000 x 768, 100 classes, intercept", 1.0, intercept=True),
    "images": Problem(
        "images", "10,000 images of MNIST (--images), lambda 0.1, intercept", 0.1, intercept=True
    ),
}
PROBLEMS = {**SMALL, **LARGE, **SPARSE, **OTHERS}
GROUPS = {
    "small": tuple(SMALL),
    "large": tuple(LARGE),
    "sparse": tuple(SPARSE),
    "estimator": ("iris", "breast_cancer intercept", "digits", "10k", "1m", "200k", "mild", "pixels"),
}


def chosen(names: str) -> list[str]:
    """Names of problems from a list with commas of names and groups; ValueError for others."""
    found = []
    for name in names.split(","):
        if name not in PROBLEMS and name not in GROUPS:
            raise ValueError(
                f"--problems: {name!r} is not one of {', '.join(GROUPS)} or: {', '.join(PROBLEMS)}"
            )
        found += GROUPS.get(name, (name,))
    return list(dict.fromkeys(found))


def rows(name: str, a9a: str = "", images: str = ""):
    """X [n, p] float32 or float64, a csr_array where it is sparse, and y [n] int32, 0..C-1.

    Args:
        name: of a set of scikit-learn's, '_scaled' or '_odd' behind it; or a kind with its sizes, as
            'planted 10000 100'.
        a9a: path of a9a.libsvm(.gz). images: path of images in MNIST's format, the labels beside it.
    """
    import numpy as np
    from sklearn import datasets

    kind, *sizes = name.split()
    sizes = list(map(int, sizes))
    if kind == "simulated":
        return planted.simulated(*sizes)
    if kind == "correlated":
        return planted.correlated(*sizes)
    if kind in ("planted", "pixels"):
        return planted.rows(*[*sizes, 2][:3], pixels=kind == "pixels")
    if kind in ("text", "onehot"):
        return (planted.text if kind == "text" else planted.one_hot)(*sizes)
    if kind == "images":
        return planted.read_images(images)
    if kind == "a9a":
        x, y = datasets.load_svmlight_file(a9a)
        return x.toarray(), (y > 0).astype(np.int32)
    x, y = getattr(datasets, f"load_{kind.removesuffix('_scaled').removesuffix('_odd')}")(return_X_y=True)
    if kind.endswith("_scaled"):
        x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, (y % 2 if kind.endswith("_odd") else y).astype(np.int32)


def write(problem: Problem, folder: str, a9a: str = "", images: str = "") -> None:
    """Leaves X, y and the penalties in a folder, for other processes."""
    import numpy as np
    import scipy.sparse

    x, y = rows(problem.rows, a9a, images)
    largest = np.abs((2 * y - 1.0) @ x).max() / 2 if problem.share else 0.0
    if scipy.sparse.issparse(x):
        scipy.sparse.save_npz(f"{folder}/x.npz", x, compressed=False)
    else:
        np.save(f"{folder}/x.npy", x)
    np.save(f"{folder}/y.npy", y)
    with open(f"{folder}/penalty.json", "w") as file:
        json.dump({"l1": problem.share * largest, "l2": problem.l2, "intercept": problem.intercept}, file)


def read(folder: str, form: str | None = None):
    """X, y and the penalties as a dict.

    Args:
        folder: where `write` left them.
        form: of X: 'float32', 'float64', 'sparse' (CSR of float64); None: as it is, read where it is needed.
            Sparse rows have one form, CSR of float64.
    """
    import numpy as np

    y = np.load(f"{folder}/y.npy")
    if os.path.exists(f"{folder}/x.npz"):
        from scipy.sparse import load_npz

        x = load_npz(f"{folder}/x.npz")
    else:
        x = np.load(f"{folder}/x.npy", mmap_mode=None if form else "r")
    if isinstance(x, np.ndarray) and form == "sparse":
        from scipy.sparse import csr_array

        x = csr_array(x.astype(np.float64, copy=False))
        x.indices, x.indptr = x.indices.astype(np.int32), x.indptr.astype(np.int32)
    elif isinstance(x, np.ndarray) and form:
        x = x.astype(form, copy=False)
    with open(f"{folder}/penalty.json") as file:
        return x, y, json.load(file)


def size(x) -> int:
    """Bytes of X, or of its values, ids and ends where it is sparse."""
    return x.nbytes if hasattr(x, "nbytes") else x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
