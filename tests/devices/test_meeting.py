"""Workers meet on loopback, whoever else comes in; who is absent or runs another job is named in time."""

import contextlib
import json
import socket
import struct
import threading
import time

import pytest

import tf_logreg
from tf_logreg.devices import cluster, meeting
from tf_logreg.errors import InputError

JOB = {"--config.l2": 0.5, "--dtype": "float32"}
MAGIC = b"tf_logreg "


def free_addresses(count, host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets = [socket.socket(family) for _ in range(count)]
    for one in sockets:
        one.bind((host, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for port in ports)


class Worker:
    """One worker's meeting, in a thread: `end` gives its error, None when all have met."""

    def __init__(self, addresses, index, job=JOB, timeout=20.0):
        def run():
            try:
                meeting.meet(cluster.Cluster(addresses, index), timeout, job)
            except InputError as error:
                self.error = str(error)

        self.error, self.began = None, time.monotonic()
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def end(self):
        self.thread.join(30)
        assert not self.thread.is_alive(), "the meeting hangs"
        self.seconds = time.monotonic() - self.began
        return self.error


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_all_meet(count):
    addresses = free_addresses(count)
    assert [worker.end() for worker in [Worker(addresses, k) for k in range(count)]] == [None] * count


def test_workers_that_start_late_are_awaited():
    addresses, workers = free_addresses(3), []
    for k in range(3):
        workers.append(Worker(addresses, k))
        time.sleep(0.4)
    assert [worker.end() for worker in workers] == [None] * 3


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6():
    addresses = free_addresses(2, "::1")
    assert [worker.end() for worker in [Worker(addresses, k) for k in range(2)]] == [None] * 2


# Strangers at a worker's port: each opens connections, and gives them back to be closed in the end.


def connected(address, say=b""):
    connection = socket.create_connection(cluster.endpoint(address), timeout=5)
    if say:
        connection.sendall(say)
    return connection


def greeting(index=1, job=None, **more):
    return MAGIC + json.dumps({"index": index, "number": "0" * 32, "job": job or {}, **more}).encode() + b"\n"


def dripping(address, text):
    """Sends a byte every 50 ms, for ten seconds at most."""
    connection = connected(address)

    def drip():
        with contextlib.suppress(OSError):
            for k in range(200):
                connection.sendall(text[k % len(text) :][:1])
                time.sleep(0.05)

    threading.Thread(target=drip, daemon=True).start()
    return [connection]


def reset(address):
    connection = connected(address, greeting())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close sends RST
    connection.close()
    return []


def half_open(address):
    connection = connected(address)
    connection.shutdown(socket.SHUT_WR)
    return [connection]


def many(address):
    """More at once than a worker serves at once."""
    connections = []
    with contextlib.suppress(OSError):  # the meeting may end meanwhile
        connections.extend(connected(address) for _ in range(300))
    return connections


def parrot(address):
    """Knows what the workers run, from listening in, and says all that it hears again."""
    connection = connected(address, greeting())
    with connection.makefile("rb") as lines:
        job = json.loads(lines.readline()[len(MAGIC) :])["job"]
    connection.close()
    connection = connected(address, greeting(job=job))
    with connection.makefile("rb") as lines:
        connection.sendall(lines.readline())
    return [connection]


STRANGERS = {
    "silent": lambda address: [connected(address)],
    "http": lambda address: [connected(address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
    "tls": lambda address: [connected(address, bytes.fromhex("160301020001fc0303") + b"\0" * 500)],
    "garbage": lambda address: [connected(address, bytes(range(256)) * 40)],
    "huge_line": lambda address: [connected(address, MAGIC + b'{"index": "' + b"x" * 100_000)],
    "endless_digits": lambda address: [connected(address, MAGIC + b'{"index": ' + b"1" * 60_000 + b"}\n")],
    "deep": lambda address: [connected(address, MAGIC + b"[" * 60_000 + b"\n")],
    "two_drip": lambda address: dripping(address, greeting()) + dripping(address, MAGIC + b" " * 1000),
    "half_open": half_open,
    "reset": reset,
    "many": many,
    "earlier_version": lambda address: [connected(address, b"tf_logreg worker 1\n")],
    "worker_1": lambda address: [connected(address, greeting())],
    "worker_true": lambda address: [connected(address, greeting(index=True))],
    "worker_0": lambda address: [connected(address, greeting(index=0))],
    "worker_nine": lambda address: [connected(address, greeting(index=10**9))],
    "no_job": lambda address: [connected(address, greeting(job=["x"]))],
    "parrot": parrot,
}


@pytest.mark.parametrize("name", STRANGERS)
def test_workers_meet_beside_a_stranger(name):
    addresses = free_addresses(2)
    with contextlib.ExitStack() as stack:
        workers = [Worker(addresses, 0)]
        time.sleep(0.1)  # its port is open
        for connection in STRANGERS[name](addresses[0]):
            stack.enter_context(connection)
        workers.append(Worker(addresses, 1))
        assert [worker.end() for worker in workers] == [None, None]
        assert max(worker.seconds for worker in workers) < 10


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_not_taken_for_a_worker(name):
    addresses = free_addresses(2)
    with contextlib.ExitStack() as stack:
        worker = Worker(addresses, 0, timeout=0.3)
        time.sleep(0.1)
        for connection in STRANGERS[name](addresses[0]):
            stack.enter_context(connection)
        said = worker.end()
    assert said.startswith(
        f"--startup_timeout: worker 1 ({addresses[1]}) did not come within 0.3 s (worker 1:"
    )
    assert worker.seconds < 5


# What answers at a worker's address.


@contextlib.contextmanager
def answering(address, answer):
    """A server at an address that says `answer(line)` to each line and goes on listening."""
    with socket.create_server(cluster.endpoint(address)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    if said := answer(connection):
                        connection.sendall(said)

        kept = []
        threading.Thread(target=serve, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


ANSWERS = {
    "nothing": (lambda connection: b"", "timed out"),
    "http": (lambda connection: b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers there is no worker"),
    "earlier_version": (lambda connection: b"tf_logreg worker 1\n", "another version of tf_logreg"),
    "echo": (lambda connection: connection.recv(1 << 16), "is no worker of this version"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_something_else_at_a_workers_address(name):
    answer, reason = ANSWERS[name]
    addresses = free_addresses(2)
    with answering(addresses[1], answer):
        worker = Worker(addresses, 0, timeout=0.5 if name != "nothing" else 6.0)
        said = worker.end()
    assert said.startswith(f"--startup_timeout: worker 1 ({addresses[1]}) did not come")
    assert reason in said
    assert worker.seconds < 10


def test_another_worker_at_a_workers_address():
    addresses = free_addresses(3)
    one_elsewhere = (addresses[0], addresses[1], addresses[1])

    def answer(connection):
        heard = json.loads(connection.recv(1 << 16)[len(MAGIC) :])
        return greeting(index=0, job=heard["job"], answer=heard["number"])

    assert len(set(one_elsewhere)) == 2
    with answering(addresses[1], answer):
        said = Worker(addresses[:2], 0, timeout=0.5).end()
    assert "worker 0 answers there: see its --task_index" in said


def test_a_worker_reached_that_cannot_reach_us():
    addresses = free_addresses(2)
    with answering(addresses[1], one_way(addresses[1])):
        said = Worker(addresses, 0, timeout=0.5).end()
    assert f"it was reached, but did not reach {addresses[0]}" in said


def one_way(address):
    """Hosts a visit to its end, and never visits."""

    def answer(connection):
        with connection.makefile("rb") as lines:
            heard = json.loads(lines.readline()[len(MAGIC) :])
            connection.sendall(greeting(job=heard["job"], answer=heard["number"]))
            lines.readline()
        return MAGIC + b'{"met": true}\n'

    return answer


# Two workers that are not told the same.


def both_say(first, second):
    """What two real workers say that were started with other arguments, each (addresses, index, job)."""
    workers = [Worker(*first), Worker(*second)]
    said = [worker.end() for worker in workers]
    assert all(worker.seconds < 10 for worker in workers)
    return said


def test_another_number_of_hosts_is_named():
    two, three = free_addresses(2), free_addresses(3)
    three = (*two, three[2])
    here, there = both_say((two, 0), (three, 1))
    assert here == (
        f"number of hosts: expected the same on every worker. Received: 2 here, 3 on worker 1 ({two[1]})."
    )
    assert there == (
        f"number of hosts: expected the same on every worker. Received: 3 here, 2 on worker 0 ({two[0]})."
    )


def test_another_number_of_hosts_on_one_that_nobody_looks_for():
    two, three = free_addresses(2), free_addresses(3)
    three = (*two, three[2])
    pair, third = [Worker(two, 0), Worker(two, 1)], Worker(three, 2)
    assert [worker.end() for worker in pair] == [None, None]
    assert "number of hosts" in third.end() or "did not come" in third.error


def test_hosts_in_another_order_are_named():
    first = free_addresses(3)
    said = both_say((first, 0, JOB, 3.0), ((first[0], first[2], first[1]), 2, JOB, 3.0))
    assert all("--worker_hosts: expected the same on every worker." in one for one in said)


def test_another_field_of_the_config_is_named():
    addresses = free_addresses(2)
    here, there = both_say((addresses, 0), (addresses, 1, {**JOB, "--config.l2": 1.0}))
    assert here == (
        "--config.l2: expected the same on every worker. Received: 0.5 here, another on worker 1 "
        f"({addresses[1]})."
    )
    assert "Received: 1.0 here, another on worker 0" in there


def test_several_fields_and_fields_of_one_alone_are_named():
    addresses = free_addresses(2)
    here, there = both_say(
        (addresses, 0), (addresses, 1, {"--dtype": "{who}\n\x1b", "--config.data.args.x": 1})
    )
    assert "--config.l2: " in here
    assert "--dtype, --config.data.args.x too" in here
    assert '--dtype: expected the same on every worker. Received: "{who}' in there
    assert "--config.l2 too" in there


def test_another_version_is_named(monkeypatch):
    addresses = free_addresses(2)
    first = Worker(addresses, 0)
    time.sleep(0.1)
    monkeypatch.setattr(tf_logreg, "__version__", "9.9")
    second = Worker(addresses, 1)
    assert "tf_logreg: expected the same on every worker." in first.end()
    assert '"9.9" here' in second.end()
    assert "9.9 on worker 1" in first.error


# Names and listening.


def test_a_worker_listens_at_its_own_address_alone():
    (address,) = free_addresses(1)
    port = cluster.endpoint(address)[1]
    with cluster.listeners(cluster.Cluster((address,), 0)):
        connected(address).close()
        with pytest.raises(OSError, match="refused"):
            connected(f"127.0.0.2:{port}")


@pytest.fixture
def names(monkeypatch):
    """A resolver that knows {name: addresses}; others as ever. It sleeps for an empty tuple."""
    real, known = socket.getaddrinfo, {}

    def getaddrinfo(host, port, *args, **kwargs):
        if host not in known:
            return real(host, port, *args, **kwargs)
        if not known[host]:
            time.sleep(20)
        return [found for address in known[host] for found in real(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


def test_a_name_with_several_addresses(names):
    addresses = free_addresses(2)
    names["both"] = ("127.0.0.9", "127.0.0.1")  # nobody listens at the first
    hosts = (f"both:{cluster.endpoint(addresses[0])[1]}", addresses[1])
    with socket.create_server(("127.0.0.9", cluster.endpoint(addresses[1])[1])):
        pass
    assert [worker.end() for worker in [Worker(hosts, k) for k in range(2)]] == [None, None]


def test_a_name_that_takes_long_to_look_up(names):
    addresses = free_addresses(2)
    names["slow"] = ()
    worker = Worker((addresses[0], f"slow:{cluster.endpoint(addresses[1])[1]}"), 0, timeout=0.5)
    assert "worker 1 (slow:" in worker.end()
    assert worker.seconds < 5


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.1.1"])
def test_a_name_that_is_not_of_this_machine_is_listened_for_everywhere(names, monkeypatch, caplog, address):
    # As behind NAT, or where /etc/hosts gives the machine's own name a loopback address.
    names["myself"] = (address,)
    asked, bind = [], socket.socket.bind

    def on_loopback(one, place):
        asked.append(place[0])
        bind(
            one,
            ("::1" if one.family == socket.AF_INET6 else "127.0.0.1", *place[1:]) if not place[0] else place,
        )

    monkeypatch.setattr(socket.socket, "bind", on_loopback)
    (free,) = free_addresses(1)
    caplog.set_level("INFO", "tf_logreg")
    with cluster.listeners(cluster.Cluster((f"myself:{cluster.endpoint(free)[1]}",), 0)):
        assert asked[-1] == ""
    assert "myself" in caplog.text
    assert "all interfaces" in caplog.text
