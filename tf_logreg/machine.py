"""What the machine gives this process; every room may import it, it imports nothing of ours."""

import collections
import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import threadpoolctl


def cores() -> int:
    """Number of CPU cores that this process may use, at least 1."""
    # The process may have fewer cores than the machine. Python 3.13 can tell on every system; macOS before
    # that knows only the machine's.
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def libraries() -> threadpoolctl.ThreadpoolController:
    """The loaded libraries of linear algebra. Finding them takes 5 ms, setting their threads 0.05 ms."""
    return threadpoolctl.ThreadpoolController()


def one_blas_thread() -> contextlib.AbstractContextManager:
    """Keeps each BLAS call to the core that makes it."""
    return libraries().limit(limits=1, user_api="blas")


def in_parallel(function: Callable, blocks: Iterable) -> Iterator:
    """function(block) of each block, in order, one block per core at a time.

    The results do not depend on the number of cores, as each block's does not. A single block is
    worked on without a thread, as small data are done before one has started.
    """
    blocks = iter(blocks)
    first = list(itertools.islice(blocks, 2))
    if len(first) < 2:
        yield from map(function, first)
        return
    with one_blas_thread(), ThreadPoolExecutor(cores()) as pool:
        waiting = collections.deque()
        for block in itertools.chain(first, blocks):
            waiting.append(pool.submit(function, block))
            # No further ahead than keeps the cores busy: a stream is not read into memory.
            if len(waiting) > 2 * cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
