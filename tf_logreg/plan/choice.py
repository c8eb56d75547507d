"""What plans of several slices cost, and the cheapest slice that holds the job and keeps a deadline."""

import dataclasses
import math

from tf_logreg.devices import chips
from tf_logreg.errors import InputError


@dataclasses.dataclass(frozen=True)
class Offer:
    """A slice and what the job takes on it, by its plan: estimates.

    Attributes:
        topology: the slice. num_chips: how many chips it has.
        fits: whether its memory holds the job.
        seconds: of the job; the longer where passes were measured as a range.
        cost: in the currency of the prices; None without one.
        in_time: whether it keeps the deadline.
    """

    topology: str
    num_chips: int
    fits: bool
    seconds: float
    cost: float | None
    in_time: bool

    @property
    def is_possible(self) -> bool:
        """Whether the job can run there, in time."""
        return self.fits and self.in_time


def prices(given: list[str], topologies: list[str]) -> dict[str, float]:
    """What a chip costs an hour, by its kind; {} where nothing is given.

    Args:
        given: one number for all kinds, or 'v5e=1.2' for each of them.
        topologies: the slices that are planned.

    Raises:
        InputError: no number, an unknown kind, or a kind without a price.
    """
    kinds = list(dict.fromkeys(name.partition(":")[0] for name in topologies))
    if not given:
        return {}
    found = {}
    for text in given:
        kind, equals, number = text.rpartition("=")
        try:
            price = float(number)
        except ValueError:
            price = math.nan
        if not (0 <= price < math.inf) or (equals and kind not in chips.CHIPS) or (not equals and found):
            raise InputError(
                "--price_per_hour: expected what a chip costs an hour, one number, or 'v5e=1.2,v6e=2.7' by "
                f"kinds of {', '.join(chips.CHIPS)}. Received: {text!r}."
            )
        found |= {kind: price} if equals else dict.fromkeys(kinds, price)
    lacking = [kind for kind in kinds if kind not in found]
    if lacking:
        raise InputError(
            f"--price_per_hour: expected a price of {lacking[0]} too, '{lacking[0]}=...'. Received: "
            f"{','.join(given)!r}."
        )
    return found


def offer(plan: dict, price: dict[str, float], deadline_minutes: float) -> Offer:
    """What a plan comes to.

    Args:
        plan: of one slice, as `plan.plan` gives it.
        price: of a chip and hour by kind; {} for none.
        deadline_minutes: 0 for none.
    """
    name, seconds = plan["topology"], seconds_of(plan)
    kind, num_chips = name.partition(":")[0], plan["num_chips"]
    cost = price[kind] * num_chips * seconds / 3600 if price else None
    in_time = not deadline_minutes or seconds <= 60 * deadline_minutes
    return Offer(name, num_chips, plan["memory"]["fits"], seconds, cost, in_time)


def seconds_of(plan: dict) -> float:
    """How long the job takes by its config's solver: all steps, or the longer of the solves."""
    if plan["solver"] == "minibatch":
        return plan["minibatch"]["seconds"]
    return max(solve["total"] for solve in plan["full_batch"])


def cheapest(offers: list[Offer]) -> Offer | None:
    """The offer of least cost that is possible, without prices that of fewest chips; None where none is.

    Of offers that cost the same the sooner is taken.
    """
    possible = [one for one in offers if one.is_possible]
    return min(
        possible, key=lambda one: (one.num_chips if one.cost is None else one.cost, one.seconds), default=None
    )
