"""Fisher's irises, bundled with scikit-learn: 150 rows, 4 features, 3 classes.

    python run.py --config=configs/iris.py --workdir=runs/iris

2 CPU cores, 5 seconds. Expect a test accuracy of 0.9 or more (30 rows: each is 0.03).
"""

from tf_logreg import config as defaults


def get_config():
    """Full-batch gradient descent, the article's method, on its first small example."""
    config = defaults.get_config()
    config.data.source = "sklearn"
    config.data.args.name = "iris"
    config.data.test_fraction = 0.2
    config.l2 = 1e-2
    config.solver.name = "minibatch"
    config.minibatch.optimizer = "SGD"
    config.minibatch.learning_rate = 0.5
    config.minibatch.batch_size = 0
    config.minibatch.epochs = 500
    return config
