"""Preemption and maintenance notices on Google Compute Engine and its TPU VMs.

TensorFlow's own watcher asks the metadata server whether maintenance is due. Spot machines also announce
preemption there, 30 seconds in advance. Other clouds and schedulers send SIGTERM (`signals.py`).
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
    """Sets `stop` when a notice arrives, from a thread that runs until `ended` is set."""
    if os.environ.get("GCE_METADATA_IP") or _on_compute_engine():
        threading.Thread(target=_ask, args=(stop, ended), daemon=True).start()


def _on_compute_engine() -> bool:
    """Whether the firmware names Compute Engine; elsewhere nothing is sent over the network."""
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
        except OSError:  # the server is briefly unavailable
            continue
