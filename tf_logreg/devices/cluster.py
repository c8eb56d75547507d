"""The workers' addresses, from flags or TF_CONFIG, and sockets that listen at them."""

import contextlib
import dataclasses
import errno
import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator

from tf_logreg.errors import InputError

log = logging.getLogger(__name__)

_PATIENCE = 2  # seconds for a port to answer
_TIMES_ASKED, _BETWEEN = 10, 0.1  # of ports that all answer though a worker is lost; seconds


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers' addresses, HOST:PORT, the chief's first; `index` is this process's position in them."""

    addresses: tuple[str, ...]
    index: int


def resolve(worker_hosts: str, task_index: int, tf_config: str) -> Cluster:
    """The cluster that TF_CONFIG describes, or else the flags.

    Args:
        worker_hosts: addresses separated by commas; the first is the chief.
        task_index: this process's index among them; -1 when not given.
        tf_config: value of the environment variable, which takes precedence; '' when not set.

    Raises:
        InputError: neither describes a cluster that contains this process.
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


def has_several(worker_hosts: str, task_index: int, tf_config: str) -> bool:
    """Whether flags or TF_CONFIG, as for `resolve`, make this process one of several workers.

    A TF_CONFIG of one worker alone, as Vertex AI sets it, does not.

    Raises:
        InputError: TF_CONFIG describes no cluster that contains this process.
    """
    if worker_hosts or task_index >= 0:
        return True
    return bool(tf_config) and len(_from_tf_config(tf_config).addresses) > 1


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


def absent(cluster: Cluster) -> list[str]:
    """Names of the workers whose port no longer answers.

    A process that was killed closes its connections one after another: its port may answer a moment longer
    than the one that told of its end.
    """
    for _ in range(_TIMES_ASKED):
        if names := _silent(cluster):
            return names
        time.sleep(_BETWEEN)
    return []


def _silent(cluster: Cluster) -> list[str]:
    """Names of the workers whose port does not answer now."""
    names = []
    for k, address in enumerate(cluster.addresses):
        if k != cluster.index:
            try:
                socket.create_connection(endpoint(address), timeout=_PATIENCE).close()
            except OSError:
                names.append(name(cluster, k))
    return names


def name(cluster: Cluster, k: int) -> str:
    """Name of worker k in messages."""
    return f"worker {k} ({cluster.addresses[k]})"


@contextlib.contextmanager
def listeners(cluster: Cluster) -> Iterator[list[socket.socket]]:
    """Sockets that listen at this worker's own address, while the block lasts.

    Raises:
        InputError: the port is in use or cannot be opened.
    """
    address = cluster.addresses[cluster.index]
    host, port = endpoint(address)
    with contextlib.ExitStack() as stack:
        try:
            found = [stack.enter_context(one) for one in _bound(host, port)]
            for one in found:
                # `close` alone would leave the port taken while a thread waits in `accept`.
                stack.callback(_shut, one)
                one.listen(128)
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error.strerror}"
            raise InputError(
                f"--worker_hosts: the port of worker {cluster.index}, {address}, {why}."
            ) from None
        yield found


def _bound(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to each local address of the host name, or to all interfaces if it has none."""
    places = _look_up(host, port)
    # /etc/hosts often gives a machine's own name a loopback address, which no other machine can reach.
    if host != "localhost" and not _is_ip(host) and any(_is_loopback(place[0]) for _, place in places):
        places = set()
    sockets = []
    for family, place in sorted(places):
        try:
            sockets.append(_socket(family, place))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                for one in sockets:
                    one.close()
                raise
    if not sockets:
        log.info("%s is no address that this machine can listen at: listening on all interfaces.", host)
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        sockets.append(_socket(family, ("", port)))
    return sockets


def _look_up(host: str, port: int) -> set[tuple[int, tuple]]:
    """(family, socket address) of each address of a host name; none if the look-up takes too long."""
    found = []

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    # The resolver takes no time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    return {(family, place) for family, _, _, _, place in found}


def _socket(family: int, place: tuple) -> socket.socket:
    """A socket bound to one address."""
    one = socket.socket(family)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # A socket for all interfaces accepts IPv4 too. Others must not: the same name may also have
            # an IPv4 socket.
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(place[0] != ""))
        one.bind(place)
    except OSError:
        one.close()
        raise
    return one


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def endpoint(address: str) -> tuple[str, int]:
    """'HOST:PORT' or '[IPv6]:PORT' -> host, port."""
    return address.rsplit(":", 1)[0].strip("[]"), _port(address)


def _port(address: str) -> int:
    """The port after the last colon; 0 if there is no valid one."""
    host, _, port = address.rpartition(":")
    return int(port) if host and port.isdecimal() and 0 < int(port) < 2**16 else 0
