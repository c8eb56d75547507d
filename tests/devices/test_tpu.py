"""A TPU is initialised once a process, and one that another process holds is told apart from none."""

import pytest
import tensorflow as tf

from tf_logreg.devices import tpu
from tf_logreg.devices.hardware import Hardware
from tf_logreg.errors import InputError

HERE = Hardware(chips=("/dev/accel0",), has_libtpu=True)
# What TensorFlow 2.20 for TPUs raises where another process has the TPU, and where there is none; and TensorFlow for CPUs.
HELD = tf.errors.NotFoundError(
    None, None, "TPUs not found in the cluster. Failed in initialization: No matching devices found for "
    "'/device:TPU_SYSTEM:0' [Op:__inference__tpu_init_fn_4]",
)  # fmt: skip
NO_CHIP = tf.errors.InternalError(None, None, "RET_CHECK failure (tpu_node_interfaces.cc:432) *platform")
NO_KERNEL = tf.errors.NotFoundError(
    None, None, "Failed in initialization: No OpKernel was registered to support Op 'ConfigureDistributedTPU'"
)
BUSY = RuntimeError("TPU initialization failed: open(/dev/vfio/0): Device or resource busy")


def test_a_process_connects_once_however_many_ask():
    asked = []

    def connect(name, zone, project, steps):
        asked.append((name, zone, project))
        return object()

    address = ("grpc+test://host:8470", "", "")  # its scheme is not looked up
    first = tpu.tpu_strategy(*address, 10.0, connect)
    assert tpu.tpu_strategy(*address, 10.0, connect) is first
    assert tpu.tpu_strategy("grpc+test://other:8470", "", "", 10.0, connect) is not first
    assert asked == [address, ("grpc+test://other:8470", "", "")]


def test_what_fails_is_tried_again():
    def refuse(name, zone, project, steps):
        steps.append("initialize_tpu_system")
        raise NO_CHIP

    address = ("grpc+test://third:8470", "", "")
    with pytest.raises(
        InputError,
        match=r"initialize_tpu_system\(tpu='grpc\+test://third:8470'\) found no TPU: InternalError",
    ):
        tpu.tpu_strategy(*address, 10.0, refuse)
    assert tpu.tpu_strategy(*address, 10.0, lambda *_: "made") == "made"


REASONS = {
    "no TPU": (NO_CHIP, Hardware(), "", ""),
    "chips, and an error of another kind": (NO_CHIP, HERE, "", ""),
    "another process": (HELD, HERE, "process 7 (python a.py)", "is in use by process 7 (python a.py); one process at a time"),
    "a process that is not seen": (HELD, HERE, "", "`sudo lsof /dev/accel0` names it. Else delete /tmp/libtpu_"),
    "a busy chip": (BUSY, HERE, "", "is in use by another process, which cannot be seen"),
    "another TensorFlow": (NO_KERNEL, HERE, "process 7", "was made for others, or libtpu is absent: pip install 'tf_logreg[tpu]'"),
    "no library": (HELD, Hardware(chips=("/dev/accel0",)), "", "pip install 'tf_logreg[tpu]', in a fresh environment"),
    "a slice": (
        NO_CHIP, Hardware(("/dev/accel0",), (), True, 4), "", "one of 4 hosts of a slice (TPU_WORKER_HOSTNAMES)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("error", "found", "holder", "expected"), REASONS.values(), ids=REASONS)
def test_why_there_is_no_tpu(error, found, holder, expected):
    reason = tpu.reason_for_no_tpu(error, found, holder)
    if not expected:
        assert reason == ""
        return
    assert expected in reason
    assert "--distribution_strategy=one_device takes the CPU" in reason
