"""Processes that begin with TensorFlow imported, for tests of whole programs: its import takes longer than most of these.

One process imports it, and each program is a fork of that one before any device was asked for. What a program does
before the import, and the import itself, are tested by processes of their own (tests/test_start.py).
"""

import atexit
import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SOURCE = None  # the socket of the process that forks


class Process:
    """What `subprocess.Popen` is to a program, with text.

    Attributes:
        args: the command. pid: of the program.
        returncode: None while it runs; minus the signal that ended it.
        stdout, stderr: files to read.
    """

    def __init__(self, command, cwd=ROOT, environ=()) -> None:
        """Starts a program.

        Args:
            command: a file or '-c' and code or '-m' and a module; then its arguments.
            cwd: its directory. environ: variables in place of those of this process.
        """
        pairs = [os.pipe() for _ in range(3)]  # output, errors, status
        job = {
            "command": [*map(str, command)],
            "cwd": str(cwd),
            "environ": {**os.environ, **dict(environ)},
        }
        source = _source()
        socket.send_fds(source, [b"."], [write for _, write in pairs])
        text = json.dumps(job).encode()
        source.sendall(len(text).to_bytes(8, "big") + text)
        for _, write in pairs:
            os.close(write)
        self.stdout, self.stderr, self._status = (os.fdopen(read, encoding="utf-8") for read, _ in pairs)
        self.args, self.pid, self.returncode = job["command"], int(self._status.readline()), None
        self._ended = threading.Thread(target=self._wait, daemon=True)
        self._ended.start()

    def _wait(self) -> None:
        self.returncode = int(self._status.readline())

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout=None) -> int:
        self._ended.join(timeout)
        if self._ended.is_alive():
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.returncode

    def communicate(self, timeout=None) -> tuple[str, str]:
        """What it wrote, once it has ended."""
        said = {}

        def read(name) -> None:
            said[name] = getattr(self, name).read()

        readers = [threading.Thread(target=read, args=(name,), daemon=True) for name in ("stdout", "stderr")]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        return said["stdout"], said["stderr"]

    def send_signal(self, number) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _source() -> socket.socket:
    """The process that forks, started when it is first needed."""
    global _SOURCE
    if _SOURCE is None:
        _SOURCE, theirs = socket.socketpair()
        path = f"{ROOT}:{ROOT / 'tests'}"
        environ = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            env=environ,
        )
        theirs.close()

        def end() -> None:
            _SOURCE.close()  # which it hears
            process.wait(timeout=20)

        atexit.register(end)
    return _SOURCE


def _received(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (part := source.recv(count - len(data))):
        data += part
    return data


def _serve(source: socket.socket) -> None:
    """Forks for each job that comes. Returns in a fork, when its program has ended without an exception."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(source, 1, 3)
        if not message:
            return
        job = json.loads(_received(source, int.from_bytes(_received(source, 8), "big")))
        if not os.fork():
            source.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            output, errors, status = descriptors
            if pid := os.fork():  # this one waits for the program, and tells how it ended
                os.close(output)
                os.close(errors)
                os.write(status, f"{pid}\n".encode())
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                os.write(status, f"{code}\n".encode())
                os._exit(0)
            os.close(status)
            _run(job, output, errors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _run(job: dict, output: int, errors: int) -> None:
    """The program, in this process."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may have been started by nohup
    nothing = os.open(os.devnull, os.O_RDONLY)
    for theirs, ours in ((nothing, 0), (output, 1), (errors, 2)):
        os.dup2(theirs, ours)
        os.close(theirs)
    os.environ.clear()
    os.environ.update(job["environ"])
    os.chdir(job["cwd"])
    first, *rest = job["command"]
    if first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


def main(descriptor: str) -> None:
    """The process that forks."""
    source = socket.socket(fileno=int(descriptor))
    from tf_logreg import startup

    startup.import_tensorflow()
    import tf_logreg.cli
    import tf_logreg.training  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody has to fetch those that wait
    _serve(source)


if __name__ == "__main__":
    main(sys.argv[1])
