"""What a benchmark asks of the machine and of its own process: name, bandwidth, peak memory, profile."""

import concurrent.futures
import contextlib
import importlib.metadata
import os
import platform
import pstats
import time

PACKAGES = (
    "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "torch", "snapml", "glum", "celer", "skglm",
)  # fmt: skip


def cpu_model() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def summary() -> str:
    """The machine in a line, and the versions of the packages that are compared."""
    cores, versions = len(os.sched_getaffinity(0)), []
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    speed = f"load {os.getloadavg()[0]:.1f}, memory read at {bandwidth():.0f} GB/s"
    return f"{cpu_model()}, {cores} cores, {speed}; {', '.join(versions)}"


def bandwidth() -> float:
    """GB/s at which all cores together read memory: the best of five passes over half a gigabyte."""
    import numpy as np

    cores = len(os.sched_getaffinity(0))
    parts = np.array_split(np.ones(2**27, np.float32), 16 * cores)
    best = 0.0
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(np.max, parts))
            best = max(best, 2**29 / (time.perf_counter() - start))
    return best / 1e9


class Peak:
    """The greatest resident set of this process while the block runs, less that at its start: `above`, bytes.

    Linux is asked to begin its own count anew; elsewhere `above` is 0.
    """

    def __enter__(self):
        """Begins the count."""
        self.above, self._before = 0, _status("VmRSS")
        if self._before:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        return self

    def __exit__(self, *_):
        """Ends it."""
        self.above = max(0, _status("VmHWM") - self._before)


def _status(field: str) -> int:
    """A field of /proc/self/status, in bytes; 0 where there is none."""
    try:
        with open("/proc/self/status") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith(field + ":"))
    except (OSError, StopIteration):
        return 0


def profile_lines(profiler, folder: str, count: int = 30) -> list[str]:
    """A Markdown table of the functions of a folder that took most time with what they call."""
    lines = ["| function | calls | with what it calls, ms | own, ms |", "|---|---|---|---|"]
    found = sorted(pstats.Stats(profiler).stats.items(), key=lambda item: -item[1][3])
    found = [item for item in found if f"/{folder}/" in item[0][0]]
    for (path, number, function), (calls, _, own, whole, _) in found[:count]:
        place = path.split(f"/{folder}/")[-1]
        lines.append(f"| {place}:{number} {function} | {calls} | {1e3 * whole:.2f} | {1e3 * own:.2f} |")
    return lines


def aligned(rows: list[list[str]]) -> str:
    """A Markdown table whose columns are aligned on a terminal too; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:], ""])
