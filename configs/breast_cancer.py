"""Wisconsin breast cancer, bundled with scikit-learn: 569 rows, 30 features, 2 classes.

    python run.py --config=configs/breast_cancer.py --workdir=runs/breast_cancer

2 CPU cores, 5 seconds. Expect a test accuracy of 0.95 or more and an area under the ROC curve of
0.98 or more. The sigmoid gives the probability of 'malignant'.
"""

from tf_logreg import config as defaults


def get_config():
    """Binary sigmoid, to a certified optimum."""
    config = defaults.get_config()
    config.data.source = "sklearn"
    config.data.args.name = "breast_cancer"
    config.data.test_fraction = 0.2
    config.data.positive_class = "malignant"
    config.l2 = 1e-2
    return config
