"""`Dataset`: the rows of a run, split, checked and counted; `prepare` makes it from a config."""

import dataclasses
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import names
from tf_logreg.data import digest, identity, moments, scan, shards, slices, split, tabular, units, views
from tf_logreg.data import folds as make_folds
from tf_logreg.data.encoders import HERE, Encoding
from tf_logreg.data.load import PATHS, TABLES, load, opened
from tf_logreg.data.prior import Prior
from tf_logreg.data.source import Source, with_offset
from tf_logreg.data.stream import Stream
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.model import head as heads
from tf_logreg.tables.schema import Schema


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The rows of a run and what is known of them before a fit.

    Attributes:
        source: reads rows, each column in units of 2^exponent, so that nothing over- or underflows.
        raw: the same rows in raw units.
        rows: int64 row ids by role: 'train' and, if there are any, 'validation' and 'test'.
        folds: of the training rows; none is held out without cross-validation.
        moments: list of F, of the rows that train with each fold held out. all_moments: of all training rows.
        exponent: [p] int, 0 for a column in its original unit.
        files: version of the source and digests of its files; {} for arrays.
        prior: coefficients towards which l2 pulls; None for zeros.
    """

    source: Source
    raw: Source
    rows: dict[str, np.ndarray]
    folds: make_folds.Folds
    moments: list[moments.Scan]
    all_moments: moments.Scan
    exponent: np.ndarray
    files: dict = dataclasses.field(default_factory=dict)
    prior: Prior | None = None

    @property
    def train(self) -> np.ndarray:
        """Ids of the training rows, int64 [n]."""
        return self.rows["train"]

    @property
    def num_features(self) -> int:
        """Number of features, p."""
        return len(self.source.feature_names)

    def scaled(self, settings: ConfigDict) -> bool | np.ndarray:
        """Which columns standardisation scales, all, none or bool [p]: of a table the numbers."""
        if self.source.schema is None or not settings.standardize:
            return settings.standardize
        return self.source.schema.scaled

    @property
    def num_classes(self) -> int:
        """Number of classes that have rows, C."""
        return len(self.source.class_names)


def prepare(settings: ConfigDict, devices: Devices, model: Any = None) -> Dataset:
    """Reads and checks the data of the config's data section; each row is scanned once.

    Args:
        settings: its sections data, cv, model and its seed are read.
        devices: each of its workers reads its own rows, and the workers compare their results.
        model: the Keras model that is the encoder, where one was given in Python.

    Raises:
        InputError: the data cannot be used, on any worker.
    """
    source, rows, files = devices.together(
        lambda: read_unchanged(settings, Encoding(devices.strategy, model))
    )
    sizes = {role: len(ids) for role, ids in rows.items()}
    devices.same((sizes, source.feature_names, source.class_names, digest.summary(files)), "data")
    return of_rows(source, rows, settings, devices, files=files)


def of_rows(
    source: Source,
    rows: dict[str, np.ndarray],
    settings: ConfigDict,
    devices: Devices,
    *,
    files: dict | None = None,
    folds: make_folds.Folds | None = None,
) -> Dataset:
    """The dataset of a source whose rows are already split.

    Args:
        source: in raw units.
        rows: row ids by role.
        settings: its section cv, data.group, data.time, evaluate.slices and the seed are read.
        devices: as in `prepare`.
        files: digests, as in `Dataset`.
        folds: cv.folds of them; None to draw them.

    Raises:
        InputError: rows cannot be used, or folds cannot be made.
    """
    if len(source.class_names) < 2:
        raise InputError(
            f"y: expected at least two classes. Received: only {names.describe(source.class_names)}."
        )
    source = slices.with_levels(source, settings.evaluate.slices, rows)
    others = {role: scan_rows(source, ids, devices) for role, ids in rows.items() if role != "train"}
    del others  # every number was looked at
    train = rows["train"]
    check_classes_to_learn(source, rows, np.bincount(source.labels(train), minlength=len(source.class_names)))
    if folds is None and settings.cv.folds:
        by = {"group": settings.data.group, "time": settings.data.time, "seed": settings.seed}
        folds = devices.together(lambda: make_folds.make(source, train, settings.cv.folds, **by))
    folds = folds or make_folds.none(len(train))
    by_fold = [train[folds.fold == f] for f in range(folds.fold.max() + 1)] if settings.cv.folds else [train]
    parts = [scan_rows(source, ids, devices) for ids in by_fold]
    whole = parts[0] if len(parts) == 1 else moments.merged(parts)
    check_classes_to_learn(source, rows, whole.class_weight_sum)
    moments.check_smallest(whole, source)
    beside = [moments.merged([parts[f] for f in folds.training(k)]) for k in range(len(folds.held_out))]
    if settings.cv.folds:
        make_folds.check_classes(
            folds, np.array([one.class_weight_sum for one in beside]), source.class_names
        )
    else:
        beside = [whole]
    exponent = units.exponents(whole.largest)
    return Dataset(
        units.in_units(source, exponent),
        source,
        rows,
        folds,
        [one.in_units(exponent) for one in beside],
        whole.in_units(exponent),
        exponent,
        files or {},
    )


def with_all_rows(dataset: Dataset, settings: ConfigDict, devices: Devices) -> Dataset:
    """The dataset whose training rows are all of its rows; arguments and errors as of `of_rows`."""
    rows = {"train": np.sort(np.concatenate(list(dataset.rows.values())))}
    found = of_rows(dataset.raw, rows, settings, devices, files=dataset.files)
    return dataclasses.replace(found, prior=dataset.prior)


def of_source(source: Source, settings: ConfigDict, devices: Devices, files: dict) -> Dataset:
    """The dataset of a source in memory, split as the config says; arguments and errors as of `of_rows`."""
    source = with_offset_of(with_classes_of(source, settings), settings)
    rows = split.split_rows(source, seed=settings.seed, **tabular.split_options(settings.data))
    return of_rows(source, rows, settings, devices, files=files)


def read_data(
    config: ConfigDict,
    class_names: tuple[str, ...] = (),
    outputs: int = 0,
    schema: Schema | None = None,
    encoding: Encoding = HERE,
) -> tuple[Source, dict[str, np.ndarray]]:
    """The source that the config names and its row ids by role: train, validation, test.

    Args:
        config: its section data is read, and model.output.
        class_names: classes of a finished run that is to be evaluated; () for the classes that have rows,
            of those declared.
        outputs: number of outputs of that run's model; 0 to follow model.output.
        schema: of a table, that of the run; None to take data.schema or to infer it.
        encoding: who encodes, where data.encoder names an encoder.

    Raises:
        InputError: the data cannot be used.
    """
    data, rows = config.data, None
    if data.encoder:
        source = behind_encoder(opened(data.source, **data.args), config, encoding)
    else:
        source = load(data.source, cache_dir=data.cache_dir, **data.args)
    if data.source in TABLES:
        source, rows = tabular.read(source, config, schema or tabular.given_schema(data))
    for name in (data.group, data.time):
        source.extras.get(name)  # these arrays are read at first use: do it here, with the rest
    source = with_offset_of(with_classes_of(source, config, class_names), config, outputs)
    if rows is None:
        rows = split.split_rows(source, seed=config.seed, **tabular.split_options(data))
    return source, rows


def behind_encoder(
    rows: Source | Stream, config: ConfigDict, encoding: Encoding, files: dict | None = None
) -> Source:
    """The rows with the vectors that the config's encoder makes of them.

    Args:
        rows: what the encoder is given.
        config: its section data is read.
        encoding: who encodes.
        files: digests of rows in memory; None for those of the source's files.

    Raises:
        InputError: the encoder or the rows cannot be used.
    """
    from tf_logreg.data import embeddings  # imports TensorFlow

    def made_from() -> dict:
        data = config.data
        args = {name: value for name, value in data.args.items() if name not in PATHS}
        known = files or identity.of_rows(config)
        return {"source": data.source, "args": args, "files": digest.summary(known)}

    return embeddings.source_of(rows, config.data, made_from, encoding)


def with_classes_of(source: Source, config: ConfigDict, class_names: tuple[str, ...] = ()) -> Source:
    """The rows with the classes that have some, the positive one last, or with those of a finished run.

    Raises:
        InputError: a label is none of `class_names`, or data.positive_class is no class.
    """
    data = config.data
    splits = {data.train_split, data.validation_split, data.test_split} & set(source.splits)
    present = views.present_classes(source, splits)
    if class_names:
        return views.with_classes(source, class_names, present)
    there = tuple(name for name, used in zip(source.class_names, present, strict=True) if used)
    source = views.with_classes(source, there, present)
    return views.with_positive_class(source, data.positive_class) if data.positive_class else source


def with_offset_of(source: Source, config: ConfigDict, outputs: int = 0) -> Source:
    """The rows with the offset that data.offset names, if it names one.

    Args:
        source: rows in the classes of the model.
        config: its section data is read, and model.output.
        outputs: number of outputs of the model; 0 to follow model.output.

    Raises:
        InputError: the offset cannot be used.
    """
    if not config.data.offset:
        return source
    outputs = outputs or heads.resolve(config.model.output, len(source.class_names)).outputs
    return with_offset(source, config.data.offset, outputs)


def read_unchanged(
    config: ConfigDict,
    encoding: Encoding = HERE,
) -> tuple[Source, dict[str, np.ndarray], dict]:
    """`read_data`, and the digests of the files that it read.

    Raises:
        InputError: a file changed while it was read.
    """
    before = identity.digests(config, {}, encoding.model)
    source, rows = read_data(config, (), 0, None, encoding)
    after = identity.digests(config, before, encoding.model)
    for name, file in before["files"].items():
        if after["files"].get(name, {}).get("sha256") != file["sha256"]:
            raise InputError(f"data: {name!r} changed while it was read. Start again when it is whole.")
    return source, rows, after


def scan_rows(source: Source, rows: np.ndarray, devices: Devices) -> moments.Scan:
    """Checks and moments of some rows; each worker reads its own.

    Raises:
        InputError: a number cannot be used, with its location, or all weights are 0.
    """
    workers = devices.workers
    if workers.count == 1:
        found = scan.scan(source, rows)
    else:
        mine = shards.rows_of(rows, workers.replicas, devices.replicas)
        own = devices.together(lambda: scan.scan(source, mine))
        found = moments.merged([moments.Scan(**fields) for fields in workers.from_each(vars(own))])
    if not found.weight_sum > 0:
        raise InputError(
            f"weight: expected some rows with a weight > 0. Received: {len(rows)} rows of weight 0."
        )
    return found


def check_classes_to_learn(source: Source, rows: dict[str, np.ndarray], weight: np.ndarray) -> None:
    """Checks that every class has training rows.

    Args:
        source: the rows; its classes all have rows.
        rows: row ids by role.
        weight: [C], sum of weights of each class's training rows.

    Raises:
        InputError: a class has no training row of weight > 0; the message says where its rows are.
    """
    absent = np.flatnonzero(weight == 0)
    if not absent.size:
        return
    counts = {role: np.isin(source.labels(ids), absent).sum() for role, ids in rows.items()}
    places = ", ".join(f"{count} in {role}" for role, count in counts.items() if count)
    classes = names.told_apart(source.class_names)
    raise InputError(
        f"y: expected training rows with a weight > 0 of every class that has rows. Received: none of "
        f"{names.describe(tuple(classes[c] for c in absent))}, of {len(classes)} classes; of their rows "
        f"there are {places or 'none'}. Leave such rows out, or let some train."
    )
