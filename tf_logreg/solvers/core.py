"""What every method shares: the functions it is given and the state that it takes from step to step.

K problems are solved together: each array has a leading axis of problems, and the functions take the
indices of those that they are asked about. A problem that is done is no longer asked about, so K
problems do not wait for the slowest. Arrays are NumPy's, float64: only what reads X is worth a device,
and the few sums between need more digits than devices have.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

Array = np.ndarray


@dataclasses.dataclass
class Functions:
    """K functions F_k(w) = smooth_k(w) + sum_j l1_kj |w_j|, w of P numbers. Each call reads X once.

    Arguments w and v are [k, P] for the k problems that `problems` [k] names.

    Attributes:
        value_and_gradient: (w, problems) -> smooth [k], its gradient [k, P].
        hessian_product: (w, v, problems) -> [k, P], the Hessian of the smooth part at w times v.
        hessian: (w, problems) -> [k, P, P], of all rows or of a sample; None where P is too large.
        hessian_passes: how many calls of value_and_gradient one of `hessian` takes as long as; 0 where each
            step takes a new one.
        preconditioner: (w, problems) -> a function (r [j, P], which [j], free [j, P] bool) -> [j, P]
            that solves roughly with the Hessian at w of `which` of the k problems, in the coordinates
            that are free; where there is a `hessian`, by its factor, and all of them are free.
        gradient_gap: (gradient [k, P], problems) -> [k], a bound on smooth - its minimum by the
            gradient alone, where the penalty gives one; infinite where it gives none.
        l1: [K, P], >= 0.
        target: [K], the gap that is wanted, in nats.
        noise: relative rounding error of a value.
        many_products: [K], in one step, after which building the preconditioner anew pays.
        alike: [K], problems with the same number may share a preconditioner.
        late: asked between the parts of a long step that read no rows. When True, the step ends with the
            weights that it has, whose values and gradients are left as they were; it may raise, too.
        hessian_root: (w, problems) -> (R [k, P, r], L [k, P]) with R R^T + diag L for the Hessian, where r is
            below P; None elsewhere.
        rank: of the smooth part's Hessian at most, without l2; infinite where it is not known.
        restricted: (coordinates [j], problem) -> functions of one problem, of these of its coefficients
            alone, with the others at zero; it has a Hessian, its root or products with it, or two of these,
            and reads only their columns. None where they are too many, or no columns are at hand.
        products_first: whether products come before a Hessian that there is too, as long as they bring much.
        restricted_by_products: whether most of these have products, so that coefficients may be many.
    """

    value_and_gradient: Callable[[Array, Array], tuple[Array, Array]]
    hessian_product: Callable[[Array, Array, Array], Array]
    hessian: Callable[[Array, Array], Array] | None
    preconditioner: Callable[[Array, Array], Callable[[Array, Array, Array], Array]]
    gradient_gap: Callable[[Array, Array], Array]
    l1: Array
    target: Array
    noise: float
    many_products: Array
    alike: Array
    hessian_passes: float = 1.0
    late: Callable[[], bool] = lambda: False
    hessian_root: Callable[[Array, Array], tuple[Array, Array]] | None = None
    rank: float = np.inf
    restricted: Callable[[Array, int], "Functions | None"] | None = None
    restricted_by_products: bool = False
    products_first: bool = False


@dataclasses.dataclass
class State:
    """Where K problems are between two steps.

    Attributes:
        w: [K, P].
        value: [K], the smooth part at w. gradient: [K, P], its gradient.
        gap: [K], the method's own estimate of F(w) - F*; no bound.
        stalled: [K] bool, rounding hides any further descent.
        finished: [K] bool, set by the caller: the problem is left alone from then on.
        memory: what the method itself keeps, arrays by name with a leading axis K.
    """

    w: Array
    value: Array
    gradient: Array
    gap: Array
    stalled: Array
    finished: Array
    memory: dict[str, Array] = dataclasses.field(default_factory=dict)

    def arrays(self) -> dict[str, Array]:
        """For a checkpoint."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "memory"}
        return fields | {f"memory/{name}": array for name, array in self.memory.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> "State":
        """From `arrays`."""
        memory = {k.removeprefix("memory/"): v for k, v in arrays.items() if k.startswith("memory/")}
        return cls(**{k: v for k, v in arrays.items() if "/" not in k}, memory=memory)


def start(fns: Functions, w: Array, **memory: Array) -> State:
    """The state at w [K, P] before the first step."""
    problems = np.arange(len(w))
    value, gradient = fns.value_and_gradient(w, problems)
    no = np.zeros(len(w), bool)
    return State(w, value, gradient, np.full(len(w), np.inf), no, no.copy(), memory)


def copy(state: State) -> State:
    """A state whose arrays can be written to."""
    arrays = (state.w, state.value, state.gradient, state.gap, state.stalled, state.finished)
    return State(*(a.copy() for a in arrays), {name: a.copy() for name, a in state.memory.items()})


def active(state: State) -> Array:
    """Indices of the problems that are not finished."""
    return np.flatnonzero(~state.finished)


def dot(a: Array, b: Array) -> Array:
    """Inner products [k] of [k, P] and [k, P]."""
    return np.einsum("kp,kp->k", a, b)
