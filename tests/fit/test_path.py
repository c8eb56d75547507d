"""Where a path's batches begin, and which strength its scores choose."""

import numpy as np
import pytest

from tf_logreg.fit.path import solution, strengths


def test_one_standard_error_takes_the_stronger():
    # The best mean is 0.52, with a standard error of 0.02.
    scores = np.array([[0.70, 0.70, 0.70], [0.53, 0.61, 0.51], [0.50, 0.56, 0.50], [0.49, 0.60, 0.48]])
    assert strengths.choose(scores, "best") == 2
    assert strengths.choose(scores, "one_standard_error") == 2  # 0.55 is beyond 0.54
    scores[1] -= 0.02
    assert strengths.choose(scores, "one_standard_error") == 1


def test_a_batch_begins_on_the_line_through_the_last_two_solutions():
    rng = np.random.default_rng(0)
    at, along, start = rng.standard_normal((3, 2, 4)) + [[[10.0]], [[0.0]], [[0.0]]]
    strength = np.repeat([0.0, -1.0, -1.5, -4.0], 2)  # two problems of each strength
    w = at + strength.reshape(4, 2, 1) * along
    w = w.reshape(8, 4)
    w[6:] = start

    def begin(*part, sparse=False):
        return solution.ahead(w, np.array(part), 2, strength, sparse=sparse)

    np.testing.assert_allclose(begin(4, 5), w[4:6])  # half a step on
    # No further than the last two lie apart.
    np.testing.assert_allclose(begin(6, 7), at - 2.0 * along)
    np.testing.assert_array_equal(begin(2, 3), w[:2])  # one solution before
    np.testing.assert_array_equal(begin(0, 1), w[:2])  # none
    w[3, 1] = 0.0  # left the model
    assert begin(5)[0, 1] == 0
    w[[1, 3], 2] = 1.0, 0.1  # would change its sign
    np.testing.assert_allclose(begin(5)[0, 2], -0.35)
    assert begin(5, sparse=True)[0, 2] == 0
    w[3, 2] = 0.9
    np.testing.assert_allclose(begin(5, sparse=True)[0, 2], 0.85)
    w[1] = np.nan
    np.testing.assert_array_equal(begin(5), w[3:4])
    w[3] = np.nan
    np.testing.assert_array_equal(begin(5), w[5:6])


@pytest.mark.parametrize(("count_of_strengths", "together"), [(1, 1), (1, 3), (1, 4), (2, 3)])
def test_what_no_solution_comes_before_begins_where_it_is(count_of_strengths, together):
    count = count_of_strengths * together
    w = np.random.default_rng(0).standard_normal((count, 2))
    strength = np.repeat(-np.arange(float(count_of_strengths)), together)
    for size in range(1, count + 1):
        for part in (np.arange(a, min(a + size, count)) for a in range(0, count, size)):
            last = part[0] - together + (part - part[0]) % together
            expected = np.where((last >= 0)[:, None], w[np.maximum(last, 0)], w[part])
            found = solution.ahead(w, part, together, strength, sparse=False)
            np.testing.assert_array_equal(found, expected)
