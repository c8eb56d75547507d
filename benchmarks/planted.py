"""Rows of the benchmarks: labels drawn from known weights over more or less correlated columns; images."""


def rows(n: int, p: int, classes: int, *, pixels: bool = False):
    """X float32 [n, p] and y int32 [n], the same at every call.

    Columns share p / 4 common factors; or each is 0.99 times its neighbour and noise, as neighbouring
    pixels are, where the correlation has condition 40,000.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    if pixels:
        x = rng.standard_normal((n, p), np.float32)
        for j in range(1, p):
            x[:, j] = 0.99 * x[:, j - 1] + (1 - 0.99**2) ** 0.5 * x[:, j]
    else:
        factors = (rng.standard_normal((p // 4 + 1, p)) / np.sqrt(p // 4 + 1)).astype(np.float32)
        x = rng.standard_normal((n, p), np.float32) / 2
        x += rng.standard_normal((n, len(factors)), np.float32) @ factors
    z = x @ rng.standard_normal((p, 1 if classes == 2 else classes)) * 2 / np.sqrt(p)
    noisy = z + (rng.logistic(size=z.shape) if classes == 2 else rng.gumbel(size=z.shape))
    return x, (noisy[:, 0] > 0 if classes == 2 else noisy.argmax(axis=1)).astype(np.int32)


def simulated(n: int, p: int):
    """X float64 [n, p] of independent columns and y int32 [n], as benchopt's l2 problem draws them."""
    import numpy as np

    rng = np.random.RandomState(42)
    w = rng.randn(p)
    x = rng.randn(n, p)
    return x, (x @ w > 0).astype(np.int32)


def correlated(n: int, p: int):
    """X float64 [n, p] and y int32 [n], as benchopt's l1 problem has them.

    Columns are 0.6 times their neighbour and noise; a fifth of the weights is not 0; the noise is a third of
    the signal.
    """
    import numpy as np

    rng = np.random.default_rng(42)
    x = rng.standard_normal((n, p))
    for j in range(1, p):
        x[:, j] = 0.6 * x[:, j - 1] + 0.8 * x[:, j]
    w = rng.standard_normal(p) * (rng.random(p) < 0.2)
    z, noise = x @ w, rng.standard_normal(n)
    return x, (z + noise * np.linalg.norm(z) / (3 * np.linalg.norm(noise)) > 0).astype(np.int32)


def text(n: int, p: int, a_row: int):
    """X, a csr_array of float64 [n, p], and y int32 [n], like words counted in short texts.

    Each row has `a_row` words, column j with a probability in proportion to (j + 1)^(-2/3); what occurs twice
    counts twice. Rows have length one.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    ids = (p * rng.random((n, a_row), np.float32) ** 3).astype(np.int32).clip(0, p - 1)
    x = _counted(ids, p)
    x.data /= np.sqrt(np.add.reduceat(np.square(x.data), x.indptr[:-1])).repeat(np.diff(x.indptr))
    return x, _noisy(x @ rng.standard_normal(p) * 3, rng)


def one_hot(n: int, p: int, variables: int):
    """X, a csr_array of float64 [n, p], and y int32 [n]: so many variables of p / variables levels each.

    Level k of a variable has a probability in proportion to (k + 1)^(-1/2).
    """
    import numpy as np

    rng = np.random.default_rng(0)
    levels = p // variables
    ids = (levels * rng.random((n, variables)) ** 2).astype(np.int32) + levels * np.arange(variables)
    x = _counted(ids.astype(np.int32), p)
    return x, _noisy(x @ rng.standard_normal(p) * 2 / np.sqrt(variables), rng)


def _counted(ids, p: int):
    """A csr_array of float64 [n, p] of how often each column is among a row's ids [n, m]."""
    import numpy as np
    from scipy.sparse import csr_array

    ends = np.arange(0, ids.size + 1, ids.shape[1], dtype=np.int32)
    x = csr_array((np.ones(ids.size), ids.ravel(), ends), shape=(len(ids), p))
    x.sum_duplicates()
    return x


def _noisy(z, rng):
    """Labels int32 [n] of two classes from logits [n]."""
    import numpy as np

    return (z + rng.logistic(size=z.shape) > 0).astype(np.int32)


def read_images(path: str):
    """X float32 [n, pixels] in 0..1 and y int32 [n] of MNIST's files, packed or not.

    Args:
        path: of the images, 'train-images-idx3-ubyte.gz'; the labels are in 'train-labels-idx1-ubyte.gz'.
    """
    import gzip

    import numpy as np

    def content(name):
        with (gzip.open if name.endswith(".gz") else open)(name, "rb") as file:
            return np.frombuffer(file.read(), np.uint8)

    labels = content(path.replace("images-idx3", "labels-idx1"))[8:]
    return content(path)[16:].reshape(len(labels), -1) / np.float32(255), labels.astype(np.int32)
