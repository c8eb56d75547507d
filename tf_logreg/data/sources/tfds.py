"""Any classification set of TensorFlow Datasets, by name, or a folder that TFDS prepared.

Rows are decoded once into host memory in their own dtype (one byte per pixel), so that they can be
read by index. Images are flattened, and scaled to [0, 1] when they are read.
"""

import difflib
import math
import os

import numpy as np
import psutil

from tf_logreg.data import labels
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import Source
from tf_logreg.errors import InputError, brief

try:
    import tensorflow_datasets as tfds
except Exception as error:  # not only ImportError: protobuf raises its own VersionError
    raise InputError(
        "data.source: 'tfds' needs TensorFlow Datasets and all that it imports; install tf_logreg's "
        f"requirements again. Received: {type(error).__name__}: {brief(error)}"
    ) from error

_READ_ROWS = 1024  # rows decoded at a time


def load(name: str = "", data_dir: str = "", download: bool = True, folder: str = "") -> Source:
    """Loads every labelled split of a data set.

    Args:
        name: the set's name in TFDS ('mnist', 'fashion_mnist:3.*.*').
        data_dir: where TFDS keeps its sets; '' is TFDS's own default.
        download: prepare the set when data_dir does not hold it.
        folder: instead of a name, a folder that TFDS prepared (it holds dataset_info.json).

    Raises:
        InputError: there is no such set or folder, it cannot be prepared, it has no label, its features
            are not numbers of one shape, or its rows do not fit in memory.
    """
    builder = _builder(name, data_dir, download, folder)
    x_key, y_key = _keys(builder)
    feature, target = builder.info.features[x_key], builder.info.features[y_key]
    if feature.shape is None or None in feature.shape or not np.issubdtype(feature.np_dtype, np.number):
        raise InputError(
            f"data.args.name: expected features that are numbers of one shape. Received: "
            f"{builder.info.name!r}, whose {x_key!r} is {feature}."
        )

    splits, start = {}, 0
    for split, info in builder.info.splits.items():
        splits[split] = range(start, start + info.num_examples)
        start += info.num_examples
    x, y = _read(builder, x_key, y_key, tuple(splits), start, feature)
    names = tuple(target.names) if isinstance(target, tfds.features.ClassLabel) and target.names else ()
    y, class_names = labels.encode(y, names, indices=True)

    def place(row: int) -> str:
        split = next(split for split, rows in splits.items() if row in rows)
        return f"row {row - splits[split].start} of split {split!r} of {builder.info.full_name}"

    is_image = isinstance(feature, tfds.features.Image) and x.dtype == np.uint8
    return from_arrays(
        x, y, class_names=class_names, splits=splits, unit=1 / 255 if is_image else 1.0, place=place
    )


def files(name: str = "", data_dir: str = "", download: bool = True, folder: str = "") -> dict[str, str]:
    """The files of the prepared set, by their names in its folder; none before it is prepared."""
    if name and not folder:
        try:
            folder = str(tfds.builder(name, data_dir=data_dir or None).data_path)
        except tfds.core.DatasetNotFoundError:
            return {}  # `load` says so
    found = (os.path.join(top, file) for top, _, names in os.walk(folder) for file in names)
    return {os.path.relpath(path, folder): path for path in sorted(found)}


def _builder(name: str, data_dir: str, download: bool, folder: str) -> tfds.core.DatasetBuilder:
    """The builder of a prepared set."""
    if bool(name) == bool(folder):
        raise InputError(f"data.args: expected one of name and folder. Received: {name=}, {folder=}.")
    if folder:
        if not os.path.exists(os.path.join(folder, "dataset_info.json")):
            raise InputError(
                f"data.args.folder: expected a folder with dataset_info.json. Received: {folder!r}."
            )
        return tfds.builder_from_directory(folder)
    try:
        builder = tfds.builder(name, data_dir=data_dir or None)
    except tfds.core.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
        raise InputError(
            f"data.args.name: expected one of the {len(known)} sets of TFDS {tfds.__version__}"
            f"{', such as ' + ', '.join(close) if close else ''}. Received: {name!r}."
        ) from None
    if not builder.is_prepared():
        if not download:
            raise InputError(
                f"data.args.name: {name!r} is not prepared in {builder.data_path.parent}, and "
                "data.args.download is False."
            )
        try:
            builder.download_and_prepare()
        except Exception as error:  # TFDS passes on any error of its downloader and parsers
            raise InputError(
                f"data.args.name: TFDS could not download and prepare {name!r}: "
                f"{type(error).__name__}: {brief(error)}"
            ) from error
    return builder


def _keys(builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    """The names of the features to learn from and of the label."""
    keys = builder.info.supervised_keys
    if keys and len(keys) == 2 and all(isinstance(key, str) for key in keys):
        return keys
    features = builder.info.features
    images = [key for key, value in features.items() if isinstance(value, tfds.features.Image)]
    targets = [key for key, value in features.items() if isinstance(value, tfds.features.ClassLabel)]
    if len(images) == 1 and len(targets) == 1:
        return images[0], targets[0]
    raise InputError(
        f"data.args.name: expected a set for classification, with supervised_keys or one image and one "
        f"label. Received: {builder.info.name!r} with features {', '.join(features)}."
    )


def _read(builder, x_key, y_key, splits, num_rows, feature) -> tuple[np.ndarray, np.ndarray]:
    """All rows of the splits, one split after the other: x [n, p] in its own dtype, y [n]."""
    num_features = math.prod(feature.shape)
    needed, free = (
        num_rows * num_features * np.dtype(feature.np_dtype).itemsize,
        psutil.virtual_memory().available,
    )
    # Twice the size, because TensorFlow makes its own copy before the first array is freed.
    if 2 * needed > free:
        raise InputError(
            f"data.args.name: {builder.info.name!r} has {num_rows} rows of {num_features} features. "
            f"They take {2 * needed / 2**30:.1f} GiB to read; {free / 2**30:.1f} GiB are free."
        )
    x, y, row = np.empty((num_rows, num_features), feature.np_dtype), [], 0
    for split in splits:
        for block in tfds.as_numpy(builder.as_dataset(split=split, batch_size=_READ_ROWS)):
            size = len(block[y_key])
            x[row : row + size] = block[x_key].reshape(size, num_features)
            y.append(block[y_key])
            row += size
    if row != num_rows:
        raise InputError(f"data.args: {builder.info.full_name} promises {num_rows} rows and holds {row}.")
    return x, np.concatenate(y) if y else np.empty(0, np.int64)
