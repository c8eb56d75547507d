"""A fitted model: float64 weights for raw columns, and the names of features and classes.

A fit returns it and everything after a fit reads it. It needs NumPy alone; the Keras model and the
SavedModel are built from it on demand.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import scipy.sparse
import scipy.special

from tf_logreg.errors import InputError
from tf_logreg.model.bootstrap import Bootstrap
from tf_logreg.model.head import Head
from tf_logreg.model.inference import Inference
from tf_logreg.tables import description, encoding, frames
from tf_logreg.tables.schema import Schema
from tf_logreg.tables.table import Table

BIAS = "(bias)"  # name of the bias among the features
# What the names of classes are, by the type of the label's column.
_LABELS = {"integer": int, "number": float, "boolean": {"False": False, "True": True}.__getitem__}
MOST_LAID_OUT = 100_000  # features of a model of sparse rows that also takes them as dense rows


@dataclasses.dataclass(frozen=True)
class Model:
    """Logistic regression on p raw columns.

    Attributes:
        kernel: [p, m] float64; m is 1 for a sigmoid, else C.
        bias: [m] float64; zeros for a model without one.
        feature_names: p names. class_names: C names, in the order of the labels. Names may occur twice.
        head: how logits become probabilities.
        has_bias: whether the bias was fitted.
        dtype: of weights and features in the saved Keras model and SavedModel: float32 or float64.
        sparse: whether it was fitted to sparse rows, which its SavedModel then takes too.
        threshold: of two classes, in [0, 1]: class 1 is the answer where its probability is above this; None
            where none was asked for, as 0.5, and with more classes.
        schema: how the columns of a table become these features, for raw rows; None for a model of arrays.
        result: what `result.json` holds, of a model that was just fitted or loaded.
        inference: standard errors, tests and intervals, where they were asked for.
        bootstrap: replicates of the fit, where they were asked for.
        error_bound: [p or p + 1, m], the bias last: how far coefficients are at most from those of the
            optimum; infinite or None where that is not known.
        mean, deviation: [p] weighted, of the features in the training rows, where the files of the model take
            dense rows or raw columns; None where they are not known.
    """

    kernel: np.ndarray
    bias: np.ndarray
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    head: Head
    has_bias: bool = True
    dtype: str = "float32"
    sparse: bool = False
    threshold: float | None = None
    schema: Schema | None = dataclasses.field(default=None, repr=False)  # pages
    inference: Inference | None = dataclasses.field(default=None, repr=False)
    bootstrap: Bootstrap | None = dataclasses.field(default=None, repr=False)
    error_bound: np.ndarray | None = dataclasses.field(default=None, repr=False)
    mean: np.ndarray | None = dataclasses.field(default=None, repr=False)
    deviation: np.ndarray | None = dataclasses.field(default=None, repr=False)
    result: dict | None = dataclasses.field(default=None, repr=False)

    @property
    def takes_dense(self) -> bool:
        """Whether its files take dense rows [n, p]: not where rows are sparse and p is above 100,000."""
        return not self.sparse or len(self.kernel) <= MOST_LAID_OUT

    @property
    def cut(self) -> float | None:
        """The threshold as log odds of class 1, which decide: 0.0 for 0.5, infinite for 0 and 1, or None."""
        return None if self.threshold is None else float(scipy.special.logit(self.threshold))

    def classes(self, logits: np.ndarray) -> np.ndarray:
        """Index of the class that the model answers, [n] int64, from logits [n, m]; -1 for logits not finite.

        The most probable class, the lower one in a tie; with a threshold class 1 where it is more probable
        than that.
        """
        return self.head.classes(logits, self.cut)

    def logits(self, x: Any, offset: np.ndarray | None = None) -> np.ndarray:
        """Logits [n, m] float64.

        Args:
            x: [n, p] real numbers, the columns in the order of `feature_names`; or such a matrix of
                `scipy.sparse` in any format, which is not laid out. Of a model of a table also a frame of
                raw columns (pandas, polars, Arrow, a dict of arrays), by their names.
            offset: [n, m] or [n, 1], added to the logits; None for none.

        Raises:
            InputError: x is not a matrix of numbers, or has the wrong number of columns.
        """
        if self.schema is not None and frames.is_frame(x):
            x = self.encode(x)
        try:
            x = (
                x.tocsr().astype(np.float64, copy=False)
                if scipy.sparse.issparse(x)
                else np.asarray(x, np.float64)
            )
        except (TypeError, ValueError) as error:
            raise InputError(
                f"x: expected real numbers [n, {len(self.kernel)}]. Received: {error}."
            ) from None
        if x.ndim != 2 or x.shape[1] != len(self.kernel):
            raise InputError(
                f"x: expected [n, {len(self.kernel)}], a column a feature. Received: shape {x.shape}."
            )
        with np.errstate(invalid="ignore", over="ignore"):  # of NaN and infinity: such rows have no answer
            found = x @ self.kernel + self.bias
        return found if offset is None else found + offset

    def encode(self, frame: Any) -> np.ndarray | scipy.sparse.csr_array:
        """Features [n, p] of a frame of raw columns: an array or, where that would be large, CSR.

        Raises:
            InputError: a used column is missing, or holds another type than in training.
        """
        if not isinstance(frame, Table):
            frame = frames.table_of(frame)
        return encoding.encode(self.schema, frame.columns)

    def decision_function(self, x: Any) -> np.ndarray:
        """Logits in scikit-learn's shape: [n] for class 1 with one output; else [n, C].

        Args and errors are those of `logits`.
        """
        found = self.logits(x)
        return found[:, 0] if self.head.outputs == 1 else found

    def predict_proba(self, x: Any) -> np.ndarray:
        """Probabilities of all classes, [n, C] float64; NaN where a feature is NaN or infinite.

        Args and errors are those of `logits`.
        """
        return self.head.probabilities(self.logits(x))

    def predict(self, x: Any) -> np.ndarray:
        """The class of each row, [n]: its name, or of a table its label as the table has it.

        The most probable one; or with a `threshold` class 1 where it is more probable than that.
        '' where a feature is NaN or infinite.

        Args are those of `logits`.

        Raises:
            InputError: as `logits`; or the labels are numbers, and a row has no prediction.
        """
        index, labels = self.classes(self.logits(x)), self._labels
        if labels.dtype.kind == "U":
            # Index -1, for rows without a prediction, finds the '' at the end.
            return np.array([*self.class_names, ""])[index]
        if (index < 0).any():
            raise InputError(
                "x: expected finite features, as labels that are numbers have none for 'no prediction'. "
                f"Received: others in row {int((index < 0).argmax())}, counted from 0."
            )
        return labels[index]

    @property
    def _labels(self) -> np.ndarray:
        """Of the classes, [C]: names, or the table's numbers or booleans if no other names were given."""
        made = _LABELS.get(self.schema.label_type, str) if self.schema is not None else str
        try:
            return np.array([made(name) for name in self.class_names])
        except (KeyError, ValueError, OverflowError):
            return np.array(self.class_names)

    def evaluate(self, frame: Any, label: str = "") -> dict[str, float | int | None]:
        """Mean log loss in nats, accuracy and, of two classes, ROC AUC of the rows of a frame.

        Args:
            frame: raw columns and the label.
            label: its column; '' for the one of training.

        Raises:
            InputError: as `encode`; or a label that is missing in a row, or is none of the classes.
        """
        from tf_logreg.model import scores

        return scores.of_frame(self, frame, label)

    def summary(self) -> str:
        """How the fit ended, how good it is beside no features, and its largest effects, as text.

        '' of a model that does not know its `result`.
        """
        from tf_logreg.model import summary

        return "\n".join(summary.lines(self.result, self)) if self.result else ""

    def _repr_html_(self) -> str | None:
        """`summary` as a notebook shows it, with the picture of a path; None without a `result`."""
        from tf_logreg.model import page

        return page.of(self.result, self) if self.result else None

    def describe(self) -> str:
        """What each raw column is and became, as text; '' of a model of arrays."""
        if self.schema is None:
            return ""
        return description.describe(self.schema, {}, (self.result or {}).get("num_rows", 0))

    def coefficients(self) -> dict[str, list]:
        """One entry per feature and output, as columns of a table: `pandas.DataFrame(model.coefficients())`.

        Returns:
            'feature', 'class' and 'coefficient', in raw units; the bias of each output comes last, as the
            feature '(bias)'. A sigmoid's coefficients are those of class 1. 'error_bound' is how far it is at
            most from the coefficient at the exact optimum, where that is known. 'per_deviation' is a
            coefficient times its feature's standard deviation in the training rows, where these are known.
            With an inference 'std_error', 'z', 'p_value', 'ci_low', 'ci_high' and 'odds_ratio' too, NaN for
            what the rows do not determine; a softmax's are then those against the reference class, without
            that class.
        """
        outputs, bound = (
            self.class_names[1:] if self.head.outputs == 1 else self.class_names,
            self.error_bound,
        )
        features = [*self.feature_names, *([BIAS] * self.has_bias)]
        weights = np.vstack([self.kernel, *([self.bias] * self.has_bias)])
        more = {}
        if self.inference is not None:
            outputs, weights, more = self.inference.outputs, self.inference.theta, self.inference.columns()
            bound = self.error_bound_of_inference
        if self.bootstrap is not None:
            reference = None
            if self.inference is not None and self.head.outputs > 1:
                reference = self.class_names.index(self.inference.reference)
            replicates = self.bootstrap.theta(self.has_bias, reference)
            more = {**more, **self.bootstrap.columns(weights, replicates)}
        found = {
            "feature": [name for name in features for _ in outputs],
            "class": [name for _ in features for name in outputs],
            "coefficient": weights.ravel().tolist(),
        }
        if bound is not None:
            found["error_bound"] = np.where(np.isfinite(bound), bound, np.nan).ravel().tolist()
        if self.deviation is not None:
            deviation = np.append(self.deviation, [1.0] * self.has_bias)
            found["per_deviation"] = (weights * deviation[:, None]).ravel().tolist()
        return found | {name: values.ravel().tolist() for name, values in more.items()}

    @property
    def error_bound_of_inference(self) -> np.ndarray | None:
        """`error_bound` of the inference's coefficients, [q, J], which are against a reference class."""
        bound, inference = self.error_bound, self.inference
        if bound is None or inference is None or self.head.outputs == 1:
            return bound
        reference = self.class_names.index(inference.reference)
        return np.delete(bound, reference, axis=1) + bound[:, [reference]]

    def in_units(self, exponent: np.ndarray) -> "Model":
        """The same model for columns in units of 2^exponent, [p] int; unchanged if all are zero.

        Columns in such units also need float64.
        """
        if not np.any(exponent):
            return self
        return dataclasses.replace(self, kernel=np.ldexp(self.kernel, exponent[:, None]), dtype="float64")

    def to_keras(self) -> Any:
        """The same model as a `keras.Sequential`, in `dtype`: Dense `logits` over raw features."""
        from tf_logreg.model import keras_model  # imports TensorFlow, which nothing else here needs

        return keras_model.of(self)

    def export(self, path: str, format: str = "saved_model") -> None:
        """Writes the model in a form that other programs serve. docs/serving.md has what each takes.

        The SavedModel is self-contained: raw features in, probabilities and names out.
        Of a model of sparse rows it takes ids and values, and dense rows up to 100,000 features.
        Of a table it takes the raw columns that the model uses, a vector each: float64 for numbers, whole
        numbers and dates (days since 1970), NaN where missing; strings for words, 'true' and 'false' for
        booleans, '' where missing. `serving_examples` takes them as tf.Examples, `selfcheck` says whether it
        answers as this model does for ten training rows (which it holds), and `schema` returns the schema. It
        computes in float64. `saved_model.save` says more.

        Args:
            path: a folder for the SavedModel, else a file; created or replaced.
            format: 'saved_model', 'onnx', 'tflite', 'json' (which thirty lines of Python score) or 'sql'.

        Raises:
            InputError: another format, one whose package is not installed or that cannot express this model;
                or the file cannot be written.
            OSError: the folder cannot be written.
        """
        from tf_logreg.export import formats

        formats.write(self, path, format)


@functools.lru_cache(maxsize=2)  # a million names take half a second, and 60 MB
def default_names(num_features: int) -> tuple[str, ...]:
    """'x0', 'x1', ..., for features without names."""
    return tuple(f"x{j}" for j in range(num_features))
