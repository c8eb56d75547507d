"""Small TFDS sets that the tests prepare on disk through TFDS itself."""

import numpy as np
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits, load_sample_images


class _Images(tfds.core.GeneratorBasedBuilder):
    """Scikit-learn's digits as images, enlarged `repeat` times and padded to `side`."""

    repeat, side, classes = 1, 8, 10

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(self.side, self.side, 1)),
            "label": tfds.features.ClassLabel(num_classes=self.classes),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 1200), "test": self._generate_examples(1200, 1797)}

    def _generate_examples(self, start, stop):
        x, y = load_digits(return_X_y=True)
        margin = (self.side - 8 * self.repeat) // 2
        for i in range(start, stop):
            image = np.kron(
                (x[i] * 15).astype(np.uint8).reshape(8, 8), np.ones((self.repeat, self.repeat), np.uint8)
            )
            yield i, {"image": np.pad(image, margin)[:, :, None], "label": int(y[i])}


class TinyDigits(_Images):
    VERSION = tfds.core.Version("1.0.0")


class TinyLetters(_Images):
    """Declares more classes than have rows, as emnist/letters does."""

    VERSION = tfds.core.Version("1.0.0")
    classes = 12


class Mnist(_Images):
    """Takes MNIST's name, version and shape, so that `tfds.builder('mnist')` finds it prepared."""

    VERSION = tfds.core.Version("3.0.1")
    repeat, side = 3, 28


class Photographs(tfds.core.GeneratorBasedBuilder):
    """A set of ImageNet's form: JPEGs of any size, cut from scikit-learn's two photographs, which tell the classes.

    Attributes:
        sizes: number of images by split.
        broken: record of 'train' -> what stands there instead of an image.
        unlabelled: splits whose labels are -1, as those for competitions.
    """

    VERSION = tfds.core.Version("1.0.0")
    sizes, classes, largest = {"train": 40, "validation": 12}, 2, 60
    broken, unlabelled = {}, ()

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(num_classes=self.classes),
            "file_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.sizes}

    def _generate_examples(self, split):
        photographs, draw = load_sample_images().images, np.random.default_rng(len(split))
        for i in range(self.sizes[split]):
            label = i % self.classes
            height, width = draw.integers(self.largest // 2, self.largest, 2)
            top, left = draw.integers(0, 427 - height), draw.integers(0, 640 - width)
            image = photographs[label % 2][top : top + height, left : left + width]
            image = np.roll(image, label // 2, axis=2)  # classes beyond two in other colours
            record = self.broken.get(i) if split == "train" else None
            if split in self.unlabelled:
                label = -1
            yield i, {"image": image if record is None else record, "label": label, "file_name": f"{i}.jpeg"}


def prepare(builder_class, data_dir):
    """Writes the set's TFRecord files below data_dir; the folder that holds them."""
    builder = builder_class(data_dir=str(data_dir))
    builder.download_and_prepare()
    return str(builder.data_path)
