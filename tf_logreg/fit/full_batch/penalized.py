"""The K functions that a solver minimises, from sums over rows: divides, penalises, counts passes.

F_k(w) = sum_i s_ki loss_i / sum_i s_ki + sum_j l2_kj w_j^2 / 2 + l1_kj |w_j|, in training columns. A
solver sees w as P numbers: the kernel [p, m] and, where the model has one, the bias [m] behind it.
"""

import collections
import contextlib
import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from tf_logreg import machine
from tf_logreg.engines.engine import Engine, Sums
from tf_logreg.fit.full_batch import copied_columns, preconditioners, requests, working_columns
from tf_logreg.fit.full_batch import sample as samples
from tf_logreg.objective import records
from tf_logreg.solvers import core

_LARGEST_HESSIAN = 600  # coefficients; beyond, systems are solved by conjugate gradients
WEAK_L2 = 1e-20  # in columns of deviation one: smaller than the rounding of the gradient


@dataclasses.dataclass
class Penalized:
    """K problems over the same rows; methods take the indices of k of them, `which` [k].

    Attributes:
        engine: makes the passes.
        shape: (p, m). bias: whether the model has one.
        held_out: [K]. class_weight: [K, C].
        l1, l2: [K, p], in training columns.
        num_rows: n.
        every: all passes read one block of every `every`, as for a rough start.
        latest, positive: [K], as in `records.Problems`; None for no limit and for labels as they are.
        alike: [K], problems with the same number have about the same Hessian, as the folds of one penalty
            do; None when none are alike.
        sample: returns some rows on the host, for problems of many features (`sample.size`).
        columns: copies some columns to the host, for problems with l1; None where the rows are not in memory.
        passes: [K] reads of the rows by each problem so far; a sample counts as its share.
        sums: makes the passes of a step, except a preconditioner's; the engine's own when None.
        made: number of passes by name; 'float64' for those of certificates on the host.
    """

    engine: Engine
    shape: tuple[int, int]
    bias: bool
    held_out: np.ndarray
    class_weight: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    num_rows: int
    every: int = 1
    latest: np.ndarray = None
    positive: np.ndarray = None
    alike: np.ndarray = None
    sample: Callable[[], samples.Rows] | None = None
    columns: copied_columns.Reader | None = None
    passes: np.ndarray = None
    sums: Sums | None = None
    made: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def __post_init__(self):
        """Fills in the defaults."""
        count = len(self.l2)
        if self.latest is None:
            self.latest = np.full(count, np.iinfo(np.int32).max, np.int32)
        if self.positive is None:
            self.positive = np.full(count, -1, np.int32)
        if self.alike is None:
            self.alike = np.arange(count)
        if self.passes is None:
            self.passes = np.zeros(count)
        if self.sums is None and self.engine is not None:
            self.sums = self.engine.sums

    def some(self, which: np.ndarray) -> "Penalized":
        """A part of the problems, with its own count of passes."""
        names = ("held_out", "class_weight", "l1", "l2", "latest", "positive", "alike")
        return dataclasses.replace(self, passes=None, **{name: getattr(self, name)[which] for name in names})

    def one_in(self, every: int) -> "Penalized":
        """The same problems over one row in `every`, with their own count of passes."""
        if self.engine.one_in is None:
            return dataclasses.replace(self, every=every, passes=None)
        return dataclasses.replace(
            self,
            engine=self.engine.one_in(every),
            num_rows=self.num_rows // every,
            columns=None,
            passes=None,
            sums=None,
        )

    def through(self, sums: Sums) -> "Penalized":
        """The same problems and count of passes; steps read the rows through `sums` (`tape.Tape`)."""
        return dataclasses.replace(self, sums=sums)

    @staticmethod
    def explicit(size: int) -> bool:
        """Whether the Hessian of `size` coefficients is built as a matrix."""
        return size <= _LARGEST_HESSIAN

    @property
    def size(self) -> int:
        """Number of coefficients of one problem, P."""
        p, m = self.shape
        return (p + self.bias) * m

    def blas_threads(self) -> contextlib.AbstractContextManager:
        """Limits BLAS threads in the steps of a method; see `machine.blas_threads`."""
        if not self.engine.on_host:
            return contextlib.nullcontext()
        q, m = self.shape[0] + self.bias, self.shape[1]
        explicit, count = self.explicit(self.size), len(self.l2)
        if self.in_sets or self.engine.sparse:  # systems of some hundred coefficients, or diagonals
            return machine.one_blas_thread()
        if rows := self.sampled:
            return machine.blas_threads(float(rows) ** 2 * (rows / 3 + q))
        return machine.blas_threads(self.size**3 / 3 if explicit else q**3 / 3 + 2 * q**2 * m * count)

    @property
    def sampled(self) -> int:
        """Number of rows on the host from which the preconditioner is built; 0 where a pass builds it."""
        if self.explicit(self.size) or (self.engine is not None and self.engine.sparse):
            return 0
        return samples.size(self.num_rows, self.shape[0])

    @property
    def in_sets(self) -> bool:
        """Whether a method may work on some of the columns at a time."""
        at_hand = self.columns is not None and self.every == 1
        many = not self.explicit(self.size) or self.size > self.num_rows
        return at_hand and many and bool(self.l1.any())

    def unpack(self, w: np.ndarray) -> np.ndarray:
        """[k, P] -> [k, p + 1, m], the last row zero without a bias."""
        w = w.reshape(len(w), -1, self.shape[1])
        return w if self.bias else np.concatenate([w, np.zeros_like(w[:, :1])], axis=1)

    def pack(self, w: np.ndarray) -> np.ndarray:
        """[k, p + 1, m] -> [k, P]."""
        return (w if self.bias else w[:, :-1]).reshape(len(w), -1)

    def per_coefficient(self, penalty: np.ndarray) -> np.ndarray:
        """[k, p] -> [k, P]: the same for each output, 0 for the bias."""
        whole = np.zeros((len(penalty), self.shape[0] + self.bias, self.shape[1]))
        whole[:, : self.shape[0]] = penalty[:, :, None]
        return whole.reshape(len(penalty), -1)

    @functools.cached_property
    def _l2(self) -> np.ndarray:
        """`per_coefficient` of l2, [K, P]."""
        return self.per_coefficient(self.l2)

    def _sums(self, name: str, arguments: tuple, which: np.ndarray) -> list[np.ndarray]:
        """The sums of a pass for the problems `which`, added to their count of passes."""
        request = requests.request(self, name)
        every = request.every * self.every
        among = self.engine.chosen_among if name == "hessian" else 1
        self.passes[which] += min(among, every) / every
        self.made[name] += 1
        arguments = tuple(self.unpack(a) for a in arguments)
        return self.sums(name, arguments, self.record(which), request.width, every)

    def record(self, which: np.ndarray) -> records.Problems:
        """What a pass over the rows needs to know of the problems `which`."""
        fields = (self.held_out, self.class_weight, self.latest, self.positive)
        return records.Problems(*(field[which] for field in fields))

    def value_and_gradient(self, w: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value [k] and gradient [k, P] of the smooth part."""
        weight, loss, gradient = self._sums("value_and_gradient", (w,), which)
        l2 = self._l2[which]
        value = loss / weight + (l2 / 2 * np.square(w)).sum(axis=1)
        return value, self.pack(self.of_data(gradient, weight)) + l2 * w

    def hessian_product(self, w: np.ndarray, v: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The Hessians at w [k, P] times v [k, P], [k, P]."""
        weight, product = self._sums("hessian_product", (w, v), which)
        return self.pack(self.of_data(product, weight)) + self._l2[which] * v

    def hessian(self, w: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Hessians [k, P, P], from a sample of many rows; problems that are alike share the first one's."""
        rows_per_coefficient = self.num_rows // self.every // self.size
        shares = len(w) > 1 and rows_per_coefficient >= preconditioners.ROWS_TO_SHARE
        if shares and len(set(self.alike[which].tolist())) < len(w):
            _, first, group = np.unique(self.alike[which], return_index=True, return_inverse=True)
            own, at = self._l2[which], np.arange(self.size)
            hessian = self.hessian(w[first], which[first])[group]
            hessian[:, at, at] += own - own[first][group]
            return hessian
        weight, hessian = self._sums("hessian", (w,), which)
        return self.with_penalty(hessian[:, : self.size, : self.size] / weight[:, None, None], which)

    def with_penalty(self, hessian: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Hessians of the mean losses [k, P, P], changed in place to those of the problems.

        A direction that changes no logits has no curvature except from rounding. Curvature is added there, so
        that a step does not move along it.
        """
        if (m := self.shape[1]) > 1:
            whole, free = hessian.reshape(len(hessian), -1, m, self.size // m, m), self._free[which]
            for row in np.flatnonzero(free.any(axis=0)):
                size = np.einsum("kcc->k", whole[:, row, :, row, :]) / m**2
                whole[:, row, :, row, :] += (free[:, row] * size)[:, None, None]
        np.einsum("kii->ki", hessian)[:] += self._l2[which]
        return hessian

    def gradient_gap(self, gradient: np.ndarray, which: np.ndarray) -> np.ndarray:
        """sum_j gradient_j^2 / (2 l2_j) over the kernel if all of it has l2 and no l1, else infinity.

        The bias is left out, because the certificate projects its gradient away.
        """
        kernel = self.shape[0] * self.shape[1]
        bound = (np.square(gradient[:, :kernel]) / self._twice_l2[which]).sum(axis=1)
        return np.where(self._bounded[which], bound, np.inf)

    @functools.cached_property
    def _twice_l2(self) -> np.ndarray:
        """2 l2 of the kernels, [K, p m]; infinite where there is none."""
        l2 = self._l2[:, : self.shape[0] * self.shape[1]]
        return np.where(l2 > 0, 2 * l2, np.inf)

    @functools.cached_property
    def _bounded(self) -> np.ndarray:
        """[K] bool: whether all of a kernel has l2, and no l1."""
        return (self.l2 > 0).all(axis=1) & ~self.l1.any(axis=1)

    def centred(self, w: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The same k models without the softmax's free directions.

        A number added to the bias of every class, or to an unpenalised row of the kernel, changes nothing.
        """
        m = self.shape[1]
        if m == 1:
            return w
        rows = w.reshape(len(w), -1, m)
        mean = np.where(self._free[which][:, :, None], rows.mean(axis=2, keepdims=True), 0)
        return (rows - mean).reshape(len(w), -1)

    def of_data(self, sums: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Sums of gradients or products [k, q, m] -> their means.

        With a softmax, the part that is the same in all classes is only rounding, and is removed: a Newton
        step would divide it by a weak penalty or by zero.
        """
        mean = sums / weight[:, None, None]
        return mean - mean.mean(axis=2, keepdims=True) if self.shape[1] > 1 else mean

    @functools.cached_property
    def _free(self) -> np.ndarray:
        """Which rows of the weights have at most a weak penalty; the bias has none: [K, p or p + 1]."""
        free = np.ones((len(self.l2), self.shape[0] + self.bias), bool)
        free[:, : self.shape[0]] = (self.l1 == 0) & (self.l2 < WEAK_L2)
        return free

    @staticmethod
    def without_weak(l2: np.ndarray) -> np.ndarray:
        """L2 with weak penalties set to 0: dividing by them would amplify rounding."""
        return np.where(l2 < WEAK_L2, 0, l2)

    def functions(
        self,
        target: np.ndarray,
        noise: float,
        late: Callable[[], bool] = lambda: False,
        explicit: bool | None = None,
    ) -> core.Functions:
        """The functions that a solver calls.

        Args:
            target: [K], the target gap in nats.
            noise: relative rounding error of a value.
            late: ends a long step, see `core.Functions`.
            explicit: whether the Hessian is built as a matrix; None: where it is small.
        """
        explicit = self.explicit(self.size) if explicit is None else explicit
        shared = preconditioners.Preconditioners(self, explicit)
        return core.Functions(
            value_and_gradient=self.value_and_gradient,
            hessian_product=self.hessian_product,
            hessian=self.hessian if explicit else None,
            hessian_passes=requests.hessian_passes(self),
            preconditioner=shared.factors if explicit else shared.at,
            gradient_gap=self.gradient_gap,
            many_products=shared.many_products(),
            alike=shared.alike(),
            restricted=functools.partial(working_columns.restricted, self) if self.in_sets else None,
            restricted_by_products=working_columns.by_products(self),
            l1=self.per_coefficient(self.l1),
            target=target,
            noise=noise,
            late=late,
        )
