"""Any classification set of TensorFlow Datasets, by name, or a folder that TFDS prepared.

Rows are decoded once, in their own dtype (one byte per pixel), into memory or files that are mapped into it,
so that they can be read by index. Images are flattened, and scaled to [0, 1] when they are read.
"""

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tf_logreg import machine, storage
from tf_logreg.data import digest, images
from tf_logreg.data.stream import Block, Stream
from tf_logreg.errors import InputError, brief

try:
    import tensorflow_datasets as tfds
except Exception as error:  # not only ImportError: protobuf raises its own VersionError
    raise InputError(
        "data.source: 'tfds' needs TensorFlow Datasets and all that it imports; install tf_logreg's "
        f"requirements again. Received: {type(error).__name__}: {brief(error)}"
    ) from error

_BLOCK_BYTES, _MOST_ROWS = 2**22, 1024  # of rows that a core decodes at a time


def stream(
    name: str = "",
    data_dir: str = "",
    download: bool = True,
    folder: str = "",
    resize: tuple = (),
    splits: tuple = (),
    on_bad_lines: str = "error",
) -> Stream:
    """The labelled rows of a data set.

    Args:
        name: the set's name in TFDS ('mnist', 'fashion_mnist:3.*.*').
        data_dir: where TFDS keeps its sets; '' is TFDS's own default.
        download: prepare the set when data_dir does not hold it.
        folder: instead of a name, a folder that TFDS prepared (it holds dataset_info.json).
        resize: height and width to which images are brought, whole, whatever their proportions; () for images
            that all have one size.
        splits: the splits that are read; () for all.
        on_bad_lines: 'error' at an image that cannot be decoded, or 'skip' or 'warn': it is left out.

    Raises:
        InputError: there is no such set or folder, it cannot be prepared, it has no label, or its features
            are neither images nor numbers of one shape.
    """
    if on_bad_lines not in ("error", "skip", "warn"):
        raise InputError(
            f"data.args.on_bad_lines: expected 'error', 'skip' or 'warn'. Received: {on_bad_lines!r}."
        )
    builder = _builder(name, data_dir, download, folder)
    x_key, y_key = _keys(builder)
    feature, target = builder.info.features[x_key], builder.info.features[y_key]
    shape = _row_shape(builder, x_key, resize)
    names = tuple(target.names) if isinstance(target, tfds.features.ClassLabel) and target.names else ()
    set_name = builder.info.full_name

    def place(split: str, record: int) -> str:
        return f"row {record} of split {split!r} of {set_name}"

    read = _Reader(builder, x_key, y_key, shape, bool(resize), len(names), place)

    def made_from() -> dict:
        paths = files(folder=str(builder.data_path))
        return {
            "set": set_name,
            "features": [x_key, y_key],
            "splits": list(_splits(builder, splits)),
            "files": digest.summary({"version": 0, "files": digest.digests(paths, {})}),
            "shape": shape,
            "TensorFlow": tf.__version__ if read.is_image else "",  # whose decoders they were
        }

    return Stream(
        name=set_name,
        made_from=made_from,
        splits={split: builder.info.splits[split].num_examples for split in _splits(builder, splits)},
        blocks=read.blocks,
        row_shape=shape,
        dtype=np.dtype(feature.np_dtype),
        y_dtype=np.dtype(target.np_dtype),
        class_names=names,
        place=place,
        unit=1 / 255 if read.is_image else 1.0,
        on_bad_lines=on_bad_lines,
    )


def files(name: str = "", data_dir: str = "", folder: str = "", **_) -> dict[str, str]:
    """The files of the prepared set, by their names in its folder; none before it is prepared."""
    if name and not folder:
        try:
            folder = str(_named(name, data_dir).data_path)
        except tfds.core.DatasetNotFoundError:
            return {}  # `load` says so
    return {name: storage.join(folder, name) for name in storage.files_below(folder)}


def _named(name: str, data_dir: str) -> tfds.core.DatasetBuilder:
    """The builder of a set by its name; TFDS itself reads and writes a data_dir in a store."""
    try:
        return tfds.builder(name, data_dir=data_dir or None)
    except RuntimeError as error:
        if not storage.is_address(data_dir):
            raise
        raise InputError(
            "data.args.data_dir: expected a folder that TFDS can use; data.args.folder takes a prepared set "
            f"from any store. Received: {data_dir!r} ({brief(error)})."
        ) from None


def _builder(name: str, data_dir: str, download: bool, folder: str) -> tfds.core.DatasetBuilder:
    """The builder of a prepared set."""
    if bool(name) == bool(folder):
        raise InputError(f"data.args: expected one of name and folder. Received: {name=}, {folder=}.")
    if folder:
        if not storage.is_file(storage.join(folder, "dataset_info.json")):
            raise InputError(
                f"data.args.folder: expected a folder with dataset_info.json. Received: {folder!r}."
            )
        return tfds.builder_from_directory(storage.on_disk(folder, "data.args.folder"))
    try:
        builder = _named(name, data_dir)
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


def _splits(builder: tfds.core.DatasetBuilder, asked: tuple) -> tuple[str, ...]:
    """Names of the splits to read."""
    known = tuple(builder.info.splits)
    unknown = [split for split in asked if split not in known]
    if unknown or len(set(asked)) < len(asked):
        raise InputError(
            f"data.args.splits: expected some of {', '.join(known)}, each once. Received: {asked!r}."
        )
    return tuple(asked) or known


def _is_image(feature: tfds.features.FeatureConnector) -> bool:
    """Whether it is an image of bytes, which we decode."""
    return isinstance(feature, tfds.features.Image) and feature.np_dtype == np.uint8


def _row_shape(builder: tfds.core.DatasetBuilder, x_key: str, resize: tuple) -> tuple[int, ...]:
    """The shape of all rows' features; InputError where there is none."""
    feature = builder.info.features[x_key]
    described = f"{builder.info.name!r}, whose {x_key!r} is {feature}"
    if resize:
        sizes = [size for size in resize if isinstance(size, int) and size > 0]
        if len(resize) != 2 or len(sizes) != 2:
            raise InputError(
                f"data.args.resize: expected (height, width), whole numbers > 0, or (). Received: {resize!r}."
            )
        if not _is_image(feature):
            raise InputError(
                f"data.args.resize: expected () with features that are no images of bytes. Received: "
                f"{resize!r} for {described}."
            )
        return *resize, feature.shape[-1]
    if _is_image(feature) and None in feature.shape:
        raise InputError(
            "data.args.resize: expected (height, width), (224, 224) for one, with images of any size. "
            f"Received: () for {described}."
        )
    if feature.shape is None or None in feature.shape or not np.issubdtype(feature.np_dtype, np.number):
        raise InputError(
            f"data.args.name: expected features that are numbers of one shape. Received: {described}."
        )
    return tuple(feature.shape)


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads the blocks of a set; the fields are those of `stream`.

    num_classes: 0 where labels are not indices of classes that the set declares.
    """

    builder: tfds.core.DatasetBuilder
    x_key: str
    y_key: str
    shape: tuple[int, ...]
    resize: bool
    num_classes: int
    place: Callable[[str, int], str]

    @property
    def is_image(self) -> bool:
        """Whether rows are images of bytes, which are decoded here."""
        return _is_image(self.builder.info.features[self.x_key])

    def blocks(self, split: str, start: int, size: int) -> Iterator[Block]:
        """The blocks of a split from a record on; images are decoded on all cores."""
        if not size:
            dtype = np.dtype(self.builder.info.features[self.x_key].np_dtype)
            size = max(1, min(_MOST_ROWS, _BLOCK_BYTES // (math.prod(self.shape) * dtype.itemsize)))
        if not self.is_image:
            for found in self._raw(split, start, size, {}):
                x = found[self.x_key].reshape(-1, *self.shape)
                yield Block(len(x), x, found[self.y_key], {})
            return
        decode = images.decoder(self.shape, resize=self.resize)

        def of_block(found: dict) -> Block:
            x, bad = decode(found[self.x_key].tolist())
            y = found[self.y_key]
            bad = {place: f"an image that cannot be decoded ({why})" for place, why in bad.items()}
            return Block(len(y), x, np.delete(y, list(bad)), bad)

        # Neither are other images of a row decoded, masks for one.
        features = self.builder.info.features
        others = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
        skip = dict.fromkeys((self.x_key, *others), tfds.decode.SkipDecoding())
        yield from machine.in_parallel(of_block, self._raw(split, start, size, skip))

    def _raw(self, split: str, start: int, size: int, decoders: dict) -> Iterator[dict[str, np.ndarray]]:
        """Features and labels as TFDS reads them, in blocks of `size`, by their names."""

        def wanted(row: dict) -> dict:
            return {key: row[key] for key in (self.x_key, self.y_key)}

        try:
            found = self.builder.as_dataset(split=split, decoders=decoders)
            for block in tfds.as_numpy(found.map(wanted).skip(start).batch(size)):
                self._check_labels(block[self.y_key], split, start)
                start += len(block[self.y_key])
                yield block
        except tf.errors.OpError as error:
            raise InputError(
                f"data.args: cannot read {self.place(split, start)}, or one of the {size - 1} behind it: "
                f"{brief(error.message)}"
            ) from None

    def _check_labels(self, y: np.ndarray, split: str, start: int) -> None:
        """InputError at a label that is none, as in splits for competitions."""
        bad = np.flatnonzero((y < 0) | (y >= self.num_classes)) if self.num_classes else ()
        if len(bad):
            others = tuple(other for other in self.builder.info.splits if other != split)
            raise InputError(
                f"y: expected 0..{self.num_classes - 1}, the index of a class. Received: {y[bad[0]]} in "
                f"{self.place(split, start + int(bad[0]))}; data.args.splits={others!r} leaves the split out."
            )
