"""Workers meet on loopback; who is absent, and what answers in a worker's place, is named in time."""

import contextlib
import json
import socket
import threading
import time

import pytest
from meetings import MAGIC, Worker, free_addresses, greeting
from worker_runs import free_ports

from tf_logreg.devices import cluster, meeting
from tf_logreg.errors import InputError


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


def test_an_absent_worker_is_named():
    ports = free_ports(2)
    found = cluster.resolve(f"localhost:{ports[0]},localhost:{ports[1]}", 0, "")
    began = time.monotonic()
    with pytest.raises(
        InputError, match=rf"--startup_timeout: worker 1 \(localhost:{ports[1]}\) did not come"
    ):
        meeting.meet(found, 1.0)
    assert time.monotonic() - began < 10


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
def test_something_else_at_a_workers_address(monkeypatch, name):
    monkeypatch.setattr(meeting, "_PATIENCE", 0.2)
    answer, reason = ANSWERS[name]
    addresses = free_addresses(2)
    with answering(addresses[1], answer):
        worker = Worker(addresses, 0, timeout=0.5)
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
