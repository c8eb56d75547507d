"""From compiled programs, a chip's published figures and measured counts to memory, seconds and totals.

A program's time is the larger of its bytes over the chip's bandwidth and its operations over the peak of
the matrix units; the compiler's own estimate of cycles stands beside it. Nothing here was run on a TPU.
"""

import dataclasses

from tf_logreg.devices.chips import Topology, same_kind
from tf_logreg.fit.full_batch import preconditioner, sample
from tf_logreg.plan.compiler import Compiled
from tf_logreg.plan.counting import Count

_USABLE = 0.9  # of a chip's memory; the runtime keeps some, and buffers do not pack without gaps


@dataclasses.dataclass(frozen=True)
class Program:
    """One run of a program on each chip of a slice.

    Attributes:
        bytes_moved: from and to the chip's memory. operations: of the matrix products.
        matrix_operations: the same as the matrix units do them, in bfloat16 passes.
        memory_seconds, matrix_seconds: those over the chip's bandwidth and peak.
        compiler_seconds: the compiler's cycles over the chip's clock.
        all_reduce_bytes: summed over chips. all_reduce_seconds: at the chips' links.
    """

    name: str
    bytes_moved: float
    operations: float
    matrix_operations: float
    memory_seconds: float
    matrix_seconds: float
    compiler_seconds: float
    all_reduce_bytes: float
    all_reduce_seconds: float

    @property
    def seconds(self) -> float:
        """The larger of the two bounds, and the sum over chips."""
        return max(self.memory_seconds, self.matrix_seconds) + self.all_reduce_seconds


def program(name: str, compiled: Compiled, topology: Topology, reduced: int | None = None) -> Program:
    """The figures of a compiled program.

    Args:
        name: for the table.
        compiled: for one chip's rows.
        topology: the slice.
        reduced: bytes that chips sum, the program's outputs when None.
    """
    chip, work = topology.chip, compiled.module.work()
    moved = work.bytes_read + work.bytes_written
    reduced = (compiled.outputs if reduced is None else reduced) if topology.num_chips > 1 else 0
    # A ring sends every byte out and back but for each chip's own share (Patarasuk and Yuan, J. Parallel
    # Distrib. Comput. 69, 2009).
    sent = 2 * reduced * (topology.num_chips - 1) / topology.num_chips
    return Program(
        name,
        moved,
        work.product_flops,
        work.product_passes,
        moved / chip.bandwidth,
        work.product_passes / chip.peak,
        work.cycles / chip.clock,
        reduced,
        sent / chip.link,
    )


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one chip: its rows of X, what else comes and goes, and whether that fits.

    Attributes:
        smallest: the least slice of that kind of chip that holds the job, '' when none does.
    """

    x: float
    parameters: float
    temporaries: float
    available: float
    fits: bool
    smallest: str


def memory(
    compiled: list[Compiled], topology: Topology, num_rows: int, row_bytes: float, parameters: float
) -> Memory:
    """What the programs of a fit need on each chip.

    Args:
        compiled: all of them, for this slice's share of the rows.
        topology: the slice.
        num_rows: of the job. row_bytes: of X in the chip's memory, and of all else of a row.
        parameters: bytes of weights and sums.
    """
    temporaries = max(one.temporaries + one.code for one in compiled)

    def need(chips: int) -> float:
        return -(-num_rows // chips) * row_bytes + parameters + temporaries

    available = topology.chip.memory * _USABLE
    holding = [slice_.name for slice_ in same_kind(topology.name) if need(slice_.num_chips) <= available]
    x = -(-num_rows // topology.num_chips) * row_bytes
    fits = need(topology.num_chips) <= available
    return Memory(x, parameters, temporaries, available, fits, holding[0] if holding else "")


@dataclasses.dataclass(frozen=True)
class FullBatch:
    """Seconds to a certified optimum: on the chips, in float64 passes on the host, and of its algebra."""

    chips: float
    chips_by_compiler: float
    host_passes: float
    host_algebra: float

    def times(self, batches: int) -> "FullBatch":
        """So many of them, one after another."""
        return FullBatch(*(batches * seconds for seconds in dataclasses.astuple(self)))

    @property
    def total(self) -> float:
        """All of it."""
        return self.chips + self.host_passes + self.host_algebra


def full_batch(
    programs: dict[str, Program],
    count: Count,
    topology: Topology,
    shape: tuple[int, int, int],
    rate: float,
    num_problems: int = 1,
    projected: int = 0,
) -> FullBatch:
    """The whole solve, if it takes as many passes as `count`.

    Args:
        programs: by name. count: of each.
        topology: the slice, whose hosts share the float64 passes.
        shape: rows, features, outputs of the job.
        rate: p m a row of a float64 pass, a second and core.
        num_problems: that share the passes, but not the host's work.
        projected: coefficients that a certificate projects on; their normal matrix takes half of
            `projected` squared a row.
    """
    rows, p, m = shape
    cores = topology.chip.host_cores * topology.num_chips
    calls = {name: number for name, number in count.calls.items() if name in programs}
    # Two triangular solves with p x p a product, up to so many factorisations a preconditioner, on one host;
    # with rows on it in the place of a matrix, two products with them.
    # A float64 pass makes two multiply-adds, p m each a row.
    factor = min(m, preconditioner.MOST_FACTORS) * p**3 / 6
    host = topology.chip.host_cores * min(topology.num_chips, 8)
    each = 2 * sample.size(rows, p) or p
    algebra = each * p * m * calls.get("hessian_product", 0) + factor * calls.get("pooled_gram", 0)
    return FullBatch(
        sum(number * programs[name].seconds for name, number in calls.items()),
        sum(
            number * (programs[name].compiler_seconds + programs[name].all_reduce_seconds)
            for name, number in calls.items()
        ),
        num_problems * rows * (count.host_passes * p * m + projected**2 / 2) / (rate * cores),
        num_problems * algebra / (2 * rate * host),
    )
