"""The output of a model: the number of logits, and how they become class probabilities.

A sigmoid has one logit, that of class 1 of two. A softmax has one per class. One-vs-rest also has one per
class, each fitted as a sigmoid against all other classes, which gives C independent problems. Its
probabilities are the C sigmoids over their sum, as in scikit-learn's OneVsRestClassifier.
"""

import dataclasses

import numpy as np
import scipy.special

from tf_logreg.errors import InputError

KINDS = ("sigmoid", "softmax", "one_vs_rest")


@dataclasses.dataclass(frozen=True)
class Head:
    """The output of a model.

    Attributes:
        kind: one of KINDS.
        num_classes: C.
    """

    kind: str
    num_classes: int

    @property
    def outputs(self) -> int:
        """Columns of the kernel, m: 1 for the sigmoid, else C."""
        return 1 if self.kind == "sigmoid" else self.num_classes

    @property
    def is_one_vs_rest(self) -> bool:
        """Whether each class has a sigmoid of its own."""
        return self.kind == "one_vs_rest"

    @property
    def num_problems(self) -> int:
        """Number of independent problems in a model: C for one-vs-rest, else 1."""
        return self.num_classes if self.is_one_vs_rest else 1

    @property
    def outputs_of_problem(self) -> int:
        """Number of logits of each problem: C for the softmax, else 1."""
        return self.outputs // self.num_problems

    @property
    def positive(self) -> np.ndarray:
        """[num_problems] int32: the class that a problem separates from the rest; -1 for unchanged labels."""
        count = self.num_problems
        return np.arange(count, dtype=np.int32) if self.is_one_vs_rest else np.full(count, -1, np.int32)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities of all classes, [n, C] float64, which sum to one.

        A row with a logit that is not finite gets NaN.

        Args:
            logits: [n, m].
        """
        logits = np.asarray(logits, np.float64)
        answered = np.isfinite(logits).all(axis=1, keepdims=True)
        logits = np.where(answered, logits, 0.0)
        if self.kind == "sigmoid":
            # sigmoid(-z) keeps the digits of a small probability; 1 - sigmoid(z) would lose them.
            found = scipy.special.expit(np.concatenate([-logits, logits], axis=1))
        elif self.is_one_vs_rest:
            # The softmax of the log sigmoids, which is finite where all sigmoids underflow.
            found = scipy.special.softmax(scipy.special.log_expit(logits), axis=1)
        else:
            found = scipy.special.softmax(logits, axis=1)
        return np.where(answered, found, np.nan)

    def log_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Logarithms of `probabilities`, from the logits: finite where a probability underflows."""
        logits = np.asarray(logits, np.float64)
        answered = np.isfinite(logits).all(axis=1, keepdims=True)
        logits = np.where(answered, logits, 0.0)
        if self.kind == "sigmoid":
            found = scipy.special.log_expit(np.concatenate([-logits, logits], axis=1))
        else:
            logs = scipy.special.log_expit(logits) if self.is_one_vs_rest else logits
            found = scipy.special.log_softmax(logs, axis=1)
        return np.where(answered, found, np.nan)

    def log_odds(self, logits: np.ndarray) -> np.ndarray:
        """Log of the odds of class 1 of two, [n] float64, from logits [n, m]."""
        if self.outputs == 1:
            return logits[:, 0]
        logs = scipy.special.log_expit(logits) if self.is_one_vs_rest else logits
        return logs[:, 1] - logs[:, 0]

    def classes(self, logits: np.ndarray, cut: float | None = None) -> np.ndarray:
        """Index of the most probable class, [n] int64; the lower one in a tie, -1 for logits not finite.

        Args:
            logits: [n, m].
            cut: of two classes, class 1 is the answer where its log odds are above this; None for 0.
        """
        answered = np.isfinite(logits).all(axis=1)
        if cut is not None:
            found = (self.log_odds(logits) > np.float64(cut)).astype(np.int64)
        elif self.outputs == 1:
            found = (logits[:, 0] > 0).astype(np.int64)
        else:
            found = logits.argmax(axis=1)
        return np.where(answered, found, -1)

    def prior_shift(self, class_weight: np.ndarray) -> np.ndarray:
        """The shift to subtract from the bias, so that class weights do not distort the probabilities.

        Training with class weights is like training on a sample in which class c is w_c times as frequent.
        King and Zeng (Logistic Regression in Rare Events Data, Political Analysis 9, 2001, eq. 7) correct it.

        Args:
            class_weight: [C], or [C, C] with one row per class against the rest.

        Returns:
            [m]: log(w_1 / w_0) for the sigmoid, log w_c for a softmax.
        """
        if class_weight.ndim == 2:
            # All other classes have the same weight in a row, so any of them will do.
            at = np.arange(self.num_classes)
            return np.log(class_weight[at, at] / class_weight[at, at - 1])
        logs = np.log(class_weight)
        return logs[1:] - logs[:1] if self.outputs == 1 else logs


def resolve(name: str, num_classes: int) -> Head:
    """The head that `model.output` names: 'auto' is the sigmoid for two classes, the softmax for more.

    Raises:
        InputError: an unknown name, or a sigmoid without exactly two classes.
    """
    kind = ("sigmoid" if num_classes == 2 else "softmax") if name == "auto" else name
    if kind not in KINDS:
        raise InputError(f"model.output: expected auto, {', '.join(KINDS)}. Received: {name!r}.")
    if kind == "sigmoid" and num_classes != 2:
        raise InputError(
            f"model.output: a sigmoid takes two classes. Received: {name!r} for {num_classes} classes."
        )
    return Head(kind, num_classes)
