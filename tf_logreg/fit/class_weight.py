"""Weights by class, and the way back to undistorted probabilities.

Training with class weights is training on a sample in which class c is w_c times as frequent, so the
probabilities are those of that sample. King and Zeng (Logistic Regression in Rare Events Data,
Political Analysis 9, 2001, eq. 7) undo it by a shift of the bias: for the sigmoid by
-log(w_1 / w_0), for the softmax by -log w_c in each class.
"""

import math

import numpy as np

from tf_logreg.errors import InputError


def parse(
    text: str, class_names: tuple[str, ...], class_weight_sum: np.ndarray, *, one_vs_rest: bool = False
) -> np.ndarray | None:
    """The weight of each class.

    Args:
        text: '' for none; 'balanced' for W / (C * W_c), which gives all classes the same sum;
            or 'name=weight,...', with 1 for classes that are not named.
        class_names: C names.
        class_weight_sum: [C], the sum of row weights of each class in training, W_c.
        one_vs_rest: 'balanced' is between each class and the others: W / (2 W_c) and W / (2 (W - W_c)).

    Returns:
        [C] float64; of each class against the rest [C, C], row c being its own problem's; None for ''.

    Raises:
        InputError: an unknown class, or a weight that is not a finite number above 0.
    """
    if not text:
        return None
    if text == "balanced" and one_vs_rest:
        own, total = class_weight_sum, class_weight_sum.sum()
        rest = np.repeat(total / (2 * (total - own))[:, None], len(own), axis=1)
        return np.where(np.eye(len(own), dtype=bool), total / (2 * own), rest)
    if text == "balanced":
        return class_weight_sum.sum() / (len(class_names) * class_weight_sum)
    weights = dict.fromkeys(class_names, 1.0)
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.rpartition("="))
        if name not in weights:
            raise InputError(
                f"class_weight: expected '', 'balanced' or 'name=weight,...' with names of "
                f"{', '.join(class_names)}. Received: {part!r} in {text!r}."
            )
        try:
            weights[name] = float(number)
        except ValueError:
            weights[name] = math.nan
        if not 0 < weights[name] < math.inf:
            raise InputError(f"class_weight: expected a finite weight > 0. Received: {part!r} in {text!r}.")
    return np.array(list(weights.values()))


def correct_prior(bias: np.ndarray, class_weight: np.ndarray) -> np.ndarray:
    """The bias of the undistorted model: [1] for the sigmoid, [C] for the softmax.

    Args:
        bias: [1] or [C], fitted with class weights.
        class_weight: [C], or 'balanced' between each class and the rest, [C, C].
    """
    if class_weight.ndim == 2:
        # All others have one weight, that of the neighbour among them.
        at = np.arange(len(bias))
        return bias - np.log(class_weight[at, at] / class_weight[at, at - 1])
    shift = np.log(class_weight)
    return bias - (shift[1:] - shift[:1] if len(bias) == 1 else shift)
