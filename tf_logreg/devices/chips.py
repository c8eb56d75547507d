"""TPU chips and slices: the makers' published figures, and which topologies there are.

Sources: docs.cloud.google.com/tpu/docs/v4, /v5e, /v5p and /v6e ('System architecture' for memory,
bandwidth, bfloat16 peak and ICI bandwidth; 'VM types' and 'Configurations' for hosts and slices).
"""

import dataclasses
import math

from tf_logreg.errors import InputError


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip.

    Attributes:
        memory: bytes of HBM. bandwidth: bytes a second from it.
        peak: bfloat16 operations a second in the matrix units.
        link: bytes a second between chips, in one direction, all ports together.
        clock: cycles a second of its cores, peak / operations a cycle.
        host_cores: physical cores of the host for each chip (half of its vCPUs).
        slices: the topologies that can be rented, smallest first.
    """

    memory: float
    bandwidth: float
    peak: float
    link: float
    clock: float
    host_cores: int
    slices: tuple[str, ...]


_FLAT = ("2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8")
# A matrix unit does 128 x 128 multiply-adds a cycle, 256 x 256 on v6e.
CHIPS = {
    "v4": Chip(32e9, 1.228e12, 275e12, 150e9, 275e12 / (8 * 2 * 128**2), 30, _CUBES),
    "v5e": Chip(16e9, 819e9, 197e12, 200e9, 197e12 / (4 * 2 * 128**2), 14, ("1x1", *_FLAT)),
    "v5p": Chip(95e9, 2.765e12, 459e12, 300e9, 459e12 / (8 * 2 * 128**2), 26, _CUBES),
    "v6e": Chip(32e9, 1.638e12, 918e12, 400e9, 918e12 / (4 * 2 * 256**2), 22, ("1x1", *_FLAT)),
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice: `name` as 'v5e:2x4', its chip and how many."""

    name: str
    chip: Chip
    num_chips: int


def topology(name: str) -> Topology:
    """'v5e:2x4' -> Topology.

    Raises:
        InputError: an unknown one; the message lists the known.
    """
    kind, _, shape = name.partition(":")
    if kind not in CHIPS or shape not in CHIPS[kind].slices:
        raise InputError(f"--topology: expected one of {', '.join(known())}. Received: {name!r}.")
    return Topology(name, CHIPS[kind], math.prod(int(n) for n in shape.split("x")))


def known() -> list[str]:
    """Names that `topology` takes, smallest first within a kind of chip."""
    return [f"{kind}:{shape}" for kind, chip in CHIPS.items() for shape in chip.slices]


def expanded(names: list[str]) -> list[str]:
    """The topologies that names stand for, each once; a kind alone, 'v5e', is all of its slices.

    Raises:
        InputError: there is none.
    """
    found = []
    for name in (name.strip() for name in names):
        found += [one.name for one in same_kind(name)] if name in CHIPS else [topology(name).name]
    if not found:
        raise InputError(f"--topology: expected some of {', '.join(known())}. Received: none.")
    return list(dict.fromkeys(found))


def same_kind(name: str) -> list[Topology]:
    """All slices of that kind of chip, smallest first."""
    kind = name.partition(":")[0]
    return [topology(f"{kind}:{shape}") for shape in CHIPS[kind].slices]
