"""Rows drawn from a logistic model with known weights, as many as you like: nothing is stored.

    python run.py --config=configs/synthetic.py --workdir=runs/synthetic

2 CPU cores, 5 seconds at the default 20,000 x 20; `--config.data.args.num_rows=100_000_000` costs
time and 8 bytes a row. Expect a test accuracy of 0.75 or more.
"""

from tf_logreg import config as defaults


def get_config():
    """Binary, 20 features."""
    config = defaults.get_config()
    config.data.source = "synthetic"
    config.data.args.num_rows = 20_000
    config.data.args.num_features = 20
    config.data.args.num_classes = 2
    config.data.args.correlation = 0.0
    config.data.args.seed = 0
    config.data.test_fraction = 0.2
    config.solver.name = "minibatch"
    config.minibatch.epochs = 5
    return config
