"""One contender of a benchmark, measured in a process of its own."""

import argparse
import json
import subprocess
import sys


def child(script: str, name: str, case: str, arguments: argparse.Namespace) -> dict:
    """What `script` measures of a contender; {} and a line on stderr when it fails or takes too long.

    Args:
        script: a benchmark that takes --contender, --cases, --folder and --repeats, and prints JSON.
        name: the contender's. case: a letter.
        arguments: of the benchmark, with folder, repeats and timeout in seconds.
    """
    command = [sys.executable, script, f"--contender={name}", f"--cases={case}"]
    try:
        done = subprocess.run(
            [*command, f"--folder={arguments.folder}", f"--repeats={arguments.repeats}"],
            capture_output=True, text=True, check=False, timeout=arguments.timeout,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print(f"{name}: more than {arguments.timeout} s", file=sys.stderr)
        return {}
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout.splitlines()[-1])
