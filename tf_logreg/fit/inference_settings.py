"""What the section inference may ask for, and what rules standard errors out."""

from collections.abc import Iterator

from ml_collections import ConfigDict

COV_TYPES = ("nonrobust", "HC0", "HC1", "cluster", "cluster_small")
WEIGHTS = ("frequency", "sampling")
TESTS = ("wald", "lr", "score")
MOST_REPLICATES = 10_000


def faults(config: ConfigDict) -> Iterator[str]:
    """A line for each fault: the field, what is expected and what came."""
    asked = config.inference
    if asked.cov_type not in ("", *COV_TYPES):
        known = ", ".join(COV_TYPES)
        yield f"inference.cov_type: expected one of {known} or ''. Received: {asked.cov_type!r}."
    if not 0 < asked.level < 1:
        yield f"inference.level: expected a share in (0, 1). Received: {asked.level!r}."
    if asked.weights not in WEIGHTS:
        yield f"inference.weights: expected one of {', '.join(WEIGHTS)}. Received: {asked.weights!r}."
    if not set(asked.tests) <= set(TESTS):
        yield f"inference.tests: expected some of {', '.join(TESTS)}. Received: {tuple(asked.tests)!r}."
    if not 0 <= asked.bootstrap <= MOST_REPLICATES:
        yield (
            f"inference.bootstrap: expected 0 to {MOST_REPLICATES:,} replicates. Received: {asked.bootstrap}."
        )
    if asked.bootstrap and config.solver.name == "minibatch":
        yield (
            "inference.bootstrap: expected 0 with solver.name='minibatch', which ends near no optimum. "
            f"Received: {asked.bootstrap}."
        )
    if asked.bootstrap and config.model.output == "one_vs_rest":
        yield (
            "inference.bootstrap: expected one model of all classes. Received: model.output='one_vs_rest': "
            "take 'softmax'."
        )
    if asked.profile and not asked.cov_type:
        yield "inference.cov_type: expected 'nonrobust' with inference.profile. Received: ''."
    if asked.cov_type:
        yield from _contradictions(config)


def _contradictions(config: ConfigDict) -> Iterator[str]:
    """What cannot stand beside standard errors, and why."""
    asked = config.inference
    reasons = (
        (
            "l1, l2, C", config.l1 or config.l2 or config.C,
            "a penalty pulls coefficients towards zero, so that their standard errors do not say how far "
            "they are from the truth: take 0.0",
        ),
        ("path.penalty", config.path.penalty, "the same is true of a chosen penalty: take ''"),
        ("class_weight", config.class_weight, "the rows are weighted as they did not come: take ''"),
        ("solver.name", config.solver.name == "minibatch", "minibatches end near no optimum: take 'auto'"),
    )  # fmt: skip
    for field, is_given, why in reasons:
        if is_given:
            yield f"{field}: expected none with inference.cov_type, as {why}."
    if asked.cov_type.startswith("cluster") and not config.data.group:
        yield "data.group: expected the column of the groups with inference.cov_type='cluster'. Received: ''."
    if set(asked.tests) - {"wald"} and asked.cov_type != "nonrobust":
        yield (
            "inference.tests: expected 'wald' alone with a robust inference.cov_type, as the others rest "
            f"on the likelihood. Received: {tuple(asked.tests)!r}, {asked.cov_type!r}."
        )
    if asked.profile and (asked.cov_type != "nonrobust" or asked.weights == "sampling"):
        yield (
            "inference.profile: expected () without inference.cov_type='nonrobust' and weights='frequency', "
            f"as it rests on the likelihood. Received: {tuple(asked.profile)!r}."
        )
    if asked.weights == "sampling" and asked.cov_type == "nonrobust":
        yield (
            "inference.cov_type: expected a robust kind with inference.weights='sampling'. Received: "
            "'nonrobust', which takes each row for as many as its weight."
        )
