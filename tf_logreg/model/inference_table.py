"""An inference as text: the coefficients with their errors, and how the fit as a whole is."""

from __future__ import annotations

import numpy as np

from tf_logreg.model import digits
from tf_logreg.model.inference import Inference
from tf_logreg.names import shortened

_MOST = 40  # lines of coefficients, and of tests
_WIDEST = 32  # characters of a name
_NAMES = {"wald": "Wald tests", "lr": "likelihood-ratio tests", "score": "score tests"}


def lines(found: Inference, bound: np.ndarray | None = None) -> list[str]:
    """Lines to print.

    Args:
        found: of a fit; of a table with further lines for columns of several coefficients.
        bound: [q, J] on the errors of its coefficients, which are shown to proven digits; None for all.
    """
    numbers = found.statistics()
    name = "LR" if numbers["llr"] is not None else "Wald"
    chi2, p = (numbers[key] for key in (("llr", "llr_p_value") if name == "LR" else ("wald", "wald_p_value")))
    text = [
        f"inference ({found.cov_type}), {found.num_rows:,.6g} rows: log likelihood "
        f"{found.log_likelihood:.6g}, without features {found.null_log_likelihood:.6g}; "
        f"{name} chi2({numbers['df_model']}) {_shown(chi2, '.5g')}, p {_p(p)}",
        f"  AIC {_shown(numbers['aic'], '.6g')}   BIC {_shown(numbers['bic'], '.6g')}   pseudo R2: McFadden "
        f"{_shown(numbers['mcfadden'], '.4f')}, Nagelkerke {_shown(numbers['nagelkerke'], '.4f')}",
        *_coefficients(found, bound),
    ]
    if found.undetermined:
        text.append(f"  {found.undetermined}.")
    for name, columns in found.tests.items():
        several = {column: values for column, values in columns.items() if values[1] > 1}
        shown = columns if name != "wald" else several  # a Wald test of one coefficient is its z
        parts = []
        for column in list(shown)[:_MOST]:
            one = found.test(name, column)
            if one["df"]:
                parts.append(
                    f"{shortened(column, _WIDEST)} chi2({one['df']}) {one['chi2']:.4g} p {_p(one['p_value'])}"
                )
        if parts:
            text.append(f"  {_NAMES[name]}: " + "; ".join(parts) + ".")
    return text


def _coefficients(found: Inference, bound: np.ndarray | None) -> list[str]:
    """A line a coefficient, beneath their heads."""
    low, high = found.interval
    ends = f"[{(1 - found.level) / 2:.4g}", f"{(1 + found.level) / 2:.4g}]"
    cells = [("", "coefficient", "std error", "z", "P>|z|", *ends)]
    for j, output in enumerate(found.outputs):
        for i, feature in enumerate(found.features):
            name = shortened(feature, _WIDEST)
            if len(found.outputs) > 1:
                name = f"{shortened(output, _WIDEST)}: {name}"
            row = (found.theta, found.std_error, found.z, found.p_value, low, high)
            numbers = [values[i, j] for values in row]
            own = digits.shown(numbers[0], None if bound is None else bound[i, j], 5)
            cells.append((name, own, f"{numbers[1]:.5g}", f"{numbers[2]:.3f}", _p(numbers[3]),
                          *(f"{v:.5g}" for v in numbers[4:])))  # fmt: skip
    left = len(cells) - 1 - _MOST
    cells = cells[: _MOST + 1]
    width = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    text = []
    for name, *numbers in cells:
        right = [number.rjust(w) for number, w in zip(numbers, width[1:], strict=True)]
        text.append("  " + "  ".join([name.ljust(width[0]), *right]))
    text.insert(0, f"  of {', '.join(map(repr, found.outputs))[:60]}, against {found.reference!r}:")
    return text + [f"  ... and {left:,} more, in coefficients.csv"] * (left > 0)


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _p(value: float | None) -> str:
    """A p-value with three digits."""
    return "-" if value is None else f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
