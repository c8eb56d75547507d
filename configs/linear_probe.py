"""A linear probe: embeddings in an .npz, or a TFDS with an embedding feature, to the best certified softmax.

    python run.py --config=configs/linear_probe.py --config.data.args.path=my.npz --workdir=runs/probe
    python run.py --config=configs/linear_probe.py --config.data.source=tfds --config.data.args.name=set ...
    ... --config.data.encoder=my.keras makes the embeddings of images first: docs/images.md.

The grid is DINOv2's, 45 values of C from 1e-6 to 1e5 (Oquab et al., 2023; dinov2/eval/log_regression.py).
A tenth of the training rows choose, unless `data.validation_split` or `cv.folds` says otherwise. Time and
score are your embeddings'; `docs/linear_probe.md` has figures.
"""

import numpy as np

from tf_logreg import config as defaults


def get_config(_=""):
    """DINOv2's grid: problems over one X that share what they can of each pass.

    A number of rows after the colon (`linear_probe.py:50000`), which C once needed, changes nothing.
    """
    config = defaults.get_config()
    config.data.source = "npz"
    config.data.validation_fraction = 0.1
    config.model.output = "softmax"
    # Embeddings have a common unit, and the grid is meant in it.
    config.standardize = False
    config.path.penalty = "l2"
    config.path.C = tuple(np.logspace(-6, 5, 45).tolist())
    return config
