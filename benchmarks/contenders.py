"""One contender of a benchmark, measured in a process of its own."""

import argparse
import json
import os
import subprocess
import sys


def child(script: str, name: str, case: str, arguments: argparse.Namespace) -> dict:
    """What `script` measures of a contender; {} and a line on stderr when it fails or takes too long.

    Args:
        script: a benchmark that takes --contender, --cases, --folder and --repeats, and prints JSON.
        name: the contender's. case: a letter.
        arguments: of the benchmark, with folder, repeats and timeout in seconds.
    """
    options = [f"--cases={case}", f"--folder={arguments.folder}", f"--repeats={arguments.repeats}"]
    return run(script, name, options, arguments.timeout)


def run(script: str, name: str, options: list[str], timeout: float, threads: int = 0) -> dict:
    """The JSON that `script --contender=name` prints last, or {} as above.

    Args:
        script, name: as above. options: further arguments of the script.
        timeout: seconds that it may take.
        threads: that BLAS and OpenMP may use; 0 for what they choose.
    """
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    limits = dict.fromkeys(variables, str(threads)) if threads else {}
    command = [sys.executable, script, f"--contender={name}", *options]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env={**os.environ, **limits},
        )
    except subprocess.TimeoutExpired:
        print(f"{name}: more than {timeout:.0f} s", file=sys.stderr)
        return {}
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout.splitlines()[-1])
