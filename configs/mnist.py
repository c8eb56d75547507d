"""MNIST through TensorFlow Datasets: 60,000 + 10,000 rows, 784 features, 10 classes.

    python run.py --config=configs/mnist.py --workdir=runs/mnist

Downloads 11 MB once. About a minute on 2 CPU cores. The article on scaling logistic regression that
this project began with reports a test accuracy of 0.92 for PyTorch Lightning Bolts' model; that
figure is theirs and is what to expect here.
"""

from tf_logreg import config as defaults


def get_config():
    """The article's scale-up."""
    config = defaults.get_config()
    config.data.source = "tfds"
    config.data.args.name = "mnist"
    config.data.args.data_dir = ""
    config.data.args.download = True
    config.data.validation_fraction = 0.1
    config.data.test_split = "test"
    # Border pixels that are lit in a few images only would weigh as much as the digit's middle.
    config.standardize = False
    config.l2 = 1e-5
    config.minibatch.learning_rate = 2e-3
    config.minibatch.batch_size = 1024
    config.solver.name = "minibatch"
    config.minibatch.epochs = 20
    return config
