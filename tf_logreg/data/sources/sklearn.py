"""The small real data sets that scikit-learn ships, without a download."""

from sklearn import datasets

from tf_logreg.data import labels
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.source import Source
from tf_logreg.errors import InputError

_SETS = {
    "breast_cancer": datasets.load_breast_cancer,  # 569 x 30, 2 classes
    "digits": datasets.load_digits,  # 1797 x 64, 10 classes
    "iris": datasets.load_iris,  # 150 x 4, 3 classes
    "wine": datasets.load_wine,  # 178 x 13, 3 classes
}


def load(name: str = "digits") -> Source:
    """Loads a bundled data set.

    Args:
        name: breast_cancer, digits, iris or wine.

    Raises:
        InputError: another name.
    """
    if name not in _SETS:
        raise InputError(f"data.args.name: expected one of {', '.join(_SETS)}. Received: {name!r}.")
    bunch = _SETS[name]()
    y, class_names = labels.encode(bunch.target, tuple(str(c) for c in bunch.target_names))
    columns = tuple(str(column).replace(" (cm)", "") for column in bunch.feature_names)
    return from_arrays(bunch.data, y, class_names=class_names, feature_names=columns)
