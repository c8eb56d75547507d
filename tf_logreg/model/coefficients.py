"""`coefficients.npz`: everything that is needed to rebuild a run's model, as plain arrays.

No other file of a work directory is read to build a model, because loading a Keras file can run code in it.
"""

import dataclasses

import numpy as np

from tf_logreg import storage
from tf_logreg.errors import InputError
from tf_logreg.model import compact
from tf_logreg.model import head as heads
from tf_logreg.model.model import Model

NAME = "coefficients.npz"
_DTYPES = ("float32", "float64")


def write(folder: storage.Folder, model: Model) -> None:
    """Writes `coefficients.npz`."""
    arrays = compact.packed(model.kernel, model.feature_names, sparse=model.sparse)
    arrays |= {"bias": model.bias, "class_names": np.array(model.class_names)}
    arrays |= {"output": np.array(model.head.kind), "dtype": np.array(model.dtype)}
    arrays["has_bias"] = np.array(model.has_bias)
    if model.sparse:
        arrays["sparse"] = np.array(True)
    if model.threshold is not None:
        arrays["threshold"] = np.array(model.threshold, np.float64)
    if model.error_bound is not None and model.takes_dense:
        arrays["error_bound"] = model.error_bound
    if model.mean is not None:
        arrays |= {"mean": model.mean, "deviation": model.deviation}
    folder.write_arrays(NAME, arrays)


def read(folder: storage.Folder) -> Model:
    """Reads and checks `coefficients.npz`; for version 1, output and dtype come from `config.json`.

    Raises:
        InputError: the file is missing or damaged, lacks an array, or its arrays disagree.
    """
    arrays, fault = folder.read_arrays(NAME), ""
    try:
        arrays = compact.unpacked(arrays)
    except ValueError as error:
        fault = str(error)
    if not {"output", "dtype"} & arrays.keys():
        arrays |= {name: np.array(value) for name, value in _of_version_one(folder, arrays).items()}
    if fault := fault or _fault(arrays) or _disagreement(arrays):
        raise InputError(f"{folder.field}: cannot use {folder.where(NAME)!r}: {fault}.")
    names = (tuple(arrays[name].tolist()) for name in ("feature_names", "class_names"))
    head = heads.Head(str(arrays["output"]), len(arrays["class_names"]))
    return Model(
        arrays["kernel"],
        arrays["bias"],
        *names,
        head,
        has_bias=_has_bias(arrays),
        dtype=str(arrays["dtype"]),
        sparse=bool(arrays.get("sparse", False)),
        threshold=float(arrays["threshold"]) if "threshold" in arrays else None,
        error_bound=arrays.get("error_bound"),
        mean=arrays.get("mean"),
        deviation=arrays.get("deviation"),
    )


def _has_bias(arrays: dict[str, np.ndarray]) -> bool:
    """Whether a bias was fitted; files of earlier versions do not say it, but hold zeros where none was."""
    fitted = arrays["bias"].any() or len(np.atleast_1d(arrays.get("error_bound", ()))) > len(arrays["kernel"])
    return bool(arrays.get("has_bias", fitted))


def read_start(
    folder: storage.Folder, columns: tuple[str, ...], class_names: tuple[str, ...], head: heads.Head
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [p, m] and bias [m] of another run, in raw units, to start from.

    Features in another order are matched by their names.

    Raises:
        InputError: there is no such run, or its features, classes or output differ.
    """
    found = read(folder)
    at = {name: j for j, name in enumerate(found.feature_names)} if found.feature_names != columns else {}
    if at and len(at) == len(found.feature_names) == len(columns) and at.keys() == set(columns):
        kernel = found.kernel[[at[name] for name in columns]]
        found = dataclasses.replace(found, kernel=kernel, feature_names=columns)
    for name, expected in (("feature_names", columns), ("class_names", class_names)):
        if getattr(found, name) != expected:
            raise InputError(
                f"{folder.field}: expected a run with the same {name}, {len(expected)} of them. "
                f"Received: {folder.path!r} with {len(getattr(found, name))}."
            )
    if found.head != head:
        raise InputError(
            f"{folder.field}: expected a run with model.output={head.kind!r}. "
            f"Received: {folder.path!r} with {found.head.kind!r}."
        )
    return found.kernel, found.bias


def read_prior(
    folder: storage.Folder, columns: tuple[str, ...], class_names: tuple[str, ...], head: heads.Head
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Coefficients of another run for some features, matched by their names.

    Returns:
        Kernel [p, m] in raw units, zero for features that the run did not have, its bias [m], how many
        features both have, and how many only the run.

    Raises:
        InputError: there is no such run, none of its features is here, a name occurs twice, or its classes or
            output differ.
    """
    found = read(folder)
    if (found.class_names, found.head) != (class_names, head):
        raise InputError(
            f"{folder.field}: expected a run of the classes {', '.join(class_names[:20])} with "
            f"model.output={head.kind!r}. Received: {folder.path!r} of {', '.join(found.class_names[:20])} "
            f"with {found.head.kind!r}."
        )
    if found.feature_names == columns:
        return found.kernel, found.bias, len(columns), 0
    place = {name: j for j, name in enumerate(found.feature_names)}
    if len(place) < len(found.feature_names) or len(set(columns)) < len(columns):
        raise InputError(
            f"{folder.field}: expected features with a name each, by which they are matched. Received: "
            f"names that occur twice, here or in {folder.path!r}."
        )
    both = [(j, place[name]) for j, name in enumerate(columns) if name in place]
    if not both:
        raise InputError(
            f"{folder.field}: expected a run with some of these {len(columns)} features. Received: "
            f"{folder.path!r}, none of whose {len(place)} features has the name of one."
        )
    here, there = (list(part) for part in zip(*both, strict=True))
    kernel = np.zeros((len(columns), head.outputs))
    kernel[here] = found.kernel[there]
    return kernel, found.bias, len(both), len(place) - len(both)


def _of_version_one(folder: storage.Folder, arrays: dict[str, np.ndarray]) -> dict[str, str]:
    """Output and dtype of a run of version 1, which did not save them with the weights."""
    record = folder.read_json("config.json")
    num_classes = len(np.atleast_1d(arrays.get("class_names", ())))
    try:
        output = heads.resolve(str(record["config"]["model"]["output"]), num_classes).kind
    except (KeyError, TypeError, InputError):
        where = folder.where("config.json")
        raise InputError(f"{folder.field}: cannot use {where!r}: it lacks config.model.output.") from None
    return {"output": output, "dtype": "float64" if record.get("dtype") == "float64" else "float32"}


def _fault(arrays: dict[str, np.ndarray]) -> str:
    """Message about an array that is missing or has the wrong rank or kind; '' when there is none."""
    ranks = {"kernel": 2, "bias": 1, "feature_names": 1, "class_names": 1, "output": 0, "dtype": 0}
    for name in ("sparse", "has_bias"):
        if np.ndim(arrays.get(name, 0)):
            return f"its {name!r} is of shape {arrays[name].shape}"
    threshold = arrays.get("threshold", np.float64(0.5))
    if np.ndim(threshold) or threshold.dtype.kind != "f" or not 0 <= threshold <= 1:
        return f"its 'threshold' is {threshold!r}, no number in [0, 1]"
    for name, rank in ranks.items():
        if (array := arrays.get(name)) is None:
            return f"it lacks {name!r}"
        if array.ndim != rank or array.dtype.kind != ("f" if name in ("kernel", "bias") else "U"):
            return f"its {name!r} is of shape {array.shape} and dtype {array.dtype}"
    return ""


def _disagreement(arrays: dict[str, np.ndarray]) -> str:
    """Message about arrays that disagree, each of the right rank and kind; '' when they agree."""
    output, dtype = str(arrays["output"]), str(arrays["dtype"])
    features, classes = len(arrays["feature_names"]), len(arrays["class_names"])
    if output not in heads.KINDS:
        return f"its 'output' is {output!r}, none of {', '.join(heads.KINDS)}"
    if dtype not in _DTYPES:
        return f"its 'dtype' is {dtype!r}, none of {', '.join(_DTYPES)}"
    if classes < 2 or (output == "sigmoid" and classes != 2):
        return f"it has {classes} class names for a {output}"
    if "threshold" in arrays and classes != 2:
        return f"it has a threshold beside {classes} classes"
    shape = features, heads.Head(output, classes).outputs
    if arrays["kernel"].shape != shape or arrays["bias"].shape != shape[1:]:
        return (
            f"{features} feature names and {classes} class names of a {output} disagree with a kernel "
            f"{arrays['kernel'].shape} and a bias {arrays['bias'].shape}"
        )
    for name in ("mean", "deviation"):
        if name in arrays and (arrays[name].shape != (features,) or arrays[name].dtype.kind != "f"):
            return f"its {name!r} is of shape {arrays[name].shape}, for {features} features"
    bound, expected = arrays.get("error_bound"), (features + _has_bias(arrays), shape[1])
    if bound is not None and (bound.shape != expected or bound.dtype.kind != "f"):
        return f"its 'error_bound' is of shape {bound.shape}, for {features} features"
    for name in ("kernel", "bias"):
        if not np.isfinite(arrays[name]).all():
            return f"its {name!r} has numbers that are not finite"
    return ""
