"""Splits rows into training, validation and test: by named splits, or fractions by class, group or time."""

import numpy as np

from tf_logreg.data.source import Source
from tf_logreg.errors import InputError
from tf_logreg.names import describe


def split_rows(
    source: Source,
    *,
    train_split: str = "train",
    validation_fraction: float = 0.0,
    test_fraction: float = 0.0,
    validation_split: str = "",
    test_split: str = "",
    group: str = "",
    time: str = "",
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Divides a source's rows.

    Args:
        source: the rows.
        train_split: the named split that training rows come from.
        validation_fraction, test_fraction: shares of train_split, in [0, 1), set aside class by
            class with a seeded draw; 0 for none.
        validation_split, test_split: named splits to use instead; '' for none.
        group: name of the extra by which whole groups are set aside, never split; '' for none.
        time: name of the extra by which the latest rows are set aside, equal times together.
        seed: of the draw.

    Returns:
        int64 row ids by 'train' and, if there are any, 'validation' and 'test'.

    Raises:
        InputError: an unknown split, a split used twice, or nothing left to train on.
    """
    named = {"train": train_split, "validation": validation_split, "test": test_split}
    named = {role: split for role, split in named.items() if split}
    for role, split in named.items():
        if split not in source.splits:
            known = describe(tuple(source.splits))
            raise InputError(f"data.{role}_split: expected one of {known}. Received: {split!r}.")
    if len(set(named.values())) < len(named):
        raise InputError(f"data.*_split: expected different splits. Received: {named}.")
    rows = {
        role: np.arange(source.splits[split].start, source.splits[split].stop)
        for role, split in named.items()
    }
    fractions = {"validation": validation_fraction, "test": test_fraction}
    if any(fractions.values()):
        train = rows["train"]
        if group:
            drawn = _by_group(train, values_of(source, "group", group, train), fractions, seed)
        elif time:
            drawn = _by_time(train, values_of(source, "time", time, train), fractions)
        else:
            drawn = _stratify(train, source.labels(train), fractions, seed)
        rows |= {role: part for role, part in drawn.items() if role == "train" or fractions[role]}
    for role in [*named, *(role for role, fraction in fractions.items() if fraction and (group or time))]:
        if not rows[role].size:
            raise InputError(
                f"data.*_split and data.*_fraction: no rows are left for {role!r}. Received: "
                f"{len(source.splits[train_split])} rows in split {train_split!r}, {validation_fraction=}, "
                f"{test_fraction=}, {group=}, {time=}."
            )
    return {role: rows[role] for role in ("train", "validation", "test") if role in rows and rows[role].size}


def _stratify(
    rows: np.ndarray, y: np.ndarray, fractions: dict[str, float], seed: int
) -> dict[str, np.ndarray]:
    """Draws each fraction from each class; sizes are rounded so that no class drifts by a row."""
    rng = np.random.default_rng([seed, 1])
    drawn = {"train": [], "validation": [], "test": []}
    for c in np.unique(y):
        members = rng.permutation(rows[y == c])
        # Rounding the cumulative shares keeps the sum right; a class's only row stays in training.
        shares = np.cumsum([fractions["validation"], fractions["test"]])
        first, second = (min(int(share * len(members) + 0.5), len(members) - 1) for share in shares)
        drawn["validation"].append(members[:first])
        drawn["test"].append(members[first:second])
        drawn["train"].append(members[second:])
    return {role: np.sort(np.concatenate(parts)) for role, parts in drawn.items()}


def _by_group(
    rows: np.ndarray, groups: np.ndarray, fractions: dict[str, float], seed: int
) -> dict[str, np.ndarray]:
    """Sets whole groups aside, in a seeded order, until each fraction of the rows is reached."""
    _, group, size = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, 2]).permutation(len(size))
    # A group's role depends on where the rows before it end, so a large group cannot overshoot a small share.
    before = np.cumsum(size[order]) - size[order]
    first = fractions["validation"] * len(rows)
    second = first + fractions["test"] * len(rows)
    role = np.empty(len(size), int)
    role[order] = np.where(before < first, 0, np.where(before < second, 1, 2))
    return {name: rows[role[group] == k] for k, name in enumerate(("validation", "test", "train"))}


def _by_time(rows: np.ndarray, times: np.ndarray, fractions: dict[str, float]) -> dict[str, np.ndarray]:
    """Trains on the past: the latest rows test, those before them validate; equal times stay together."""
    ordered = np.sort(times)

    def cut(share: float) -> np.ndarray:
        if not share:
            return np.zeros(len(rows), bool)
        # Rounding, so that fractions that add up in decimal do not lose a row in binary.
        return times >= ordered[min(len(rows) - 1, int(np.ceil(round((1 - share) * len(rows), 6))))]

    test, held = cut(fractions["test"]), cut(fractions["validation"] + fractions["test"])
    return {"train": rows[~held], "validation": rows[held & ~test], "test": rows[test]}


def values_of(source: Source, role: str, name: str, rows: np.ndarray) -> np.ndarray:
    """The source's values to split by; InputError if there are none, or some are missing."""
    if name not in source.extras:
        raise InputError(
            f"data.{role}: expected one of the source's further columns "
            f"({describe(tuple(source.extras)) or 'it has none'}). Received: {name!r}."
        )
    values = source.extras[name][rows]
    if values.ndim != 1:
        raise InputError(
            f"data.{role}: expected one value a row. Received: shape {source.extras[name].shape}."
        )
    if values.dtype.kind not in "biufUSM":
        raise InputError(f"data.{role}: expected numbers, strings or dates. Received: dtype {values.dtype}.")
    missing = {"f": np.isnan, "M": np.isnat}.get(
        values.dtype.kind, lambda v: v == np.array("", v.dtype) if v.dtype.kind in "US" else v != v
    )
    gaps = np.flatnonzero(missing(values))
    if gaps.size:
        raise InputError(
            f"data.{role}: expected a value in each row. Received: none in {source.place(rows[gaps[0]])}."
        )
    return values
