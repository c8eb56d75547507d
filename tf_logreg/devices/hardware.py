"""The accelerators of this machine, by their device files; the strategy that takes them all; who holds a TPU.

Nothing here imports TensorFlow: that takes seconds and, with libtpu, takes the TPU for this process.
"""

import contextlib
import dataclasses
import glob
import importlib.util
import os
import re
from collections.abc import Callable, Mapping

import psutil

_GOOGLE = "0x1ae0"  # the maker of a PCI device
# Google's other devices, which virtual machines without a TPU have: the network card gVNIC (Linux,
# drivers/net/ethernet/google/gve/gve.h), and a disk. New TPUs have new numbers.
_CARDS = ("0x0042", "0x001f")
# Numbers of its TPU chips, as JAX knows them (jax/_src/hardware_utils.py) -> the kinds of `chips.CHIPS`.
_KINDS = {"0x005e": "v4", "0x0062": "v5p", "0x0063": "v5e", "0x006f": "v6e"}
LOCK_FILE = "/tmp/libtpu_lockfile"  # locked while a process has the TPU
_LIBRARY_FILES = ("lib/libtpu.so", "usr/lib/libtpu.so")  # where images of Cloud TPU have it


@dataclasses.dataclass(frozen=True)
class Hardware:
    """What a process finds on its machine.

    Attributes:
        chips: device files of TPU chips.
        gpus: device files of NVIDIA's GPUs, unless CUDA_VISIBLE_DEVICES hides them.
        has_libtpu: whether the library that drives TPU chips is installed.
        num_hosts: number of hosts of the TPU slice that this machine is one of.
        kind: of the TPU chips, '' where it is not known.
    """

    chips: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    has_libtpu: bool = False
    num_hosts: int = 1
    kind: str = ""

    @property
    def has_tpu(self) -> bool:
        """Whether there is a TPU with its library."""
        return bool(self.chips) and self.has_libtpu


def look(
    root: str = "/",
    environ: Mapping[str, str] = os.environ,
    find_module: Callable[[str], object] = importlib.util.find_spec,
) -> Hardware:
    """Looks at device files and environment variables.

    Args:
        root: folder in which dev/, sys/ and lib/ are.
        environ: environment variables.
        find_module: of a module's name, None where it is not installed.
    """
    chips = _files(root, "dev/accel[0-9]*", "dev/vfio/[0-9]*")
    if not _has_tpu_on_bus(root):  # other devices have such files too
        chips = ()
    gpus = _files(root, "dev/nvidia[0-9]*", "dev/dxg")
    if environ.get("CUDA_VISIBLE_DEVICES", "0").strip().split(",")[0] in ("", "-1"):
        gpus = ()
    libraries = [environ.get("TPU_LIBRARY_PATH", ""), *(os.path.join(root, name) for name in _LIBRARY_FILES)]
    hosts = [host for host in environ.get("TPU_WORKER_HOSTNAMES", "").split(",") if host.strip()]
    return Hardware(
        chips,
        gpus,
        bool(find_module("libtpu")) or any(map(os.path.exists, filter(None, libraries))),
        max(len(hosts), 1),
        _kind(root) if chips else "",
    )


@dataclasses.dataclass(frozen=True)
class Choice:
    """What 'auto' takes.

    Attributes:
        kind: of the strategy.
        taken: the devices, for people.
        remark: how to take less, or why there is no more.
    """

    kind: str
    taken: str
    remark: str


def choose(
    found: Hardware,
    count_gpus: Callable[[], int],
    *,
    num_gpus: int = -1,
    num_virtual_cpus: int = 0,
    tpu: str = "",
    several_workers: bool = False,
) -> Choice:
    """The kind of strategy that takes all that there is: a TPU, else all GPUs, else one device.

    Args:
        found: from `look`.
        count_gpus: number of GPUs that TensorFlow can use; called where no TPU is taken.
        num_gpus: number that was asked for; -1 for all.
        num_virtual_cpus: number that was asked for; 0 for none.
        tpu: the TPU that was asked for, or ''.
        several_workers: whether this is one of several workers.
    """
    if several_workers:
        return Choice("multi_worker_mirrored", "all workers", "")
    if num_virtual_cpus > 1:
        return Choice("mirrored", f"{num_virtual_cpus} virtual CPUs", "")
    if num_virtual_cpus:
        return Choice("one_device", "one virtual CPU", "")
    if tpu or (found.has_tpu and num_gpus < 0):
        return Choice("tpu", "all cores of the TPU", "--distribution_strategy=one_device takes the CPU alone")
    gpus = count_gpus() if num_gpus < 0 else num_gpus
    if gpus > 1:
        return Choice(
            "mirrored", f"{gpus} GPUs", "--num_gpus=1 or --distribution_strategy=one_device takes one"
        )
    if gpus == 1:
        return Choice("one_device", "one GPU", "--num_gpus=0 takes the CPU alone")
    return Choice("one_device", "the CPU", "" if num_gpus == 0 else _why_no_more(found))


def _why_no_more(found: Hardware) -> str:
    """Why neither a TPU nor a GPU is taken."""
    if found.chips:
        return f"{found.chips[0]} is a TPU's, but libtpu is absent: pip install 'tf_logreg[tpu]'"
    if found.gpus:
        return f"{found.gpus[0]} is a GPU's, but this TensorFlow cannot use it: pip install 'tf_logreg[gpu]'"
    return "no GPU and no TPU is here"


def holder(chips: tuple[str, ...], lock_file: str = LOCK_FILE, locks: str = "/proc/locks") -> str:
    """The other process that holds the TPU: 'process 123 (python train.py)'; '' where none is found.

    libtpu locks a file while a process has the TPU. It must not be opened here: closing it would drop this
    process's own lock. So the system's list of locks is read, which shows those of other users too.

    Args:
        chips: device files of the chips.
        lock_file: of libtpu.
        locks: the system's list of locks.
    """
    for pid in (*_lockers(lock_file, locks), *_users(chips)):
        if pid != os.getpid():
            with contextlib.suppress(psutil.Error):
                command = " ".join(psutil.Process(pid).cmdline())[:80]
                return f"process {pid} ({command})" if command else f"process {pid}"
            return f"process {pid}"
    return ""


def _lockers(lock_file: str, locks: str) -> list[int]:
    """Ids of the processes that hold a lock on a file."""
    try:
        inode = os.stat(lock_file).st_ino
        with open(locks) as file:
            # '1: POSIX  ADVISORY  WRITE 30170 fe:00:2146841 0 EOF'. In a container `stat` may give another
            # device, so the number of the file decides.
            found = re.findall(r"^\d+: \w+ +\w+ +WRITE (\d+) \w+:\w+:(\d+) ", file.read(), re.MULTILINE)
    except OSError:
        return []
    return [int(pid) for pid, number in found if int(number) == inode and int(pid) > 0]


def _users(files: tuple[str, ...]) -> list[int]:
    """Ids of the processes of this user that have one of the files open."""
    found = []
    for pid in psutil.pids() if files else []:
        with contextlib.suppress(OSError):
            folder = f"/proc/{pid}/fd"
            opened = {os.readlink(os.path.join(folder, name)) for name in os.listdir(folder)}
            if opened & set(files):
                found.append(pid)
    return found


def _files(root: str, *patterns: str) -> tuple[str, ...]:
    return tuple(sorted(file for pattern in patterns for file in glob.glob(os.path.join(root, pattern))))


def _has_tpu_on_bus(root: str) -> bool:
    """Whether a PCI device is Google's and no card of a virtual machine's; True where none is shown."""
    shown = _on_bus(root)
    return not shown or any(maker == _GOOGLE and number not in _CARDS for maker, number in shown)


def _kind(root: str) -> str:
    """The kind of TPU chips; '' where none is known."""
    kinds = [_KINDS.get(number, "") for maker, number in _on_bus(root) if maker == _GOOGLE]
    return next(filter(None, kinds), "")


def _on_bus(root: str) -> list[tuple[str, str]]:
    """Maker and number of each PCI device that the system shows; '' for a number that it does not."""
    folders = map(os.path.dirname, _files(root, "sys/bus/pci/devices/*/vendor"))
    found = [[_text(os.path.join(folder, name)) for name in ("vendor", "device")] for folder in folders]
    return [(maker, number) for maker, number in found if maker]


def _text(path: str) -> str:
    """The text of a small file; '' where it cannot be read."""
    with contextlib.suppress(OSError), open(path) as file:
        return file.read().strip()
    return ""
