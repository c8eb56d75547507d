"""Signals and notices become a question; a metadata server as Compute Engine's answers here."""

import http.server
import os
import signal
import threading
import time

import pytest

from tf_logreg.devices import interrupt, preemption


@pytest.fixture
def metadata(monkeypatch):
    """What the server says, by path; changed while it runs."""
    answers = {"instance/preempted": "FALSE", "instance/maintenance-event": "NONE"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.headers["Metadata-Flavor"] == "Google"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers[self.path.removeprefix("/computeMetadata/v1/")].encode())

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GCE_METADATA_IP", f"localhost:{server.server_port}")
    monkeypatch.setattr(preemption, "_SECONDS_BETWEEN_QUESTIONS", 0.05)
    yield answers
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "value"),
    [("instance/preempted", "TRUE"), ("instance/maintenance-event", "TERMINATE_ON_HOST_MAINTENANCE")],
)
def test_a_notice_stops_the_loop(metadata, path, value):
    with interrupt.listen() as interrupted:
        time.sleep(0.3)
        assert not interrupted()
        metadata[path] = value
        for _ in range(100):
            if interrupted():
                break
            time.sleep(0.05)
        assert interrupted()


def test_a_signal_stops_the_loop_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with interrupt.listen() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted()
    assert signal.getsignal(signal.SIGTERM) is before
