"""Real 8 x 8 images of handwritten digits, bundled with scikit-learn: 1,797 rows, 64 features, 10 classes.

    python run.py --config=configs/digits.py --workdir=runs/digits

2 CPU cores, 5 seconds. Expect status 'optimal' and a test accuracy of 0.95 or more.
"""

from tf_logreg import config as defaults


def get_config():
    """Softmax on digits, to a certified optimum."""
    config = defaults.get_config()
    config.data.source = "sklearn"
    config.data.args.name = "digits"
    config.data.validation_fraction = 0.1
    config.data.test_fraction = 0.2
    # Pixels share one unit; scaled, those that are dark in a few images only would weigh most.
    config.standardize = False
    config.l2 = 3e-2
    return config
