"""Which machines work together: their addresses from flags or TF_CONFIG, and a meeting before the start.

TensorFlow waits for absent workers for ever and says nothing. So the workers meet first, over plain
TCP on the addresses that TensorFlow will use: who does not come is named.
"""

import contextlib
import dataclasses
import errno
import json
import socket
import threading
import time

from tf_logreg.errors import InputError

_HELLO = b"tf_logreg worker "
_PATIENCE = 2  # seconds for an answer


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers' addresses, host:port, the chief first; `index` is this process's own."""

    addresses: tuple[str, ...]
    index: int


def resolve(worker_hosts: str, task_index: int, tf_config: str) -> Cluster:
    """The cluster that TF_CONFIG describes, or else the flags.

    Args:
        worker_hosts: addresses with commas between them; the first is the chief.
        task_index: this process's place among them; -1 when not given.
        tf_config: the environment variable's value, '' when there is none. It wins.

    Raises:
        InputError: neither describes a cluster with this process in it.
    """
    if tf_config:
        return _from_tf_config(tf_config)
    addresses = tuple(filter(None, (host.strip() for host in worker_hosts.split(","))))
    if not addresses:
        raise InputError(
            "--worker_hosts: expected HOST:PORT,HOST:PORT,... or TF_CONFIG in the environment. Received: ''."
        )
    if not 0 <= task_index < len(addresses):
        raise InputError(
            f"--task_index: expected this worker's place in --worker_hosts, 0 to {len(addresses) - 1}. "
            f"Received: {task_index if task_index >= 0 else 'nothing'}."
        )
    return _checked(addresses, task_index, "--worker_hosts")


def _from_tf_config(text: str) -> Cluster:
    try:
        found = json.loads(text)
        jobs = {job: [str(host) for host in hosts] for job, hosts in found["cluster"].items()}
        kind, index = found["task"]["type"], int(found["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "TF_CONFIG: expected JSON like "
            '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}. '
            f"Received: {text!r} ({type(error).__name__}: {error})."
        ) from None
    addresses = tuple(jobs.get("chief", []) + jobs.get("worker", []))
    if kind not in ("chief", "worker") or not 0 <= index < len(jobs.get(kind, [])):
        have = ", ".join(f"{job} 0 to {len(hosts) - 1}" for job, hosts in jobs.items() if hosts)
        raise InputError(f"TF_CONFIG: expected a task of the cluster, {have}. Received: {kind} {index}.")
    return _checked(addresses, index + (len(jobs.get("chief", [])) if kind == "worker" else 0), "TF_CONFIG")


def _checked(addresses: tuple[str, ...], index: int, source: str) -> Cluster:
    for address in addresses:
        if not _port(address):
            raise InputError(f"{source}: expected HOST:PORT. Received: {address!r}.")
        if addresses.count(address) > 1:
            raise InputError(f"{source}: expected different addresses. Received: {address!r} twice.")
    return Cluster(addresses, index)


def meet(cluster: Cluster, timeout: float) -> None:
    """Returns when every worker has reached every other.

    Args:
        cluster: who is awaited.
        timeout: seconds until those who have not come are named.

    Raises:
        InputError: this worker's port is taken, or some did not come.
    """
    others = set(range(len(cluster.addresses))) - {cluster.index}
    reached, came, deadline = set(), set(), time.monotonic() + timeout
    hello = _HELLO + f"{cluster.index}\n".encode()
    with _listener(cluster) as listener:
        # A worker stays until all have been here too: then none still looks for the meeting when the
        # port is TensorFlow's.
        threading.Thread(target=_receive, args=(listener, hello, came), daemon=True).start()
        while (missing := others - (reached & came)) and time.monotonic() < deadline:
            reached |= {k for k in others - reached if _greets(cluster.addresses[k], hello, k, k in came)}
            time.sleep(0.05)
    if missing:
        names = ", ".join(f"worker {k} ({cluster.addresses[k]})" for k in sorted(missing))
        raise InputError(
            f"--startup_timeout: {names} did not come within {timeout:g} s. "
            "Start the same command there with its own --task_index, and see that its port is open to others."
        )


def absent(cluster: Cluster) -> list[str]:
    """Names of the workers whose port no longer answers."""
    names = []
    for k, address in enumerate(cluster.addresses):
        if k != cluster.index:
            try:
                socket.create_connection(_endpoint(address), timeout=_PATIENCE).close()
            except OSError:
                names.append(f"worker {k} ({address})")
    return names


@contextlib.contextmanager
def _listener(cluster: Cluster):
    address = cluster.addresses[cluster.index]
    listener = socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("", _port(address)))
        listener.listen(len(cluster.addresses))
    except OSError as error:
        listener.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error}"
        raise InputError(f"--worker_hosts: the port of worker {cluster.index}, {address}, {why}.") from None
    try:
        yield listener
    finally:
        # `close` alone would leave the port taken while a thread waits in `accept`.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _receive(listener: socket.socket, hello: bytes, came: set[int]) -> None:
    """Answers greetings until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(_PATIENCE)
            greeting = connection.makefile("rb").readline(64)
            if greeting.startswith(_HELLO):
                came.add(int(greeting[len(_HELLO) :]))
            connection.sendall(hello)


def _greets(address: str, hello: bytes, index: int, came: bool) -> bool:
    """Whether worker `index` answers at an address.

    One that `came` here is awaited no longer than until its port is open: it may have left the meeting, and
    the port is then TensorFlow's.
    """
    try:
        with socket.create_connection(_endpoint(address), timeout=_PATIENCE) as connection:
            connection.sendall(hello)
            return came or connection.makefile("rb").readline(64) == _HELLO + f"{index}\n".encode()
    except OSError:
        return False


def _endpoint(address: str) -> tuple[str, int]:
    return address.rsplit(":", 1)[0].strip("[]"), _port(address)


def _port(address: str) -> int:
    """The number behind the last colon; 0 where there is none."""
    host, _, port = address.rpartition(":")
    return int(port) if host and port.isdecimal() and 0 < int(port) < 2**16 else 0
