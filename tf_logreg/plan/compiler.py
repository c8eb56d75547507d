"""StableHLO -> a program for a TPU chip, by the compiler in libtpu, which needs no TPU.

JAX is only the way to it: it hands the text to the compiler and gives back what was made.
"""

import dataclasses
import functools
import importlib.metadata
import os

from tf_logreg.errors import InputError
from tf_logreg.plan.hlo import Module

# What is compiled is one chip's program, without the sum over chips: any slice will do, the least is one
# host's.
_SMALLEST = {"v4": "v4:2x2x1", "v5e": "v5e:2x2", "v5p": "v5p:2x2x1", "v6e": "v6e:2x2"}
# Without these libtpu asks a metadata server which machine it is on, and waits.
_NO_QUESTIONS = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_CHIPS_PER_HOST_BOUNDS": "2,2,1",
    "TPU_HOST_BOUNDS": "1,1,1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # the lock is for chips, and there are none
    "JAX_PLATFORMS": "cpu",  # JAX itself computes nothing here
}


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A program for one chip.

    Attributes:
        module: the optimised, scheduled HLO.
        arguments, outputs, temporaries, code: bytes of the chip's memory.
        optimal_seconds: the compiler's own figure; counts each loop's body once.
    """

    module: Module
    arguments: int
    outputs: int
    temporaries: int
    code: int
    optimal_seconds: float


def versions() -> str:
    """The compiler's name, for what it estimated."""
    return f"the TPU compiler of libtpu {importlib.metadata.version('libtpu')}"


def check() -> None:
    """Whether the compiler is installed.

    Raises:
        InputError: it is not; names the extra.
    """
    missing = []
    for name in ("jax", "jaxlib", "libtpu"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise InputError(
            f"--mode=plan: needs {' and '.join(missing)}: pip install 'tf_logreg[cpu,plan]' (Linux x86-64)."
        )


def compile_for(kind: str, stablehlo: str) -> Compiled:
    """Compiles one chip's program.

    Args:
        kind: of chip, as in `chips.CHIPS`.
        stablehlo: the text of a module.

    Raises:
        InputError: the compiler is not installed.
    """
    check()
    from jax._src.lib import xla_client  # the public API compiles what JAX traced, and nothing else

    device = _device(kind)
    made = device.client.compile(
        stablehlo.encode(), xla_client.DeviceList((device,)), xla_client.CompileOptions()
    )
    memory, cost = made.get_compiled_memory_stats(), made.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    return Compiled(
        module=Module(made.hlo_modules()[0].to_string()),
        arguments=memory.argument_size_in_bytes,
        outputs=memory.output_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        code=memory.generated_code_size_in_bytes,
        optimal_seconds=cost["optimal_seconds"],
    )


@functools.cache
def _device(kind: str):
    for name, value in _NO_QUESTIONS.items():
        os.environ.setdefault(name, value)
    from jax.experimental import topologies

    return topologies.get_topology_desc(platform="tpu", topology_name=_SMALLEST[kind]).devices[0]
