"""What 'auto' takes, by device files in a folder of our own; and who holds a TPU."""

import os
import subprocess
import sys

import pytest

from tf_logreg.devices import hardware
from tf_logreg.devices.hardware import Choice, Hardware

CPU = Choice("one_device", "the CPU", "no GPU and no TPU is here")
# Locks the file argv[1] as libtpu does, opens argv[2], says so, and waits to be killed.
HOLDS = """
import fcntl, sys, time
lock, chip = open(sys.argv[1], "w"), open(sys.argv[2])
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


def machine(root, *files, makers=("0x8086",)):
    """A folder with device files, and a PCI device of each maker, or 'maker device'."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for place, maker in enumerate(makers):
        folder = root / "sys/bus/pci/devices" / str(place)
        folder.mkdir(parents=True)
        for name, number in zip(("vendor", "device"), maker.split(), strict=False):
            (folder / name).write_text(f"{number}\n")
    return str(root)


def look(root, **environ):
    return hardware.look(root, environ, lambda name: None)


def choose(found, gpus=0, **asked):
    return hardware.choose(found, lambda: gpus, **asked)


def test_a_machine_with_nothing_is_one_cpu(tmp_path):
    found = look(machine(tmp_path))
    assert found == Hardware()
    assert choose(found) == CPU


@pytest.mark.parametrize(
    "names", [("dev/accel0", "dev/accel1"), ("dev/vfio/0", "dev/vfio/1", "dev/vfio/vfio")]
)
def test_chips_and_their_library_are_a_tpu(tmp_path, names):
    root = machine(tmp_path, *names, "lib/libtpu.so", makers=("0x8086", "0x1ae0"))
    found = look(root)
    assert found.chips == tuple(f"{root}/{name}" for name in names[:2])
    assert choose(found) == Choice(
        "tpu", "all cores of the TPU", "--distribution_strategy=one_device takes the CPU alone"
    )
    assert choose(found, num_gpus=0).kind == "one_device"  # another thing was asked for
    assert choose(found, num_virtual_cpus=2).kind == "mirrored"


@pytest.mark.parametrize(("device", "is_tpu"), [("0x0063", True), ("0x0042", False), ("0x001f", False)])
def test_a_network_card_of_googles_is_no_tpu(tmp_path, device, is_tpu):
    """Virtual machines have gVNIC, and any device may be handed through to one as /dev/vfio/0."""
    root = machine(tmp_path, "dev/vfio/0", "lib/libtpu.so", makers=("0x8086 0x1237", f"0x1ae0 {device}"))
    assert look(root).has_tpu == is_tpu


@pytest.mark.parametrize(
    ("device", "kind"),
    [("0x005e", "v4"), ("0x0062", "v5p"), ("0x0063", "v5e"), ("0x006f", "v6e"), ("0x0027", "")],
)
def test_the_kind_of_chips(tmp_path, device, kind):
    makers = ("0x8086 0x0063", "0x1ae0 0x0042", f"0x1ae0 {device}")
    assert look(machine(tmp_path, "dev/accel0", makers=makers)).kind == kind


def test_the_library_is_found_as_a_package_and_by_its_variable(tmp_path):
    root = machine(tmp_path, "dev/accel0", makers=())
    assert not look(root).has_libtpu
    assert hardware.look(root, {}, lambda name: name == "libtpu").has_tpu
    (tmp_path / "my.so").touch()
    assert look(root, TPU_LIBRARY_PATH=f"{root}/my.so").has_tpu


def test_chips_without_their_library_are_told(tmp_path):
    found = look(machine(tmp_path, "dev/vfio/0", makers=("0x1ae0",)))
    choice = choose(found)
    assert choice.kind == "one_device"
    assert choice.remark == f"{found.chips[0]} is a TPU's, but libtpu is absent: pip install 'tf_logreg[tpu]'"


def test_device_files_of_others_are_no_tpu(tmp_path):
    """VFIO hands any PCI device to a guest, and /dev/accel is a folder of other makers' accelerators."""
    root = machine(tmp_path, "dev/vfio/7", "dev/accel/accel0", "lib/libtpu.so")
    assert look(root) == Hardware(has_libtpu=True)
    assert choose(look(root)) == CPU


def test_gpus_are_those_that_tensorflow_can_use(tmp_path):
    found = look(machine(tmp_path, "dev/nvidia0", "dev/nvidia1", "dev/nvidiactl"))
    assert len(found.gpus) == 2
    several = "--num_gpus=1 or --distribution_strategy=one_device takes one"
    assert choose(found, gpus=2) == Choice("mirrored", "2 GPUs", several)
    assert choose(found, gpus=4, num_gpus=3) == Choice("mirrored", "3 GPUs", several)
    assert choose(found, gpus=1) == Choice("one_device", "one GPU", "--num_gpus=0 takes the CPU alone")
    assert choose(found, gpus=2, num_gpus=1).taken == "one GPU"
    assert choose(found, gpus=2, num_gpus=0) == Choice("one_device", "the CPU", "")
    assert "this TensorFlow cannot use it: pip install 'tf_logreg[gpu]'" in choose(found).remark


@pytest.mark.parametrize(("visible", "count"), [("", 0), ("-1", 0), ("-1,0", 0), ("0", 1), ("1,0", 1)])
def test_hidden_gpus_are_not_looked_for(tmp_path, visible, count):
    assert len(look(machine(tmp_path, "dev/nvidia0"), CUDA_VISIBLE_DEVICES=visible).gpus) == count


def test_what_is_asked_for_goes_first():
    found = Hardware(chips=("/dev/accel0",), has_libtpu=True)
    assert choose(found, several_workers=True).kind == "multi_worker_mirrored"
    assert choose(Hardware(), tpu="grpc://host:8470").kind == "tpu"
    assert choose(Hardware(), num_virtual_cpus=1) == Choice("one_device", "one virtual CPU", "")


def test_hosts_of_a_slice(tmp_path):
    root = machine(tmp_path)
    assert look(root, TPU_WORKER_HOSTNAMES="a,b,c").num_hosts == 3
    assert look(root, TPU_WORKER_HOSTNAMES="localhost").num_hosts == 1


@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="the system does not list locks")
def test_who_holds_a_tpu(tmp_path):
    lock, chip = tmp_path / "lock", tmp_path / "accel0"
    lock.touch()
    chip.touch()
    assert hardware.holder((str(chip),), str(lock)) == ""
    other = subprocess.Popen([sys.executable, "-c", HOLDS, lock, chip], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        expected = f"process {other.pid} ({sys.executable} -c"
        for chips, lock_file in (((), lock), ((str(chip),), tmp_path / "none")):
            assert hardware.holder(chips, str(lock_file)).startswith(expected)
        with open(chip):  # this process itself is no other
            assert hardware.holder((str(chip),), str(tmp_path / "none")).startswith(expected)
    finally:
        other.kill()
        other.communicate()
    assert hardware.holder((str(chip),), str(lock)) == ""
    assert hardware.holder((), str(tmp_path / "none"), str(tmp_path / "no list")) == ""
