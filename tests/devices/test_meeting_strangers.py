"""Workers meet whoever else comes to their ports, and take no stranger for a worker.

Each stranger opens connections to a worker's address, and gives them back to be closed in the end.
"""

import contextlib
import json
import socket
import struct
import threading
import time

import pytest
from meetings import MAGIC, Worker, connected, free_addresses, greeting


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
