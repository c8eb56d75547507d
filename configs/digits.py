"""Real 8 x 8 images of handwritten digits, bundled with scikit-learn: 1,797 rows, 64 features, 10 classes.

    python run.py --config=configs/digits.py --workdir=runs/digits

2 CPU cores, 10 seconds. Expect a test accuracy of 0.95 or more.
"""

from tf_logreg import config as defaults


def get_config():
    """Softmax on digits."""
    config = defaults.get_config()
    config.data.source = "sklearn"
    config.data.args.name = "digits"
    config.data.validation_fraction = 0.1
    config.data.test_fraction = 0.2
    config.l2 = 1e-3
    config.minibatch.epochs = 50
    config.minibatch.batch_size = 128
    return config
