"""The devices of a strategy, of its kind, and of what 'auto' finds on a machine without accelerators."""

import logging
import subprocess
import sys

import pytest

from tf_logreg.devices import strategies as making
from tf_logreg.devices.devices import Devices, devices_of
from tf_logreg.errors import InputError

WITHOUT = """
import sys
from tf_logreg.devices.devices import devices_of
found = devices_of()
print(found.strategy, found.engine, "tensorflow" in sys.modules)
found = devices_of(by_tensorflow=True)
print(type(found.strategy).__name__, found.engine, found.found)
"""


@pytest.mark.parametrize("kind", ["auto", "AUTO", None])
def test_auto_without_accelerators_is_the_host(kind):
    found = devices_of(kind, "float64")
    assert (found.strategy, found.engine, found.replicas) == (None, "host", 1)


def test_tensorflow_is_imported_only_when_it_is_needed():
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT], text=True, capture_output=True, check=True, timeout=200
    )
    assert ended.stdout.splitlines() == ["None host False", "OneDeviceStrategy host True"]


def test_a_kind_and_a_strategy_are_taken_as_they_are(strategies):
    found = devices_of("one_device", engine="devices")
    assert (type(found.strategy).__name__, found.engine, found.found) == (
        "OneDeviceStrategy",
        "devices",
        False,
    )
    assert devices_of(strategies["mirrored"]).strategy is strategies["mirrored"]
    assert devices_of("auto", "bfloat16").engine == "devices"
    assert not devices_of("auto", engine="devices").found
    with pytest.raises(InputError, match=r"^--distribution_strategy: expected one of auto, off, one_device"):
        devices_of("gpu")


def test_a_cluster_is_taken_by_auto(monkeypatch):
    monkeypatch.setenv(
        "TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}'
    )
    with pytest.raises(InputError, match=r"^TF_CONFIG: expected a task of the cluster, worker 0 to 1"):
        devices_of()
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}')
    assert devices_of().strategy is None


def test_auto_says_once_what_it_took(caplog):
    with caplog.at_level(logging.INFO, making.__name__):
        for _ in range(2):
            assert making.make_strategy(num_virtual_cpus=4).num_replicas_in_sync == 4
    assert [record.getMessage() for record in caplog.records] == ["Devices: 'auto' takes 4 virtual CPUs."]


def test_devices_that_were_found_give_way_to_sparse_rows(strategies):
    found = Devices(strategies["mirrored"], found=True)
    assert found.for_rows(sparse=False) is found
    assert found.for_rows(sparse=True) == Devices(None, engine="host", found=True)
    asked = Devices(strategies["mirrored"])
    assert asked.for_rows(sparse=True) is asked
