"""How far answers are from the optimum: our certificate, in float64 from the data, whoever found them."""


def certify(x, y, answers: list) -> list:
    """A certificate of each answer (kernel [p, m], bias [m], l1, l2), the penalties in mean form.

    Args:
        x: [n, p]. y: [n], 0..C-1.
        answers: of one problem each; they share the reads of X.
    """
    import numpy as np

    from tf_logreg.exact import certificate, host

    size, centre = 2**18 // x.shape[1] + 1, x.mean(axis=0, dtype=np.float64)
    classes = int(y.max()) + 1

    def blocks():
        for start in range(0, len(y), size):
            part = slice(start, start + size)
            count = len(y[part])
            yield host.Block(x[part], y[part], np.ones(count), np.zeros((count, 1)), np.zeros(count, int))

    def problem(kernel, bias, l1, l2):
        def whole(value):
            return np.vstack([np.full(kernel.shape, value), np.zeros((1, kernel.shape[1]))])

        w = np.vstack([kernel, (bias + centre @ kernel)[None]])
        return host.Problem(w, centre, whole(l1), whole(l2), np.ones(classes))

    return certificate.certify(blocks, [problem(*answer) for answer in answers])


def null_loss(y) -> float:
    """The loss of the best model without features, nats: the unit of a relative gap."""
    import numpy as np

    shares = np.bincount(y) / len(y)
    return float(-(shares * np.log(shares)).sum())


def objective(x, y, kernel, bias, penalty: dict) -> float:
    """sum_i loss_i + l2 / 2 ||w||^2 + l1 ||w||_1 in float64, whatever X is in.

    Args:
        x: [n, p], also one that is read where it is needed, or a csr_array. y: [n], 0..C-1.
        kernel: [p, m]. bias: [m], m = 1 for two classes.
        penalty: l1 and l2.
    """
    import numpy as np

    total, size = 0.0, 2**22 // x.shape[1] + 1
    for start in range(0, len(y), size):
        labels = y[start : start + size]
        z = x[start : start + size].astype(np.float64, copy=False) @ kernel + bias
        if z.shape[1] == 1:
            total += np.logaddexp(0, np.where(labels == 1, -z[:, 0], z[:, 0])).sum()
        else:
            total += (np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), labels]).sum()
    return float(total + penalty["l2"] / 2 * np.square(kernel).sum() + penalty["l1"] * np.abs(kernel).sum())
