"""Small Keras models that encode images, the images, and a config of both."""

import keras
import numpy as np

from tf_logreg import config as configs
from tf_logreg.data import dataset
from tf_logreg.data.encoders import Encoding

SIZE = (10, 8)


def convolutions(shape=(*SIZE, 3), *, seed=0, last=None):
    """A small encoder of images: a vector of 5."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(5, 3, activation="relu"),
            layers.BatchNormalization(),
            last or layers.GlobalAveragePooling2D(),
        ]
    )


def functional(outputs):
    """A model from an image to what `outputs` makes of it."""
    image = keras.Input((*SIZE, 3))
    return keras.Model(image, outputs(image))


class Mine(keras.Model):
    """A model with code of its own."""

    def __init__(self, last):
        super().__init__()
        self.last = last

    def call(self, x):
        return self.last(keras.ops.mean(x, axis=(1, 2)))


DRAW = np.random.default_rng(0)
IMAGES, Y = DRAW.integers(0, 256, (70, *SIZE, 3), dtype=np.uint8), np.arange(70) % 2


def config_of(tmp_path, encoder="", **more):
    """A config of the images in .npy files."""
    for name, array in {"x": IMAGES, "y": Y}.items():
        np.save(tmp_path / f"{name}.npy", array)
    config = configs.get_config()
    config.data.source, config.data.args = "npy", {name: str(tmp_path / f"{name}.npy") for name in "xy"}
    config.data.update(encoder=encoder, cache_dir=str(tmp_path / "cache"), test_fraction=0.2, **more)
    config.l2 = 0.1
    return config


def features(config, **encoding):
    source, _ = dataset.read_data(config, encoding=Encoding(**encoding))
    return source.host(np.arange(70)).x
