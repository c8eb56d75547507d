"""The workers' addresses: from where they come, how their names are looked up, and where a worker listens."""

import json
import re
import socket
import threading
import time

import pytest
from meetings import Worker, connected, free_addresses

from tf_logreg.devices import cluster, meeting
from tf_logreg.errors import InputError


def tf_config(**changes):
    return json.dumps(
        {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}, **changes}
    )


@pytest.mark.parametrize(
    ("hosts", "index", "environ", "message"),
    [
        ("", -1, "not JSON", "TF_CONFIG: expected JSON like"),
        ("", -1, '{"cluster": {"worker": ["a:1"]}}', "KeyError: 'task'"),
        ("", -1, tf_config(task={"type": "worker", "index": 2}), "worker 0 to 1. Received: worker 2"),
        ("", -1, tf_config(task={"type": "ps", "index": 0}), "Received: ps 0"),
        ("", -1, tf_config(cluster={"worker": ["a", "b:2"]}), "expected HOST:PORT. Received: 'a'"),
        (
            "a:1,b:2",
            -1,
            "",
            "--task_index: expected this worker's place in --worker_hosts, 0 to 1. Received: nothing",
        ),
        ("a:1,b:2", 2, "", "Received: 2"),
        ("a:1,b", 0, "", "--worker_hosts: expected HOST:PORT. Received: 'b'"),
        ("a:1,a:1", 0, "", "'a:1' twice"),
        ("", 0, "", "--worker_hosts: expected HOST:PORT"),
    ],
)
def test_clusters_that_cannot_be(hosts, index, environ, message):
    with pytest.raises(InputError, match=re.escape(message)):
        cluster.resolve(hosts, index, environ)


def test_tf_config_wins_and_may_have_a_chief():
    both = tf_config(cluster={"chief": ["c:9"], "worker": ["a:1", "b:2"]})
    assert cluster.resolve("x:1,y:2", 0, both) == cluster.Cluster(("c:9", "a:1", "b:2"), 2)
    assert cluster.resolve("x:1,y:2", 0, "") == cluster.Cluster(("x:1", "y:2"), 0)


def test_several_workers_are_those_of_a_flag_or_of_more_than_one_address():
    task = {"type": "worker", "index": 0}
    alone, two = (
        json.dumps({"cluster": {"worker": hosts}, "task": task}) for hosts in (["a:1"], ["a:1", "b:2"])
    )
    assert cluster.has_several("x:1,y:2", 0, "")
    assert cluster.has_several("", 0, "")
    assert cluster.has_several("", -1, two)
    assert not cluster.has_several("", -1, alone)
    assert not cluster.has_several("", -1, "")
    with pytest.raises(InputError, match="TF_CONFIG: expected JSON"):
        cluster.has_several("", -1, "{")


def test_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        found = cluster.resolve(f"localhost:{taken.getsockname()[1]},localhost:1", 0, "")
        with pytest.raises(InputError, match="is in use"):
            meeting.meet(found, 1.0)


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


def test_a_worker_whose_port_answers_a_moment_longer_is_absent():
    with socket.create_server(("localhost", 0)) as dying, socket.create_server(("localhost", 0)) as alive:
        addresses = tuple(f"localhost:{one.getsockname()[1]}" for one in (alive, dying, alive))
        threading.Timer(0.3, dying.close).start()
        assert cluster.absent(cluster.Cluster(addresses, 0)) == [f"worker 1 ({addresses[1]})"]
