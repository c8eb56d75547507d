"""Makes the `tf.distribute.Strategy` of a name."""

import contextlib
import functools
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tf_logreg.devices import cluster, hardware, meeting
from tf_logreg.devices.choices import KINDS
from tf_logreg.devices.tpu import tpu_strategy
from tf_logreg.errors import InputError, brief

log = logging.getLogger(__name__)

_CONNECTING = 10  # seconds: TensorFlow's least time to connect, after a long meeting
_MOST_REPLICAS = 64  # the number of virtual shards of the rows (data/shards.py)
_LONGEST_WAIT = 1e6  # seconds, eleven days: a safe limit for the timeout of a socket
ALL_REDUCE = {"mirrored": ("nccl", "hierarchical_copy"), "multi_worker_mirrored": ("ring", "nccl")}


def check_surroundings(strategy: tf.distribute.Strategy | None = None) -> None:
    """Checks that TensorFlow's state suits our functions, before anything is created or written.

    Args:
        strategy: places the replicas; the caller may be in its scope.

    Raises:
        InputError: eager execution is off, a graph is being traced, or another strategy's scope is open.
    """
    if not tf.executing_eagerly():
        raise InputError(
            "TensorFlow: expected eager execution. Received: a graph (within tf.function or tf.Graph, or "
            "after tf.compat.v1.disable_eager_execution); call from outside it, in a fresh process."
        )
    if tf.distribute.has_strategy() and tf.distribute.get_strategy() is not strategy:
        received = type(tf.distribute.get_strategy()).__name__
        raise InputError(
            f"strategy: expected no open scope of another strategy. Received: a call within {received}'s; "
            "leave its `with strategy.scope()`, or give it as the strategy."
        )


def make_strategy(
    kind: str = "auto",
    *,
    num_gpus: int = -1,
    num_virtual_cpus: int = 0,
    all_reduce_alg: str = "",
    worker_hosts: str = "",
    task_index: int = -1,
    startup_timeout: float = 300.0,
    tpu: str = "",
    tpu_zone: str = "",
    gcp_project: str = "",
    job: Mapping[str, Any] | None = None,
) -> tf.distribute.Strategy:
    """Makes the strategy of a run.

    Args:
        kind: one of KINDS, in any case. 'auto' takes all that is here: the workers of a cluster, else the
            cores of a TPU, else all GPUs, else the CPU, and logs what it took. 'off' is TensorFlow's default
            strategy; 'one_device' the first GPU or else the CPU; 'mirrored' all GPUs, or the logical CPUs;
            'multi_worker_mirrored' those of every worker; 'tpu' all cores, of every host of a slice.
        num_gpus: number of GPUs to use; -1 for all, 0 for none.
        num_virtual_cpus: split the CPU into this many logical devices, so that 'mirrored' runs
            anywhere; 0 leaves it whole. Must come before TensorFlow's first operation.
        all_reduce_alg: one of ALL_REDUCE[kind]; '' for TensorFlow's choice.
        worker_hosts, task_index: the workers' addresses and this worker's index; TF_CONFIG takes precedence.
        startup_timeout: seconds for the workers to meet and for TensorFlow to connect them.
        tpu: the TPU's name or grpc:// address; '' and 'local' for one in this machine.
        tpu_zone, gcp_project: where a TPU's name is looked up; '' for the machine's own.
        job: settings that must be the same on all workers, by the flag's name; compared when they meet.

    Raises:
        InputError: an unknown kind, missing devices or workers, or a TPU that does not answer.
    """
    kind, tf_config = kind.lower(), os.environ.get("TF_CONFIG", "")
    if kind == "auto":
        choice = hardware.choose(
            hardware.look(),
            lambda: len(tf.config.list_physical_devices("GPU")),
            num_gpus=num_gpus,
            num_virtual_cpus=num_virtual_cpus,
            tpu=tpu,
            several_workers=cluster.has_several(worker_hosts, task_index, tf_config),
        )
        kind = choice.kind
        _say(choice)
    _check_flags(kind, all_reduce_alg, worker_hosts, task_index, startup_timeout)
    if kind == "tpu":
        return tpu_strategy(tpu, tpu_zone, gcp_project, startup_timeout)
    several = kind == "multi_worker_mirrored"
    if not 0 <= num_virtual_cpus <= (0 if several else _MOST_REPLICAS):
        allowed = "0, for workers have one CPU each" if several else f"0 to {_MOST_REPLICAS}"
        raise InputError(f"--num_virtual_cpus: expected {allowed}. Received: {num_virtual_cpus}.")
    if num_virtual_cpus:
        _split_cpu(num_virtual_cpus)
    gpus = _gpus_to_use(num_gpus, several)
    if not several:
        return _strategy_of_one_machine(kind, gpus, num_virtual_cpus, all_reduce_alg)
    workers = cluster.resolve(worker_hosts, task_index, tf_config)
    if num_gpus >= 0:
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:num_gpus], "GPU")
    job = {**(job or {}), "--all_reduce_alg": all_reduce_alg, "--num_gpus": gpus}
    return _multi_worker_strategy(workers, all_reduce_alg, startup_timeout, job)


def make_deterministic(seed: int) -> None:
    """Makes the same command on the same devices give the same bits, at some cost on GPUs."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@functools.cache  # a process with many fits says it once
def _say(choice: hardware.Choice) -> None:
    log.info("Devices: 'auto' takes %s%s.", choice.taken, f" ({choice.remark})" if choice.remark else "")


def _check_flags(
    kind: str, all_reduce_alg: str, worker_hosts: str, task_index: int, startup_timeout: float
) -> None:
    """InputError for invalid values, and for flags of another kind."""
    if kind not in KINDS:
        raise InputError(f"--distribution_strategy: expected one of {', '.join(KINDS)}. Received: {kind!r}.")
    if all_reduce_alg and all_reduce_alg not in ALL_REDUCE.get(kind, ()):
        known = ", ".join(ALL_REDUCE.get(kind, ())) or "nothing"
        raise InputError(f"--all_reduce_alg: expected {known} for {kind}. Received: {all_reduce_alg!r}.")
    if kind != "multi_worker_mirrored" and (worker_hosts or task_index >= 0):
        raise InputError(
            "--worker_hosts, --task_index: expected --distribution_strategy=multi_worker_mirrored. "
            f"Received: {kind!r}."
        )
    if not 0 <= startup_timeout <= _LONGEST_WAIT:  # catches NaN too
        raise InputError(
            f"--startup_timeout: expected seconds from 0 to {_LONGEST_WAIT:.0f}. Received: {startup_timeout}."
        )


def _gpus_to_use(num_gpus: int, several: bool) -> int:
    """Number of GPUs of this machine to use, -1 for all; `several`: whether there may be several workers.

    Raises:
        InputError: the machine has fewer.
    """
    # Listing logical devices starts TensorFlow, which must know its cluster first.
    devices_of = tf.config.list_physical_devices if several else tf.config.list_logical_devices
    found = len(devices_of("GPU"))
    if not -1 <= num_gpus <= found:
        raise InputError(
            f"--num_gpus: expected -1 (all) to {found}, the GPUs that are here. Received: {num_gpus}."
        )
    return found if num_gpus == -1 else num_gpus


def _strategy_of_one_machine(
    kind: str, num_gpus: int, num_virtual_cpus: int, all_reduce_alg: str
) -> tf.distribute.Strategy:
    """The kinds 'off', 'one_device' and 'mirrored': on GPUs, unless there are none or the CPU is split."""
    if kind == "off":
        return tf.distribute.get_strategy()
    on_cpus = num_virtual_cpus > 0 or num_gpus == 0
    devices = (
        [f"CPU:{i}" for i in range(num_virtual_cpus or 1)]
        if on_cpus
        else [f"GPU:{i}" for i in range(num_gpus)]
    )
    if kind == "one_device":
        return tf.distribute.OneDeviceStrategy(devices[0])
    # Between logical CPUs a plain sum is faster than TensorFlow's collectives, whose keys also
    # clash when a process makes a second strategy over the same devices.
    reduction = tf.distribute.ReductionToOneDevice() if on_cpus else None
    if all_reduce_alg == "nccl":
        reduction = tf.distribute.NcclAllReduce()
    elif all_reduce_alg:
        reduction = tf.distribute.HierarchicalCopyAllReduce()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)


def _multi_worker_strategy(
    found: cluster.Cluster, all_reduce_alg: str, startup_timeout: float, job: Mapping[str, Any]
) -> tf.distribute.Strategy:
    """Waits for the workers, then has TensorFlow connect them; each uses its GPUs, or else its CPU."""
    deadline = time.monotonic() + startup_timeout
    meeting.meet(found, startup_timeout, job)
    seconds = max(deadline - time.monotonic(), _CONNECTING)
    _limit_connecting(len(found.addresses), seconds)
    communication = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=communication[all_reduce_alg.upper() or "AUTO"]
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": found.addresses}),
        task_type="worker",
        task_id=found.index,
        rpc_layer="grpc",
    )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    except tf.errors.DeadlineExceededError:
        lost = ", ".join(cluster.absent(found)) or "a worker, though all ports answer"
        raise InputError(
            f"--startup_timeout: {lost} came to the meeting, but TensorFlow did not connect it within "
            f"{seconds:.0f} s. Start the same command on every worker again."
        ) from None
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        lost = ", ".join(cluster.absent(found))
        gone = f" ({lost} came to the meeting and is gone)" if lost else ""
        raise InputError(
            f"--distribution_strategy=multi_worker_mirrored: TensorFlow cannot connect worker {found.index}"
            f"{gone}: {brief(error)}"
        ) from None
    # All workers get the same number of batches of one static shape, so they need not agree on the end
    # of the data. Shapes stay static.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy


def _limit_connecting(count: int, seconds: float) -> None:
    """Limits to `seconds` the time in which `count` workers must connect to TensorFlow.

    By default it waits an hour for a worker that was lost after the meeting, and no signal is handled
    meanwhile, because the call holds the interpreter. There is no public option for this limit, and
    TensorFlow 2.18 has none at all for the chief.
    """
    jobs = tf.compat.v1.ConfigProto.Experimental().coordination_config.coordinated_job_list
    jobs.add(name="worker", num_tasks=count)
    with contextlib.suppress(ImportError, AttributeError):
        from tensorflow.python.eager import context

        context.context().configure_coordination_service(
            "standalone",
            service_leader="/job:worker/replica:0/task:0",
            cluster_register_timeout_in_ms=int(1000 * seconds),
            coordinated_jobs=list(jobs),
        )
        context.context().coordination_service.cluster_register_with_barrier = True


def _split_cpu(count: int) -> None:
    """Configures `count` logical CPUs, unless TensorFlow already has them."""
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
