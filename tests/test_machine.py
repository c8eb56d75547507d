"""What the machine gives this process, on systems and Pythons other than this one."""

import os
import threading
import time
from pathlib import Path

import pytest
import threadpoolctl

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


def blas_threads():
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}


def test_fits_in_two_threads_give_blas_its_threads_back():
    """The limit is the process's: the second to come must not take the first one's for the original."""
    first_is_in, second_is_in = threading.Event(), threading.Event()
    seen = []

    def first():
        with machine.one_blas_thread():
            first_is_in.set()
            second_is_in.wait(10)

    def second():
        first_is_in.wait(10)
        with machine.one_blas_thread():
            second_is_in.set()
            threads[0].join(10)
            seen.append(blas_threads())

    threads = [threading.Thread(target=one) for one in (first, second)]
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        for one in threads:
            one.start()
        for one in threads:
            one.join(20)
        assert seen == [{1}]
        assert blas_threads() == {2}


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_blocks_keep_their_order_and_blas_to_one_thread(count):
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        found = list(machine.in_parallel(lambda block: (block, blas_threads()), range(count)))
        assert found == [(k, {1}) for k in range(count)]
        assert blas_threads() == {2}


def test_threads_are_kept_from_one_call_to_the_next_and_end():
    """Each block takes long enough for another thread to take the next one."""

    def who(_):
        time.sleep(0.01)
        return threading.get_ident()

    before = threading.active_count()
    with machine.threads():
        first = set(machine.in_parallel(who, range(8)))
        with machine.threads():
            assert set(machine.in_parallel(who, range(8))) <= first
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_blocks_in_threads_may_have_blocks_of_their_own():
    def of(block):
        return list(machine.in_parallel(lambda each: 10 * block + each, range(4)))

    with machine.threads():
        assert list(machine.in_parallel(of, range(8))) == [[10 * k + j for j in range(4)] for k in range(8)]


def test_an_error_ends_what_has_begun_and_leaves_the_threads():
    running, ended = [], []

    def one(block):
        if block == 1:
            raise ValueError("block 1")
        running.append(block)
        time.sleep(0.02)
        ended.append(block)

    with machine.threads():
        with pytest.raises(ValueError, match="block 1"):
            list(machine.in_parallel(one, range(20)))
        assert running == ended
        assert list(machine.in_parallel(str, range(3))) == ["0", "1", "2"]
