"""Models that give no vector, or one that depends on more than its row, are no encoders: each is told why."""

import keras
import pytest
from small_encoders import SIZE, Mine, config_of, convolutions, features, functional

from tf_logreg.data import encoders
from tf_logreg.errors import InputError


def two_inputs():
    some = [keras.Input((*SIZE, 3)) for _ in range(2)]
    return keras.Model(some, keras.layers.Flatten()(some[0] + some[1]))


def in_training(layer):
    """A model with a layer that works as in training whenever it is called."""
    return Mine(lambda x: layer(x, training=True))


NO_ENCODERS = {
    "feature maps": (lambda: convolutions(last=keras.layers.ReLU()), r"a vector of each row, shape \(d,\). .*gives \(8, 6, 5\); keras.layers.GlobalAveragePooling2D\(\)"),
    "one number": (lambda: functional(lambda x: keras.ops.mean(x, axis=(1, 2, 3))), r"which gives \(\)\."),
    "two outputs": (lambda: functional(lambda x: [keras.layers.Flatten()(x)] * 2), "one output. Received: .* a list"),
    "two inputs": (two_inputs, "one input. Received: one with 2"),
    "other images": (lambda: convolutions((12, 12, 3)), r"rows of shape \(10, 8, 3\). Received: one that takes \(12, 12, 3\); data.args.resize=\(12, 12\)"),
    "other rows": (lambda: keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)]), r"Received: one that takes \(7,\)\."),
    "batch normalisation in training": (lambda: in_training(keras.layers.BatchNormalization()), r"depends on its row alone. .*gives 4 rows others in a batch of 4 than in one of 32, .*BatchNormalization"),
    "the mean of a batch": (lambda: functional(lambda x: keras.ops.mean(x - keras.ops.mean(x, axis=0), axis=(1, 2))), "depends on its row alone"),
    "dropout in training": (lambda: in_training(keras.layers.Dropout(0.5)), "depends on its row alone"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), NO_ENCODERS.values(), ids=NO_ENCODERS)
def test_models_that_are_no_encoders(tmp_path, make, message):
    config = config_of(tmp_path, encoders.IN_PYTHON)
    with pytest.raises(InputError, match=message):
        features(config, model=make())


def test_a_model_that_fails_with_the_rows(tmp_path):
    class Failing(Mine):
        def call(self, x):
            raise TypeError("no images, please")

    with pytest.raises(InputError, match=r"takes rows of shape \(10, 8, 3\). Received: .*no images, please"):
        features(config_of(tmp_path, encoders.IN_PYTHON), model=Failing(None))
