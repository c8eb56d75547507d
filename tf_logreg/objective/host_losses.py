"""Log losses and their derivatives by the logits in NumPy, for `host_sums`.

Logits are [K, B] of one output, [K, m, B] of m; all functions overwrite them.
"""

import numpy as np


def sigmoid_loss_and_error(z: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log loss and p - y of logits z [K, B], which are overwritten.

    With t = z for class 0 and -z for class 1 the loss is log(1 + e^t), its derivative by t the sigmoid.
    """
    t = np.multiply(z, sign, out=z)
    small = np.abs(t)
    np.exp(np.negative(small, out=small), out=small)
    loss = np.log1p(small)
    loss += np.maximum(t, 0)
    error = np.maximum(small, t > 0, dtype=z.dtype)  # 1 where t > 0, as small is at most 1
    error /= np.add(small, 1, out=small)
    error *= sign
    return loss, error


def sigmoid_curvature(z: np.ndarray) -> np.ndarray:
    """Curvature p (1 - p) of logits, which are overwritten."""
    small = np.exp(np.negative(np.abs(z, out=z), out=z), out=z)
    return small / np.square(1 + small)


def softmax_loss_and_error(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log loss [K, B] and p - e_y [K, m, B] of logits z [K, m, B], which are overwritten."""
    at = np.arange(len(y))
    z -= z.max(axis=1, keepdims=True)
    own = z[:, y, at]
    p = np.exp(z, out=z)
    total = p.sum(axis=1)
    p /= total[:, None]
    p[:, y, at] -= 1
    return np.log(total) - own, p


def softmax_curvature(z: np.ndarray) -> np.ndarray:
    """Curvatures p (1 - p) of logits z [K, m, B], which are overwritten."""
    p = softmax(z)
    p *= 1 - p
    return p


def softmax(z: np.ndarray) -> np.ndarray:
    """Probabilities of logits z [K, m, B], which are overwritten."""
    z -= z.max(axis=1, keepdims=True)
    p = np.exp(z, out=z)
    p /= p.sum(axis=1, keepdims=True)
    return p
