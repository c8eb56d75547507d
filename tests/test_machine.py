"""What the machine gives this process, on systems and Pythons other than this one."""

import os
from pathlib import Path

import pytest

from tf_logreg import machine


@pytest.fixture
def system(monkeypatch):
    """Gives `os` these functions for counting cores, and no others."""

    def become(**functions):
        for name in ("process_cpu_count", "sched_getaffinity", "cpu_count"):
            monkeypatch.delattr(os, name, raising=False)
        for name, function in functions.items():
            monkeypatch.setattr(os, name, function, raising=False)

    return become


def test_cores_of_this_process():
    assert 1 <= machine.cores() <= os.cpu_count()


def test_cores_are_those_that_the_process_may_use(system):
    system(sched_getaffinity=lambda process: {3, 5}, cpu_count=lambda: 8)
    assert machine.cores() == 2
    system(process_cpu_count=lambda: 3, sched_getaffinity=lambda process: {3, 5}, cpu_count=lambda: 8)
    assert machine.cores() == 3


def test_cores_where_the_system_knows_only_the_machines(system):
    system(cpu_count=lambda: 8)
    assert machine.cores() == 8


def test_cores_where_the_system_does_not_know(system):
    system(cpu_count=lambda: None)
    assert machine.cores() == 1
    system(process_cpu_count=lambda: None)
    assert machine.cores() == 1


def test_nobody_else_counts_cores():
    for path in Path(machine.__file__).parent.rglob("*.py"):
        if path.name != "machine.py":
            assert "sched_getaffinity" not in path.read_text(), path
            assert "cpu_count" not in path.read_text(), path
