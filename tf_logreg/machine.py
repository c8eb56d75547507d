"""What the machine gives this process; every room may import it, it imports nothing of ours."""

import collections
import contextlib
import contextvars
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures

import threadpoolctl

_WORTH_THREADS = 1e9  # operations, about what a core does while OpenBLAS's threads spin after a call


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


class _OneBlasThread:
    """A limit of the whole process, from the first of its users to the last: threads may fit side by side."""

    def __init__(self):
        self._lock, self._users, self._limit = threading.Lock(), 0, None

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                _let_this_thread_limit()
                self._limit = libraries().limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *_) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                _let_this_thread_limit()
                self._limit.restore_original_limits()
                _let_this_thread_limit()


def _let_this_thread_limit() -> None:
    """Newer versions of threadpoolctl heed one thread at a time, and the last to leave may be another."""
    controller = getattr(threadpoolctl, "OpenBLASController", None)
    if hasattr(controller, "clear_controlling_thread"):
        controller.clear_controlling_thread(force=True)


_one_blas_thread = _OneBlasThread()


def one_blas_thread() -> contextlib.AbstractContextManager:
    """Keeps each BLAS call to the core that makes it."""
    return _one_blas_thread


def blas_threads(operations: float) -> contextlib.AbstractContextManager:
    """Keeps linear algebra beside passes to one core where a system takes no more than so many operations.

    OpenBLAS's threads wait for the next call in a loop, some 25 ms long, on the cores that the next pass over
    the rows needs: passes of 40 ms took 55.
    """
    return one_blas_thread() if operations < _WORTH_THREADS else contextlib.nullcontext()


_pool: contextvars.ContextVar[futures.Executor | None] = contextvars.ContextVar("pool", default=None)


@contextlib.contextmanager
def threads() -> Iterator[None]:
    """Keeps the threads of `in_parallel` from one call within to the next.

    A pass over some thousand rows takes a few milliseconds, and threads that start for it one or two more.
    They end with the outermost use, and what they keep for themselves with them.
    """
    if _pool.get() is not None:
        yield
        return
    with futures.ThreadPoolExecutor(cores()) as pool:
        token = _pool.set(pool)
        try:
            yield
        finally:
            _pool.reset(token)


def in_parallel(function: Callable, blocks: Iterable) -> Iterator:
    """function(block) of each block, in order, one block per core at a time.

    The results do not depend on the number of cores: within a block BLAS has one. A single block is
    worked on without a thread, as small data are done before one has started.
    """
    blocks = iter(blocks)
    first = list(itertools.islice(blocks, 2))
    if len(first) < 2:
        with one_blas_thread():
            yield from map(function, first)
        return
    kept, waiting = _pool.get(), collections.deque()
    with (
        one_blas_thread(),
        contextlib.nullcontext(kept) if kept else futures.ThreadPoolExecutor(cores()) as pool,
    ):
        try:
            for block in itertools.chain(first, blocks):
                waiting.append(pool.submit(function, block))
                # No further ahead than keeps the cores busy: a stream is not read into memory.
                if len(waiting) > 2 * cores():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # what has begun may still write into arrays of the caller
            futures.wait([one for one in waiting if not one.cancel()])
