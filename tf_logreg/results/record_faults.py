"""Whether `result.json` has the fields of `record.Result`, each of its type.

Older versions wrote fewer fields; for them only the printed ones are required.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator

from tf_logreg.results.record import (
    Bootstrap,
    Distance,
    Inference,
    Measured,
    Metrics,
    Path,
    Result,
    Start,
    StartMetrics,
    Test,
    Threshold,
)

# Fields that are printed. Results of older versions have them too, but for those of _SINCE_0_10.
_PRINTED = {
    Result: (
        "status", "message", "objective", "certified_gap", "relative_gap", "passes", "metrics", "start",
        "measured", "path", "threshold", "inference", "bootstrap", "distance", "communication",
        "num_workers",
        "num_features", "num_classes",
    ),
    Measured: ("status", "num_rows", "objective", "certified_gap"),
    Inference: ("missing", "undetermined", "cov_type", "level", "statistics"),
    Bootstrap: ("replicates", "done", "level", "log_loss", "roc_auc"),
    Distance: ("missing", "coefficient", "test_rows", "open_decisions"),
    Test: ("chi2", "df", "p_value"),
    Start: ("workdir", "objective", "metrics"),
    StartMetrics: ("log_loss", "accuracy"),
    Metrics: ("num_rows", "log_loss", "accuracy", "roc_auc"),
    Threshold: ("value", "rule", "chosen_on"),
    Path: ("penalty", "chosen", "choice", "values", "scores"),
}  # fmt: skip


_SINCE_0_10 = ("start", "measured", "threshold", "inference", "bootstrap", "distance")


def faults(found: dict, *, older: bool = False) -> list[str]:
    """Names of fields that are missing, unknown or of another type, such as 'metrics.train.log_loss'.

    Args:
        found: contents of `result.json`.
        older: whether it may be of an older version, so that only printed fields are checked.
    """
    return list(_faults(found, Result, "", older))


def _faults(value: object, kind: type, name: str, older: bool) -> Iterator[str]:
    """Names below `name` whose values have the wrong type."""
    container, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        found = [list(_faults(value, one, name, older)) for one in arguments]
        yield from found[0] if all(found) else ()
    elif dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        if not isinstance(value, dict):
            yield name
            return
        fields = typing.get_type_hints(kind)
        optional = {*getattr(kind, "__optional_keys__", ()), *(_SINCE_0_10 if older else ())}
        demanded = _PRINTED[kind] if older else fields
        inside = f"{name}." if name else ""
        for field in demanded:
            if field in value:
                yield from _faults(value[field], fields[field], inside + field, older)
            elif field not in optional:
                yield inside + field
        if not older:
            yield from (inside + field for field in value.keys() - fields.keys())
    elif container is list:
        if not isinstance(value, list):
            yield name
            return
        for k, item in enumerate(value):
            yield from _faults(item, arguments[0], f"{name}[{k}]", older)
    elif container is dict:
        if not isinstance(value, dict):
            yield name
            return
        for key, item in value.items():
            yield from _faults(item, arguments[1], f"{name}.{key}", older)
    # A whole number may stand for a float.
    elif not isinstance(value, (int, float) if kind is float else kind):
        yield name
