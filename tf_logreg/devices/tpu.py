"""The strategy over a TPU, in this machine or reached by its name or address."""

import importlib.util
import queue
import socket
import threading
import urllib.parse
from collections.abc import Callable

import tensorflow as tf

from tf_logreg.errors import InputError, brief


def tpu_strategy(tpu: str, zone: str, project: str, timeout: float) -> tf.distribute.Strategy:
    """The strategy over all cores of a TPU. It takes the steps of TensorFlow's guide; errors name the step.

    Args:
        tpu: name or grpc:// address of a TPU; '' and 'local' for one in this machine.
        zone, project: where a name is looked up; '' for the machine's own.
        timeout: seconds for a remote TPU to answer.

    Raises:
        InputError: no TPU is found, or it does not answer.
    """
    named = tpu not in ("", "local") and "://" not in tpu
    if named and not all(map(importlib.util.find_spec, ("googleapiclient", "oauth2client"))):
        raise InputError(
            "--tpu: google-api-python-client and oauth2client, which look up a TPU's name, are absent. "
            "Run pip install 'tf_logreg[tpu_name]', or give an address, --tpu=grpc://HOST:8470. "
            f"Received: {tpu!r}."
        )
    tried, remote = "TPUClusterResolver", tpu not in ("", "local")

    def connect() -> tf.distribute.Strategy:
        nonlocal tried
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=tpu or "local", zone=zone or None, project=project or None
        )
        if remote:
            tried = "experimental_connect_to_cluster"
            tf.config.experimental_connect_to_cluster(resolver)
        tried = "initialize_tpu_system"
        tf.tpu.experimental.initialize_tpu_system(resolver)
        tried = "TPUStrategy"
        return tf.distribute.TPUStrategy(resolver)

    try:
        if not remote:
            return connect()
        _probe(tpu, timeout)
        return _within(timeout, connect)
    except TimeoutError:
        raise InputError(
            f"--tpu: {tpu!r} did not answer within --startup_timeout={timeout:g} s. Expected a TPU that is "
            "ready, and a port that is open to this machine."
        ) from None
    except (ValueError, RuntimeError, OSError, ImportError, tf.errors.OpError) as error:
        raise InputError(
            f"--distribution_strategy=tpu: {tried}(tpu={tpu or 'local'!r}) found no TPU: "
            f"{type(error).__name__}: {brief(error, 200)} "
            "On a Cloud TPU VM install tf_logreg[tpu] and see that `ls /dev/accel* /dev/vfio` lists the "
            "chips; in Colab choose a TPU runtime; for a remote TPU give --tpu=NAME or --tpu=grpc://HOST:8470."
        ) from None


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
