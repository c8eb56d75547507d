"""What the machine gives this process; every room may import it, it imports nothing of ours."""

import os


def cores() -> int:
    """Number of CPU cores that this process may use, at least 1."""
    # The process may have fewer cores than the machine. Python 3.13 can tell on every system; macOS before
    # that knows only the machine's.
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
