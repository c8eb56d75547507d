"""What the sections path and cv may ask for."""

import itertools
from collections.abc import Iterator

from ml_collections import ConfigDict

from tf_logreg.fit.path import strengths
from tf_logreg.solvers import load as solvers

_INFINITY = float("inf")


def faults(config: ConfigDict) -> Iterator[str]:
    """A line for each fault: the field, what is expected and what came."""
    options, cv, data, known = config.path, config.cv, config.data, ("l1", "l2", "elastic_net")
    if options.penalty not in ("", *known):
        yield f"path.penalty: expected {', '.join(map(repr, known))} or ''. Received: {options.penalty!r}."
    yield from _strength_faults(options)
    if cv.folds < 0 or cv.folds == 1:
        yield f"cv.folds: expected 0 or a whole number >= 2. Received: {cv.folds}."
    if cv.metric not in strengths.METRICS:
        yield f"cv.metric: expected one of {', '.join(strengths.METRICS)}. Received: {cv.metric!r}."
    if cv.choose not in strengths.CHOICES:
        yield f"cv.choose: expected one of {', '.join(strengths.CHOICES)}. Received: {cv.choose!r}."
    if cv.choose == "one_standard_error" and not cv.folds:
        yield "cv.choose: expected 'best' without cv.folds. Received: 'one_standard_error'."
    if not options.penalty:
        if cv.folds:
            yield f"cv.folds: expected 0 without path.penalty. Received: {cv.folds}."
        for name in ("values", "C", "l1_ratios"):
            if options[name]:
                yield f"path.{name}: expected () without path.penalty. Received: {options[name]!r}."
        return
    for name in ("l1", "l2", "C"):
        if config[name] and (name in (options.penalty, "C") or options.penalty == "elastic_net"):
            yield (
                f"{name}: expected 0.0 with path.penalty={options.penalty!r}, which tries many. "
                f"Received: {config[name]}."
            )
    if config.solver.name == "minibatch":
        yield f"path.penalty: expected '' with solver.name='minibatch'. Received: {options.penalty!r}."
    elif options.penalty in ("l1", "elastic_net") and config.solver.name not in (
        "auto",
        *solvers.taking_l1(),
    ):
        yield (
            f"solver.name: expected auto or {', '.join(solvers.taking_l1())} with "
            f"path.penalty={options.penalty!r}. Received: {config.solver.name!r}."
        )
    if config.solver.warm_start:
        yield f"solver.warm_start: expected '' with path.penalty. Received: {config.solver.warm_start!r}."
    if not cv.folds and not (data.validation_fraction or data.validation_split):
        yield (
            "path.penalty: expected cv.folds, data.validation_fraction or data.validation_split beside it. "
            f"Received: {options.penalty!r} alone."
        )


def _strength_faults(options: ConfigDict) -> Iterator[str]:
    """What is wrong with the strengths of the section path."""
    values, inverse, ratios = options["values"], options.C, options.l1_ratios
    if not all(isinstance(v, int | float) and 0 <= v < _INFINITY for v in values):
        yield f"path.values: expected finite numbers >= 0. Received: {values!r}."
    elif any(a <= b for a, b in itertools.pairwise(values)):
        yield f"path.values: expected numbers in decreasing order, each once. Received: {values!r}."
    if not all(isinstance(v, int | float) and 0 < v < _INFINITY for v in inverse):
        yield f"path.C: expected finite numbers > 0. Received: {inverse!r}."
    elif any(a >= b for a, b in itertools.pairwise(inverse)):
        yield f"path.C: expected numbers in increasing order, each once. Received: {inverse!r}."
    if values and inverse:
        yield f"path.C: expected () beside path.values. Received: {inverse!r}."
    if not all(isinstance(v, int | float) and 0 <= v <= 1 for v in ratios):
        yield f"path.l1_ratios: expected shares in [0, 1]. Received: {ratios!r}."
    elif len(set(ratios)) < len(ratios):
        yield f"path.l1_ratios: expected each share once. Received: {ratios!r}."
    if options.penalty == "elastic_net":
        if not ratios:
            yield "path.l1_ratios: expected shares in [0, 1] with path.penalty='elastic_net'. Received: ()."
        if not values and not inverse:
            yield "path.C: expected numbers, or path.values, with path.penalty='elastic_net'. Received: ()."
    elif ratios and options.penalty:
        yield f"path.l1_ratios: expected () without path.penalty='elastic_net'. Received: {ratios!r}."
    if not (values or inverse) and options.num < 2:
        yield f"path.num: expected a whole number >= 2 without path.values. Received: {options.num}."
    if not 0 < options.ratio < 1:
        yield f"path.ratio: expected a fraction in (0, 1). Received: {options.ratio!r}."
