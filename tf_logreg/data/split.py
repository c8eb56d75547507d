"""Which rows train, validate and test: by the source's named splits, or by a stratified fraction."""

import numpy as np

from tf_logreg.data.source import Source, describe
from tf_logreg.errors import InputError


def split_rows(
    source: Source,
    *,
    train_split: str = "train",
    validation_fraction: float = 0.0,
    test_fraction: float = 0.0,
    validation_split: str = "",
    test_split: str = "",
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Divides a source's rows.

    Args:
        source: the rows.
        train_split: the named split that training rows come from.
        validation_fraction, test_fraction: shares of train_split, in [0, 1), set aside class by
            class with a seeded draw; 0 for none.
        validation_split, test_split: named splits to use instead; '' for none.
        seed: of the draw.

    Returns:
        Row ids, int64, under 'train' and, where there are any, 'validation' and 'test'.

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
        drawn = _stratify(rows["train"], source.labels(rows["train"]), fractions, seed)
        rows |= {role: part for role, part in drawn.items() if role == "train" or fractions[role]}
    for role in named:
        if not rows[role].size:
            raise InputError(
                f"data.{role}_split: no rows are left in {role!r}. Received: split {named[role]!r} of "
                f"{len(source.splits[named[role]])} rows, {validation_fraction=}, {test_fraction=}."
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
