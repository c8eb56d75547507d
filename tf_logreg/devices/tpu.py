"""The strategy over a TPU, in this machine or reached by its name or address."""

import importlib.util
import queue
import socket
import threading
import urllib.parse
from collections.abc import Callable

import tensorflow as tf

from tf_logreg.devices import hardware
from tf_logreg.errors import InputError, brief

_FOR_NAMES = ("googleapiclient", "oauth2client")
_WITHOUT_TPUS = "No OpKernel was registered"  # what another build of TensorFlow says
# What is said where libtpu or TensorFlow could not get the TPU.
_IN_USE = ("already in use", "Device or resource busy", "'/device:TPU_SYSTEM:0'")

# The strategies that were made, by address. Initialising a TPU again would drop all that is on it.
_made: dict[tuple[str, str, str], tf.distribute.Strategy] = {}
_making = threading.Lock()

Connect = Callable[[str, str, str, list[str]], tf.distribute.Strategy]


def tpu_strategy(
    tpu: str, zone: str, project: str, timeout: float, connect: Connect | None = None
) -> tf.distribute.Strategy:
    """The strategy over all cores of a TPU, which a process initialises once.

    Args:
        tpu: name or grpc:// address of a TPU; '' and 'local' for one in this machine.
        zone, project: where a name is looked up; '' for the machine's own.
        timeout: seconds for a remote TPU to answer.
        connect: makes the strategy; None for TensorFlow's way.

    Raises:
        InputError: no TPU is found, another process has it, or it does not answer.
    """
    address = (tpu or "local", zone, project)
    with _making:
        if address not in _made:
            _made[address] = _connected(*address, timeout, connect or _connect)
        return _made[address]


def _connect(tpu: str, zone: str, project: str, steps: list[str]) -> tf.distribute.Strategy:
    """Takes the steps of TensorFlow's guide; `steps` gets the name of each before it is taken."""
    steps.append("TPUClusterResolver")
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
        tpu=tpu, zone=zone or None, project=project or None
    )
    if tpu != "local":
        steps.append("experimental_connect_to_cluster")
        tf.config.experimental_connect_to_cluster(resolver)
    steps.append("initialize_tpu_system")
    tf.tpu.experimental.initialize_tpu_system(resolver)
    steps.append("TPUStrategy")
    return tf.distribute.TPUStrategy(resolver)


def _connected(tpu: str, zone: str, project: str, timeout: float, connect: Connect) -> tf.distribute.Strategy:
    """The strategy of a TPU; errors name the step that failed."""
    is_local = tpu == "local"
    if not is_local and "://" not in tpu and not all(map(importlib.util.find_spec, _FOR_NAMES)):
        raise InputError(
            "--tpu: google-api-python-client and oauth2client, which look up a TPU's name, are absent. "
            "Run pip install 'tf_logreg[tpu_name]', or give an address, --tpu=grpc://HOST:8470. "
            f"Received: {tpu!r}."
        )
    steps: list[str] = []
    try:
        if is_local:
            return connect(tpu, zone, project, steps)
        _probe(tpu, timeout)
        return _within(timeout, lambda: connect(tpu, zone, project, steps))
    except TimeoutError:
        raise InputError(
            f"--tpu: {tpu!r} did not answer within --startup_timeout={timeout:g} s. Expected a TPU that is "
            "ready, and a port that is open to this machine."
        ) from None
    except (ValueError, RuntimeError, OSError, ImportError, tf.errors.OpError) as error:
        found = hardware.look()
        reason = reason_for_no_tpu(error, found, hardware.holder(found.chips)) if is_local else ""
        raise InputError(f"--distribution_strategy=tpu: {reason or _no_tpu(tpu, steps, error)}") from None


def reason_for_no_tpu(error: Exception, found: hardware.Hardware, holder: str) -> str:
    """Why the TPU of this machine cannot be had, with the remedy; '' where the machine has none.

    With libtpu, TensorFlow takes the TPU while it is imported. If another process has it already, TensorFlow
    goes on without, and says later that there is no TPU.

    Args:
        error: what TensorFlow raised.
        found: what the machine has.
        holder: the other process that holds the TPU, '' where none is found.
    """
    if not found.chips:
        return ""
    text = str(error)
    less = "--distribution_strategy=one_device takes the CPU."
    if not found.has_libtpu or _WITHOUT_TPUS in text:
        return (
            f"{found.chips[0]} is a TPU's, but TensorFlow {tf.__version__} was made for others, or libtpu is "
            f"absent: pip install 'tf_logreg[tpu]', in a fresh environment. {less}"
        )
    if holder:
        return f"the TPU is in use by {holder}; one process at a time has it. Wait for it, or stop it. {less}"
    if any(words in text for words in _IN_USE):
        return (
            "the TPU is in use by another process, which cannot be seen from here: "
            f"`sudo lsof {' '.join(found.chips)}` names it. Else delete {hardware.LOCK_FILE}. {less}"
        )
    if found.num_hosts > 1:
        return (
            f"this machine is one of {found.num_hosts} hosts of a slice (TPU_WORKER_HOSTNAMES). TensorFlow "
            f"drives them from the first: --tpu=NAME there (docs/scale.md). {less} ({brief(error, 200)})"
        )
    return ""


def _no_tpu(tpu: str, steps: list[str], error: Exception) -> str:
    """The message for a TPU that is not found."""
    tried = f"{steps[-1]}(tpu={tpu!r})" if steps else repr(tpu)
    return (
        f"{tried} found no TPU: {type(error).__name__}: {brief(error, 200)} "
        "On a Cloud TPU VM install tf_logreg[tpu] and see that `ls /dev/accel* /dev/vfio` lists the "
        "chips; in Colab choose a TPU runtime; for a remote TPU give --tpu=NAME or --tpu=grpc://HOST:8470."
    )


def _probe(tpu: str, timeout: float) -> None:
    """Opens and closes a connection to a grpc:// address; TensorFlow would retry a dead one for minutes.

    Raises:
        OSError: nothing listens there. TimeoutError: no answer in time.
    """
    address = urllib.parse.urlsplit(tpu.split(",")[0])
    if address.scheme == "grpc":
        socket.create_connection((address.hostname, address.port or 8470), timeout=max(timeout, 1e-3)).close()


def _within(timeout: float, function: Callable[[], tf.distribute.Strategy]) -> tf.distribute.Strategy:
    """The function's value, computed in a thread that is abandoned after `timeout` seconds.

    Raises:
        TimeoutError: it took longer.
    """
    done = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((function(), None))
        except Exception as error:
            done.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = done.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value
