"""Notices that the machine is about to be taken away, on Google Compute Engine and its TPU VMs.

TensorFlow's own watcher asks the metadata server whether maintenance is due; spot machines also announce
their end there, 30 seconds ahead. Other clouds and schedulers send SIGTERM (`signals.py`).
"""

import logging
import os
import threading
from pathlib import Path

from tensorflow.python.distribute.failure_handling import failure_handling_util as tensorflow_watcher

from tf_logreg import signals

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_QUESTIONS = 5.0
_PRODUCT = Path("/sys/class/dmi/id/product_name")


def watch(stop: signals.Question, ended: threading.Event) -> None:
    """Sets `stop` when a notice comes, from a thread of its own that lives until `ended`."""
    if os.environ.get("GCE_METADATA_IP") or _on_compute_engine():
        threading.Thread(target=_ask, args=(stop, ended), daemon=True).start()


def _on_compute_engine() -> bool:
    """From the firmware: no question goes over the network elsewhere."""
    try:
        return "Google Compute Engine" in _PRODUCT.read_text()
    except OSError:
        return False


def _ask(stop: signals.Question, ended: threading.Event) -> None:
    while not ended.wait(_SECONDS_BETWEEN_QUESTIONS):
        try:
            preempted = tensorflow_watcher.request_compute_metadata("instance/preempted") == "TRUE"
            if preempted or tensorflow_watcher.termination_watcher_function_gce():
                log.info("This machine is about to be taken away: saving.")
                stop.set()
                return
        except OSError:  # the server is away for a moment
            continue
