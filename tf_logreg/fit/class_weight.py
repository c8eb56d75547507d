"""Class weights. `prior_shift` in `model/head.py` corrects the probabilities for them."""

import csv
import math

import numpy as np

from tf_logreg import names
from tf_logreg.data import units
from tf_logreg.errors import InputError
from tf_logreg.model.head import Head


def parse(
    text: str, class_names: tuple[str, ...], class_weight_sum: np.ndarray, head: Head
) -> np.ndarray | None:
    """The weight of each class.

    Args:
        text: '' for none; 'balanced' for W / (C * W_c), which gives all classes the same sum;
            or 'name=weight,...', with 1 for classes that are not named. A name with a comma goes in
            double quotes, as in CSV: '"Smith, J"=2,other=3'; a quote within them is doubled.
        class_names: C names.
        class_weight_sum: [C], the sum of row weights of each class in training, W_c.
        head: with one-vs-rest, 'balanced' balances each class against the others: W / (2 W_c) and
            W / (2 (W - W_c)).

    Returns:
        [C] float64; for one-vs-rest with 'balanced' [C, C], row c for the problem of class c; None for ''.

    Raises:
        InputError: an unknown class, a name that two classes share, a class named twice, or a weight that
            is not a finite number above 0.
    """
    if not text:
        return None
    if text == "balanced" and head.is_one_vs_rest:
        own, total = class_weight_sum, class_weight_sum.sum()
        rest = np.repeat(total / (2 * (total - own))[:, None], len(own), axis=1)
        return np.where(np.eye(len(own), dtype=bool), total / (2 * own), rest)
    if text == "balanced":
        return class_weight_sum.sum() / (len(class_names) * class_weight_sum)
    weights = _named(text, class_names)
    # A common factor changes nothing, but weights of 1e-40 would become zero in float32.
    return np.ldexp(weights, -units.exponents(weights.max()))


def total(text: str, class_names: tuple[str, ...], class_weight_sum: np.ndarray) -> float:
    """The sum of all row weights times the weights of their classes, as they are given.

    'balanced' leaves the sum as it is, also that of each class against the others. Arguments are `parse`'s.
    """
    if not text or text == "balanced":
        return float(class_weight_sum.sum())
    return float(_named(text, class_names) @ class_weight_sum)


def _named(text: str, class_names: tuple[str, ...]) -> np.ndarray:
    """[C] weights of 'name=weight,...'."""
    parts, known = _parts(text), dict.fromkeys(class_names)
    given = dict(_named_weight(part, text, known) for part in parts)
    if len(given) < len(parts):
        raise InputError(f"class_weight: expected each class once. Received: {text!r}.")
    weights = np.ones(len(class_names))
    weights[names.positions(tuple(given), class_names, "class_weight")] = list(given.values())
    return weights


def _parts(text: str) -> list[str]:
    """'name=weight' of each class, without the quotes around names."""
    try:
        return next(csv.reader([text], skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"class_weight: expected names in quotes. Received: {text!r} ({error}).") from None


def _named_weight(part: str, text: str, known: dict[str, None]) -> tuple[str, float]:
    """A class's name and its weight from 'name=weight', a part of text."""
    name, _, number = part.rpartition("=")
    name = name if name in known else name.strip()
    if name not in known:
        raise InputError(
            f"class_weight: expected '', 'balanced' or 'name=weight,...' with names of "
            f"{names.describe(tuple(known))}. Received: {part!r} in {text!r}."
        )
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise InputError(f"class_weight: expected a finite weight > 0. Received: {part!r} in {text!r}.")
    return name, weight
