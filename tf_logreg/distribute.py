"""Which devices: one function from a name to a `tf.distribute.Strategy`, and nothing else."""

import glob
import importlib.util

import tensorflow as tf

from tf_logreg.errors import InputError

KINDS = ("off", "one_device", "mirrored", "tpu")


def detect() -> str:
    """The kind that uses what this machine has: 'tpu', 'mirrored' for several GPUs, 'one_device'."""
    chips = glob.glob("/dev/accel*") + glob.glob("/dev/vfio/[0-9]*")
    if chips and importlib.util.find_spec("libtpu"):
        return "tpu"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def make_strategy(
    kind: str = "one_device", *, num_gpus: int = -1, num_virtual_cpus: int = 0, tpu: str = ""
) -> tf.distribute.Strategy:
    """Makes the strategy that a run's replicas live in.

    Args:
        kind: one of KINDS, in any case. 'off' is TensorFlow's default strategy; 'one_device' the
            first GPU or else the CPU; 'mirrored' all GPUs, or the logical CPUs; 'tpu' all cores.
        num_gpus: how many GPUs to use; -1 for all, 0 for none.
        num_virtual_cpus: split the CPU into this many logical devices, so that 'mirrored' runs
            anywhere; 0 leaves it whole. Must come before TensorFlow's first operation.
        tpu: the TPU's name or grpc:// address; '' and 'local' for one in this machine.

    Raises:
        InputError: an unknown kind, devices that are not there, or a TPU that does not answer.
    """
    kind = kind.lower()
    if kind not in KINDS:
        raise InputError(f"--distribution_strategy: expected one of {', '.join(KINDS)}. Received: {kind!r}.")
    if kind == "tpu":
        return _tpu_strategy(tpu)
    if num_virtual_cpus < 0:
        raise InputError(f"--num_virtual_cpus: expected a number >= 0. Received: {num_virtual_cpus}.")
    if num_virtual_cpus:
        _split_cpu(num_virtual_cpus)
    found = len(tf.config.list_logical_devices("GPU"))
    if not -1 <= num_gpus <= found:
        raise InputError(
            f"--num_gpus: expected -1 (all) to {found}, the GPUs that are here. Received: {num_gpus}."
        )
    gpus = [f"GPU:{i}" for i in range(found if num_gpus == -1 else num_gpus)]
    cpus = [f"CPU:{i}" for i in range(num_virtual_cpus or 1)]
    devices = gpus if gpus and not num_virtual_cpus else cpus
    if kind == "mirrored":
        # Between logical CPUs a plain sum is faster than TensorFlow's collectives, whose keys also
        # clash when a process makes a second strategy over the same devices.
        reduction = tf.distribute.ReductionToOneDevice() if devices is cpus else None
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
    return (
        tf.distribute.OneDeviceStrategy(devices[0]) if kind == "one_device" else tf.distribute.get_strategy()
    )


def _split_cpu(count: int) -> None:
    """Gives TensorFlow `count` logical CPUs, or finds that it has them already."""
    try:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
        tf.config.list_logical_devices()
    except (RuntimeError, ValueError):
        have = len(tf.config.list_logical_devices("CPU"))
        if have < count:
            raise InputError(
                f"--num_virtual_cpus: TensorFlow has started with {have} logical CPUs; ask before its first "
                f"operation. Received: {count}."
            ) from None


def _tpu_strategy(tpu: str) -> tf.distribute.Strategy:
    """The sequence of TensorFlow's TPU guide, with each step named when it fails."""
    tried = "TPUClusterResolver"
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu or "local")
        if tpu not in ("", "local"):
            tried = "experimental_connect_to_cluster"
            tf.config.experimental_connect_to_cluster(resolver)
        tried = "initialize_tpu_system"
        tf.tpu.experimental.initialize_tpu_system(resolver)
        tried = "TPUStrategy"
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        raise InputError(
            f"--distribution_strategy=tpu: {tried}(tpu={tpu or 'local'!r}) found no TPU: "
            f"{type(error).__name__}: {str(error).splitlines()[0][:200]} "
            "On a Cloud TPU VM install tf_logreg[tpu] and see that `ls /dev/accel* /dev/vfio` lists the "
            "chips; in Colab choose a TPU runtime; for a remote TPU give --tpu=NAME or --tpu=grpc://HOST:8470."
        ) from None
