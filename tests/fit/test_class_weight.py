"""Weights by class: names of any text, by position."""

import numpy as np
import pytest

from tf_logreg.errors import InputError
from tf_logreg.fit import class_weight
from tf_logreg.model.head import resolve

SUMS = np.ones(3)


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("b=2", ("a", "b", "c"), [1, 2, 1]),
        (" c = 3 , a=0.5", ("a", "b", "c"), [0.5, 1, 3]),
        ('"Smith, J"=2,x=3', ("Smith, J", "x", "y"), [2, 3, 1]),
        ('"a=1,b"=2, "c, d"=3', ("a=1,b", "c, d", "e"), [2, 3, 1]),
        ("a=b=2", ("a=b", "a", "b"), [2, 1, 1]),
        ('"say ""hi"""=2', ('say "hi"', "a", "b"), [2, 1, 1]),
        ('5" nail=2', ('5" nail', "a", "b"), [2, 1, 1]),
        ('" a"=2,a=3', (" a", "a", "b"), [2, 3, 1]),
        ("=2", ("", "a", "b"), [2, 1, 1]),
        ("swan=2", ("crane", "swan", "crane"), [1, 2, 1]),
        ("balanced", ("crane", "swan", "crane"), [1, 1, 1]),
    ],
)
def test_any_name_can_be_written(text, names, expected):
    np.testing.assert_array_equal(
        class_weight.parse(text, names, SUMS, resolve("auto", len(names))), expected
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crane=2", "'crane', the name of classes 0 and 2"),
        ("swan=2,swan=3", "each class once"),
        ("owl=2", "names of 'crane', 'swan'. Received: 'owl=2'"),
        ("swan", "Received: 'swan'"),
        ("swan=0", "finite weight > 0"),
        ("swan=nan", "finite weight > 0"),
        ("swan=2,", "Received: ''"),
    ],
)
def test_a_weight_that_names_no_class_or_two(text, message):
    with pytest.raises(InputError, match=f"class_weight: .*{message}"):
        class_weight.parse(text, ("crane", "swan", "crane"), SUMS, resolve("auto", 3))
