"""The workers meet before TensorFlow starts; workers that are absent or run another job are named.

TensorFlow waits for absent workers without a message. So the workers meet first, over plain TCP on the
addresses that TensorFlow will use. Each worker listens at its own address and visits every other. A visit
has four lines, each `tf_logreg` and a JSON object:

    1. visitor: its index, its job (digests), and a random number for this visit
    2. host: the same for itself, and the visitor's number
    3. visitor: the host's number
    4. host: 'met'

Both sides count the visit only after all four lines, so a peer that only connects, echoes its input or
stops midway is not taken for a worker. A worker leaves when it has visited all others and all have visited
it. Then every direction works, and nobody still looks for the meeting when TensorFlow takes the port.
The digests are not secret: they prevent accidents, not an attacker who knows the command (docs/scale.md).
"""

import contextlib
import hashlib
import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

import tf_logreg
from tf_logreg.devices.cluster import Cluster, endpoint, listeners, name
from tf_logreg.errors import InputError

log = logging.getLogger(__name__)

_MAGIC = b"tf_logreg "
_LONGEST = 1 << 16  # bytes of a line: a config's digests take some 5 kB
_PATIENCE = 5.0  # seconds for a visit, and for the other worker to learn of a difference
_CONFIRMING = 30.0  # seconds for the last line, from a host that is known to be a worker
_PLAIN = ("tf_logreg", "number of hosts")  # sent as plain text, not as digests
_LONGEST_PAUSE = 0.5  # seconds between visits to a worker that has not answered


def meet(cluster: Cluster, timeout: float, job: Mapping[str, Any] | None = None) -> None:
    """Returns when every worker has met every other and all run the same job.

    Args:
        cluster: the workers.
        timeout: seconds to wait for absent workers.
        job: settings that must be the same on all workers, by their names in messages, with JSON values.
            Hosts, their order and the version of tf_logreg are always compared.

    Raises:
        InputError: this worker's port is in use, a worker is absent, or one runs another job.
    """
    deadline = time.monotonic() + timeout
    meeting = _Meeting(cluster, job or {}, deadline)
    with listeners(cluster) as doors:
        for door in doors:
            threading.Thread(target=meeting.receive, args=(door,), daemon=True).start()
        for k in meeting.others:
            # Daemon threads, because looking up a name can take longer than the meeting.
            threading.Thread(target=meeting.look_for, args=(k,), daemon=True).start()
        try:
            meeting.wait()
        finally:
            meeting.over = True
    for difference in meeting.differences.values():
        raise InputError(difference)
    if missing := meeting.missing():
        names = ", ".join(name(cluster, k) for k in missing)
        reasons = "; ".join(f"worker {k}: {meeting.reason(k)}" for k in missing[:3])
        raise InputError(
            f"--startup_timeout: {names} did not come within {timeout:g} s ({reasons}). "
            "Start the same command there with its own --task_index, and see that its port is open to others."
        )


class _Meeting:
    """What this worker knows about the others. Threads write it while they hold `changed`."""

    def __init__(self, cluster: Cluster, job: Mapping[str, Any], deadline: float):
        self.cluster, self.deadline = cluster, deadline
        self.others = [k for k in range(len(cluster.addresses)) if k != cluster.index]
        self.job = {
            "tf_logreg": tf_logreg.__version__,
            "number of hosts": len(cluster.addresses),
            "--worker_hosts": list(cluster.addresses),
            **job,
        }
        self.changed = threading.Condition()
        self.over = False
        self.visited, self.came, self.told = set(), set(), set()
        self.differences: dict[int, str] = {}  # found on workers that answered at their own address
        self.reasons: dict[int, str] = {}  # why the last visit to a worker failed
        self.claims: dict[int, str] = {}  # differences of visitors that claimed to be this worker
        self.visitors: dict[socket.socket, str] = {}  # connection -> host, oldest first
        self.strangers = 0

    def missing(self) -> list[int]:
        """The workers not yet met in both directions."""
        return [k for k in self.others if k not in self.visited & self.came]

    def reason(self, k: int) -> str:
        """Why worker k is missing."""
        if k in self.visited:
            return f"it was reached, but did not reach {self.cluster.addresses[self.cluster.index]}"
        return self.claims.get(k) or self.reasons.get(k, "no answer")

    def wait(self) -> None:
        """Returns when all have met, at the deadline, or soon after a difference was found."""
        with self.changed:
            self.changed.wait_for(
                lambda: self.differences or not self.missing(), self.deadline - time.monotonic()
            )
            # Stay until the other worker has learnt of the difference, or it would wait until its deadline.
            self.changed.wait_for(lambda: self.differences.keys() <= self.told, _PATIENCE)

    def look_for(self, k: int) -> None:
        """Visits worker k until a visit succeeds or the meeting is over."""
        pause = 0.05
        while not self.over:
            try:
                self._visit(k)
                return
            except (OSError, ValueError) as error:
                with self.changed:
                    self.reasons[k] = (isinstance(error, OSError) and error.strerror) or str(error)
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def _visit(self, k: int) -> None:
        """The visitor's side of a visit.

        Raises:
            OSError, ValueError: the visit was not completed.
        """
        number, address = secrets.token_hex(16), endpoint(self.cluster.addresses[k])
        with socket.create_connection(address, timeout=_PATIENCE) as connection:
            _send(connection, self._greeting(number))
            answer = _read(connection, time.monotonic() + _PATIENCE)
            if answer.get("answer") != number:
                raise ValueError("what answers there is no worker of this version")
            with self.changed:
                if difference := self._difference(answer, name(self.cluster, k)):
                    self.differences[k] = difference
                    self.changed.notify_all()
                    return
            if answer.get("index") != k:
                raise ValueError(f"worker {_plain(answer.get('index'))} answers there: see its --task_index")
            _send(connection, {"answer": answer.get("number")})
            if _read(connection, time.monotonic() + _CONFIRMING) != {"met": True}:
                raise ValueError("the visit ended early")
        with self.changed:
            self.visited.add(k)
            self.changed.notify_all()

    def receive(self, door: socket.socket) -> None:
        """Serves visitors in parallel until the door is closed; if there are too many, drops the oldest."""
        most = 64 + 2 * len(self.cluster.addresses)
        while not self.over:
            try:
                connection, (host, *_) = door.accept()
            except OSError:  # closed, or no file handle left at the moment
                time.sleep(0.05)
                continue
            with self.changed:
                self.visitors[connection] = host
                oldest = next(iter(self.visitors)) if len(self.visitors) > most else None
            if oldest:
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # wakes the thread that serves it
            try:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
            except RuntimeError:  # no thread left
                self._part(connection)

    def _serve(self, connection: socket.socket) -> None:
        """The host's side of a visit. A peer that does not follow the protocol is dropped."""
        try:
            self._host(connection)
        except (ValueError, KeyError, TypeError):
            with self.changed:
                self.strangers += 1
            if self.strangers <= 3:
                log.info(
                    "Dropped a connection from %s: no worker of this meeting.", self.visitors[connection]
                )
        except OSError:
            pass  # a worker tries again
        finally:
            self._part(connection)

    def _host(self, connection: socket.socket) -> None:
        number, until = secrets.token_hex(16), time.monotonic() + _PATIENCE
        greeting = _read(connection, until)
        index, theirs = greeting["index"], greeting["number"]
        if type(index) is not int or not isinstance(theirs, str):
            raise ValueError("no worker's greeting")
        _send(connection, self._greeting(number, answer=theirs))
        difference = self._difference(greeting, f"a visitor from {self.visitors[connection]}")
        if index not in self.others:  # it has more hosts, or our own --task_index; it has our greeting
            return
        if not difference:
            if _read(connection, until) != {"answer": number}:
                raise ValueError("no answer to the greeting")
            _send(connection, {"met": True})
        with self.changed:
            if difference:
                self.claims[index] = difference
            (self.told if difference else self.came).add(index)
            self.changed.notify_all()

    def _part(self, connection: socket.socket) -> None:
        with self.changed:
            del self.visitors[connection]
        connection.close()

    def _greeting(self, number: str, **more: str) -> dict:
        return {"index": self.cluster.index, "number": number, "job": _digests(self.job), **more}

    def _difference(self, greeting: dict, who: str) -> str:
        """Message about how a greeting's job differs from ours; '' when it does not."""
        ours, theirs = _digests(self.job), greeting.get("job")
        theirs = theirs if isinstance(theirs, dict) else {}
        names = [name for name in ours if theirs.get(name) != ours[name]]
        names += [_plain(name) for name in theirs if name not in ours]
        if not names:
            return ""
        first, here = names[0], _plain(json.dumps(self.job.get(names[0], "nothing"), default=str))
        if first in _PLAIN:  # then any other difference does not matter
            return (
                f"{first}: expected the same on every worker. Received: {here} here, "
                f"{_plain(theirs.get(first, 'nothing'))} on {who}."
            )
        also = f"; {', '.join(names[1:6])} too" if len(names) > 1 else ""
        return f"{first}: expected the same on every worker. Received: {here} here, another on {who}{also}."


def _digests(job: Mapping[str, Any]) -> dict[str, Any]:
    """Each value as a short digest, except those in `_PLAIN`."""
    return {name: value if name in _PLAIN else _digest(value) for name, value in job.items()}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _send(connection: socket.socket, message: dict) -> None:
    connection.sendall(_MAGIC + json.dumps(message).encode() + b"\n")


def _read(connection: socket.socket, until: float) -> dict:
    """One line of a visit.

    Args:
        connection: where the line is read.
        until: deadline of the whole line, by `time.monotonic`.

    Raises:
        OSError: the line did not arrive in time.
        ValueError: it is too long, cut off, or not a line of a visit.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        # Data that has already arrived is read even if this process was suspended past the deadline.
        connection.settimeout(max(0.0, until - time.monotonic()))
        part = connection.recv(_LONGEST)
        line += part
        if not part or len(line) > _LONGEST or not (_MAGIC.startswith(line) or line.startswith(_MAGIC)):
            raise ValueError("what answers there is no worker")
    try:
        message = json.loads(line[len(_MAGIC) :])
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ValueError("what answers there is another version of tf_logreg")
    return message


def _plain(value: Any) -> str:
    """Text from an unknown sender, made safe for a message."""
    text = "".join(c if c.isprintable() and c.isascii() else "?" for c in str(value)[:61])
    return text if len(text) <= 60 else f"{text[:57]}..."
