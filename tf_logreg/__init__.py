"""Logistic regression on TensorFlow and Keras, from a laptop to a TPU slice.

The package needs a TensorFlow but does not choose one: the wheels for CPU, GPU and TPU overwrite
each other, so the choice is an extra, and a machine that already has one (Colab, a TPU VM) keeps it.
"""

import importlib.util
import os

__version__ = "0.5.0"

if importlib.util.find_spec("tensorflow") is None:
    raise ImportError(
        "tf_logreg needs TensorFlow and found none. Install one with "
        "pip install 'tf_logreg[cpu]', 'tf_logreg[gpu]' or 'tf_logreg[tpu]'. Colab's CPU and GPU "
        "runtimes and Google's tpu-vm-tf-* images bring their own: use their Python, with no extra."
    )

if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise ImportError(
        f"tf_logreg trains under tf.distribute: KERAS_BACKEND must be 'tensorflow'. "
        f"Received: KERAS_BACKEND={os.environ['KERAS_BACKEND']!r}."
    )
