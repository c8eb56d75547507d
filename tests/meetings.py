"""Workers that meet, in threads of this process, and what is said to them."""

import json
import socket
import threading
import time

from tf_logreg.devices import cluster, meeting
from tf_logreg.errors import InputError

JOB = {"--config.l2": 0.5, "--dtype": "float32"}
MAGIC = b"tf_logreg "


def free_addresses(count, host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets = [socket.socket(family) for _ in range(count)]
    for one in sockets:
        one.bind((host, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for port in ports)


class Worker:
    """One worker's meeting, in a thread: `end` gives its error, None when all have met."""

    def __init__(self, addresses, index, job=JOB, timeout=20.0):
        def run():
            try:
                meeting.meet(cluster.Cluster(addresses, index), timeout, job)
            except InputError as error:
                self.error = str(error)

        self.error, self.began = None, time.monotonic()
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def end(self):
        self.thread.join(30)
        assert not self.thread.is_alive(), "the meeting hangs"
        self.seconds = time.monotonic() - self.began
        return self.error


def connected(address, say=b""):
    connection = socket.create_connection(cluster.endpoint(address), timeout=5)
    if say:
        connection.sendall(say)
    return connection


def greeting(index=1, job=None, **more):
    return MAGIC + json.dumps({"index": index, "number": "0" * 32, "job": job or {}, **more}).encode() + b"\n"
