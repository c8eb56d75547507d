"""Logistic regression in a few lines that import nothing of ours: what a run is compared with.

x and its moments are in NumPy's long double, where no scale and no mean of a column costs digits.
"""

import dataclasses
import itertools

import numpy as np
import scipy.optimize
import scipy.special


@dataclasses.dataclass
class Problem:
    """x [n, p], y [n] in 0..C-1, weight [n], penalties by raw column [p]; output is never 'auto'."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    bias: bool
    output: str

    def __post_init__(self):
        """The moments of the columns, the share of each row and which logits are its own."""
        self.x, weight = self.x.astype(np.longdouble), self.weight.astype(np.longdouble)
        self.l1, self.l2 = self.l1.astype(np.longdouble), self.l2.astype(np.longdouble)
        self.share = weight / weight.sum()
        self.mean = self.share @ self.x
        counted = self.x[self.share > 0]
        varies = (counted != counted[:1]).any(axis=0)
        self.deviation = np.where(varies, np.sqrt(self.share @ np.square(self.x - self.mean)), 1)
        classes = np.arange(int(self.y.max()) + 1)
        self.own = (classes[1:] if self.output == "sigmoid" else classes) == self.y[:, None]

    def log_losses(self, z, *, measured=False):
        """Rows' losses [n] of logits [n, m] in nats; `measured`, as its probabilities sum to one."""
        if self.output != "softmax" and not measured:
            return np.logaddexp(0, np.where(self.own, -z, z)).sum(axis=1)
        if self.output == "one_vs_rest":
            z = -np.logaddexp(0, -z)
        z = np.hstack([0 * z, z]) if z.shape[1] == 1 else z
        return scipy.special.logsumexp(z, axis=1) - z[np.arange(len(z)), self.y]

    def logits(self, kernel, bias):
        """Of a raw kernel [p, m] and bias [m]: [n, m] float64."""
        kernel = kernel.astype(np.longdouble)
        return ((self.x - self.mean) @ kernel + (bias + self.mean @ kernel)).astype(np.float64)

    def objective(self, kernel, bias):
        """F at a raw kernel and bias, nats."""
        kernel = kernel.astype(np.longdouble)
        penalty = (self.l2 / 2) @ np.square(kernel) + self.l1 @ np.abs(kernel)
        return float(self.share @ self.log_losses(self.logits(kernel, bias)) + penalty.sum())

    def best(self, *, features=True):
        """A value of F that can be reached and is near its least: by L-BFGS-B in columns of deviation one."""
        l1, l2 = self.l1 / self.deviation, self.l2 / np.square(self.deviation)
        use = (np.maximum(l1, l2) < 1e12) & features  # what is penalised more stays at zero
        u = self._columns()[:, use]
        l1, l2, share = (array.astype(np.float64) for array in (l1[use, None], l2[use, None], self.share))
        p, m = u.shape[1], self.own.shape[1]

        def value_and_gradient(w):  # w: the kernel's positive and negative parts, and the bias
            plus, minus = w[: 2 * p * m].reshape(2, p, m)
            kernel = plus - minus
            z = u @ kernel + w[2 * p * m :]
            chance = scipy.special.softmax(z, axis=1) if self.output == "softmax" else scipy.special.expit(z)
            error = share[:, None] * (chance - self.own)
            slope = u.T @ error + l2 * kernel
            value = share @ self.log_losses(z) + (l2 / 2 * kernel**2 + l1 * (plus + minus)).sum()
            return value, np.concatenate(
                [part.ravel() for part in (l1 + slope, l1 - slope, error.sum(axis=0))]
            )

        bounds = [(0, None)] * (2 * p * m) + [(None, None) if self.bias else (0, 0)] * m
        options = {"maxiter": 20000, "maxfun": 20000, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 30}
        start = np.zeros(len(bounds))
        return float(
            scipy.optimize.minimize(value_and_gradient, start, jac=True, bounds=bounds, options=options).fun
        )

    def separable(self):
        """Whether the loss falls for ever along some direction of the bias and of columns without a penalty."""
        u = self._columns()[:, (self.l1 == 0) & (self.l2 == 0)]
        u, counts = np.hstack([u, np.ones((len(u), int(self.bias)))]), self.share > 0
        sides = [np.where(own, 1, -1)[counts, None] * u[counts] for own in self.own.T]
        if self.output == "softmax":
            one, pairs = np.eye(self.own.shape[1]), itertools.permutations(range(self.own.shape[1]), 2)
            sides = [np.vstack([np.kron(one[k] - one[c], u[counts & self.own[:, k]]) for k, c in pairs])]
        return any(_opens(margins) for margins in sides if margins.shape[1])

    def _columns(self):
        centre = self.mean if self.bias else 0 * self.mean
        return ((self.x - centre) / self.deviation).astype(np.float64)


def _opens(margins):
    """Whether some d has margins @ d >= 0, not all 0 (Konis, 2007)."""
    zeros = np.zeros(len(margins))
    found = scipy.optimize.linprog(-margins.sum(axis=0), A_ub=-margins, b_ub=zeros, bounds=(-1, 1))
    return bool(-found.fun > 1e-6)
