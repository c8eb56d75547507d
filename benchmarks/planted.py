"""Rows that the benchmarks plant: correlated columns, labels drawn from known weights."""


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
