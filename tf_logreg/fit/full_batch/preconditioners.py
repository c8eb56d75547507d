"""`Preconditioners`: which problems share one, when it is built anew, and from which rows."""

import collections
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.linalg import lapack

from tf_logreg.fit.full_batch import preconditioner, requests
from tf_logreg.objective import records
from tf_logreg.solvers import linear_system

ROWS_TO_SHARE = 50  # rows per coefficient from which the folds' Hessians are close enough to share one
_FEW_PRODUCTS = 3  # for a Newton system: a new preconditioner would save none of them


class Preconditioners:
    """Those of K problems, each kept until its problem asks at another w."""

    def __init__(self, problems: Any, explicit: bool):
        """Of the problems of a `Penalized`, whose engine makes the passes and whose passes are counted.

        explicit: whether Hessians are built as matrices.
        """
        self._problems, self._explicit, self._pooled, self._factors = problems, explicit, {}, {}

    def factors(self, w: np.ndarray, which: np.ndarray) -> Callable:
        """Solves with the Hessians at w [k, P], each factored once and kept until its problem's w changes.

        Problems that are alike and have the same w share a Hessian, but for their l2. Each is made by a pass
        of its own, whoever else is asked for, so it can be made again from w to the same bits (`at`).
        """
        names, together = self.alike()[which], collections.defaultdict(list)
        keys = [(name, one.tobytes()) for name, one in zip(names.tolist(), w, strict=True)]
        for i, k in enumerate(which):
            if k not in self._factors or self._factors[k][0] != keys[i]:
                together[keys[i]].append(i)
        for key, mine in together.items():
            for i, hessian in zip(
                mine, self._hessians_of_alike(w[mine[0]], key[0], which[mine]), strict=True
            ):
                self._factors[which[i]] = key, linear_system.cholesky(hessian)[0]
        kept = [self._factors[k][1] for k in which]

        def solve(r: np.ndarray, asked: np.ndarray, _: np.ndarray) -> np.ndarray:
            found = [lapack.dpotrs(kept[i], one, lower=1)[0] for i, one in zip(asked, r, strict=True)]
            return np.stack(found)

        return solve

    def _hessians_of_alike(self, w: np.ndarray, name: int, which: np.ndarray) -> Iterator[np.ndarray]:
        """That at w [P] of the first problem of a name, with the l2 of each of `which`, whose pass it is."""
        one = np.flatnonzero(self.alike() == name)[:1]
        # The engine's own sums: what is made again after a kill is not on the tape.
        problems = self._problems.through(self._problems.engine.sums)
        before = problems.passes[one]
        (hessian,) = problems.hessian(w[None], one)
        spent = problems.passes[one] - before
        problems.passes[one] = before
        problems.passes[which] += spent
        l2 = problems.per_coefficient(problems.l2[np.append(one, which)])
        for own in l2[1:] - l2[0]:
            yield hessian + np.diag(own) if own.any() else hessian

    def at(self, w: np.ndarray, which: np.ndarray) -> Callable:
        """Solves with `preconditioner.Pooled` at w [k, P], built from a sample of rows.

        Problems that are alike and have the same w share one, over all rows. It is kept until w changes.
        Each is built by a pass of its own and can be rebuilt from w to the same bits, so checkpoints do not
        store it and its passes are not on the tape (`tape.Tape`).
        """
        problems, m = self._problems, self._problems.shape[1]
        names = self.alike()[which]
        keys = [(name, one.tobytes()) for name, one in zip(names.tolist(), w, strict=True)]
        new = {key: one for key, one in zip(keys, w, strict=True) if key not in self._pooled}
        kept = {key: self._pooled[key] for key in keys if key in self._pooled}
        for key, one in new.items():
            mine = np.flatnonzero(self.alike() == key[0])
            if problems.sampled:
                kept[key] = self._of_sample(one, mine)
                continue
            sums = self._sums_of_alike(one, mine)
            l2 = problems.without_weak(problems.l2[mine].mean(axis=0))
            smooth = not problems.l1[mine].any()
            kept[key] = preconditioner.Pooled(*sums, l2, bias=problems.bias, smooth=smooth)
        # Problems outside `which` keep their preconditioners.
        self._pooled = {key: one for key, one in self._pooled.items() if key[0] not in names} | kept

        def solve(r: np.ndarray, asked: np.ndarray, free: np.ndarray) -> np.ndarray:
            r, free = r.reshape(len(r), -1, m), free.reshape(len(r), -1, m)
            z, together = np.zeros_like(r), collections.defaultdict(list)
            for i, k in enumerate(asked):
                together[keys[k]].append(i)
            for key, mine in together.items():
                z[mine] = kept[key].solve(r[mine], free[mine])
            return z.reshape(len(r), -1)

        return solve

    def _of_sample(self, w: np.ndarray, alike: np.ndarray) -> "preconditioner.Pooled":
        """Preconditioner from the sampled rows at w [P], with the weights of the first problem of `alike`."""
        problems = self._problems
        rows, one = problems.sample(), alike[0]
        counts = (rows.fold != problems.held_out[one]) & (rows.fold <= problems.latest[one])
        weight = rows.weight * problems.class_weight[one][rows.y] * counts
        if not weight.any():
            # No sampled row counts in this problem, but the rows still show how the columns vary.
            weight = np.ones(len(weight))
        l2, smooth = problems.without_weak(problems.l2[one]), not problems.l1[one].any()
        at = problems.unpack(w[None])[0]
        return preconditioner.of_sample(rows, at, weight, l2, bias=problems.bias, smooth=smooth)

    def alike(self) -> np.ndarray:
        """[K], equal for problems that share a preconditioner: alike ones, if there are rows enough."""
        problems = self._problems
        least = (
            ROWS_TO_SHARE * problems.size
            if self._explicit
            else requests.ROWS_PER_FEATURE * (problems.shape[0] + 1)
        )
        enough = problems.num_rows // problems.every >= least
        return problems.alike if enough else np.arange(len(problems.alike))

    def many_products(self) -> np.ndarray:
        """[K], number of products that take twice as long as building a preconditioner, plus a few.

        This counts the time on the devices, without the Cholesky factors on the host.
        """
        problems = self._problems
        (p, m), rows = problems.shape, problems.num_rows // problems.every
        if problems.engine.sparse:  # a diagonal takes as long as a product
            return np.full(len(problems.l2), _FEW_PRODUCTS + 1.0)
        if problems.sampled:
            # With one penalty for all features, the products of the sampled rows are not recomputed.
            anew = problems.l1.any() or (problems.l2 != problems.l2[:, :1]).any()
            return np.full(len(problems.l2), _FEW_PRODUCTS + anew * problems.sampled**2 / (rows * m))
        sample = rows / max(1, rows // (requests.ROWS_PER_FEATURE * (p + 1)))
        _, group, count = np.unique(self.alike(), return_inverse=True, return_counts=True)
        return _FEW_PRODUCTS + 2 * sample * (p + 1) / (3 * rows * m) / count[group]

    def _sums_of_alike(self, w: np.ndarray, alike: np.ndarray) -> list[np.ndarray]:
        """The pooled Gram matrix or its diagonal at w [P] of one problem, over the rows of all `alike`."""
        problems = self._problems
        name = "pooled_diagonal" if problems.engine.sparse else "pooled_gram"
        one, request = alike[0], requests.request(problems, name)
        held_out, latest = problems.held_out[one], problems.latest[one]
        if len(alike) > 1:
            held_out, latest = -1, np.iinfo(np.int32).max
        problems.passes[alike] += 1 / request.every
        problems.made[request.name] += 1
        record = records.Problems(
            np.array([held_out], np.int32),
            problems.class_weight[alike].mean(axis=0, keepdims=True),
            np.array([latest], np.int32),
            problems.positive[[one]],
        )
        arguments, every = (problems.unpack(w[None]),), request.every * problems.every
        sums = problems.engine.sums(request.name, arguments, record, request.width, every)
        return [total[0] for total in sums]
