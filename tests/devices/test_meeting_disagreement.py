"""Workers that were not told the same name what differs, each on its side."""

import time

import pytest
from meetings import JOB, Worker, free_addresses

import tf_logreg
from tf_logreg.devices import meeting


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Workers of one machine need no five seconds to tell each other what differs."""
    monkeypatch.setattr(meeting, "_PATIENCE", 2.0)


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
    pair, third = [Worker(two, 0), Worker(two, 1)], Worker(three, 2, timeout=2.0)
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
