"""What is shown while a fit goes on never disturbs it."""

import numpy as np

from tf_logreg.fit import progress


def test_a_gap_beyond_all_measure_is_shown_without_a_warning():
    """As the bound of an l2 of 1e-300 is: our own warnings are errors here."""
    with progress.gap_bar(np.float64(1e-10), interval=0.0) as show:
        for gap in (np.float64(1e305), np.float64(np.inf), np.float64(0.0)):
            show(1, 0.5, gap)
