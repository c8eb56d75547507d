"""Prices and deadlines: the cheapest slice that holds the job in time, and what is said where none does."""

import pytest

from tf_logreg.devices import chips
from tf_logreg.errors import InputError
from tf_logreg.plan import choice, report


def a_plan(topology, seconds, *, fits=True, steps=10.0, solver="auto"):
    """What `plan.plan` gives, as far as it is looked at here."""
    return {
        "topology": topology,
        "num_chips": chips.topology(topology).num_chips,
        "solver": solver,
        "num_rows": 1000,
        "num_features": 20,
        "num_classes": 3,
        "dtype": "float32",
        "compiler": "the TPU compiler",
        "passes": {"origin": "given"},
        "memory": {"x": 1e9, "parameters": 1e6, "temporaries": 1e6, "available": 14.4e9, "fits": fits},
        "full_batch": [{"total": total} for total in seconds],
        "minibatch": {"steps": 100, "seconds": steps},
    }


PLANS = [a_plan("v5e:1x1", [400, 900]), a_plan("v5e:2x4", [60, 100]), a_plan("v6e:2x2", [90])]
PRICES = {"v5e": 1.2, "v6e": 2.7}


def offers(plans=PLANS, price=PRICES, minutes=0.0):
    return [choice.offer(plan, price, minutes) for plan in plans]


def test_an_offer_is_the_longer_estimate_at_the_price_of_all_chips():
    one, eight, four = offers(minutes=2.0)
    assert [found.seconds for found in (one, eight, four)] == [900, 100, 90]
    assert [found.cost for found in (one, eight, four)] == pytest.approx(
        [900 / 3600 * 1.2, 8 * 100 / 3600 * 1.2, 4 * 90 / 3600 * 2.7]
    )
    assert [found.in_time for found in (one, eight, four)] == [False, True, True]
    steps = choice.offer(a_plan("v5e:1x1", [9.0], steps=7200, solver="minibatch"), PRICES, 0.0)
    assert steps.cost == pytest.approx(2.4)


@pytest.mark.parametrize(
    ("minutes", "price", "best"),
    [
        (0.0, PRICES, "v5e:2x4"),
        (1.6, PRICES, "v6e:2x2"),
        (0.0, {"v5e": 0.1, "v6e": 2.7}, "v5e:2x4"),
        (0.0, {"v5e": 3.0, "v6e": 2.7}, "v6e:2x2"),
        (0.0, {}, "v5e:1x1"),  # fewest chips
        (10.0, {}, "v6e:2x2"),
        (1.0, PRICES, None),
    ],
)
def test_the_cheapest_in_time(minutes, price, best):
    found = choice.cheapest(offers(price=price, minutes=minutes))
    assert (found and found.topology) == best


def test_a_slice_that_does_not_hold_the_job_is_not_chosen():
    plans = [a_plan("v5e:1x1", [1], fits=False), a_plan("v5e:2x2", [50])]
    assert choice.cheapest(offers(plans)).topology == "v5e:2x2"
    assert choice.cheapest(offers(plans[:1])) is None


def test_of_equal_costs_the_sooner():
    plans = [a_plan("v5e:1x1", [800]), a_plan("v5e:2x4", [100])]
    assert choice.cheapest(offers(plans)).topology == "v5e:2x4"


def test_prices():
    names = ["v5e:1x1", "v6e:2x2", "v5e:2x4"]
    assert choice.prices([], names) == {}
    assert choice.prices(["1.5"], names) == {"v5e": 1.5, "v6e": 1.5}
    assert choice.prices(["v5e=1.2", "v6e=2.7", "v4=3"], names) == {"v5e": 1.2, "v6e": 2.7, "v4": 3.0}
    for bad in (["x"], ["-1"], ["nan"], ["inf"], ["v9=1"], ["v5e="], ["=1"], ["1", "2"], ["v5e=1", "2"]):
        with pytest.raises(InputError, match="--price_per_hour: expected what a chip costs an hour"):
            choice.prices(bad, names)
    with pytest.raises(InputError, match="--price_per_hour: expected a price of v6e too"):
        choice.prices(["v5e=1.2"], names)


def test_a_kind_alone_is_all_of_its_slices():
    assert chips.expanded(["v5e"])[:3] == ["v5e:1x1", "v5e:2x2", "v5e:2x4"]
    assert chips.expanded(["v6e:2x2", " v5e:1x1", "v6e:2x2"]) == ["v6e:2x2", "v5e:1x1"]
    with pytest.raises(InputError, match=r"--topology: expected one of .*'v9'"):
        chips.expanded(["v9"])
    with pytest.raises(InputError, match=r"--topology: expected some of .* Received: none"):
        chips.expanded([])


def test_the_table_of_several_slices():
    lines = report.of_several(PLANS, offers(minutes=2.0), 2.0).splitlines()
    head, *rows = lines[4:8]
    assert head.split()[0] == "slice"
    assert [row.split()[0] for row in rows] == ["v5e:1x1", "v5e:2x4", "v6e:2x2"]
    assert rows[1].split() == [
        "v5e:2x4",
        "8",
        "1.002",
        "14.4",
        "yes",
        "60.00",
        "to",
        "100.00",
        "10.00",
        "0.2667",
        "yes",
    ]
    assert rows[2].split()[5:] == ["90.00", "10.00", "0.2700", "yes"]
    assert len({len(line) for line in (head, *rows)}) == 1
    assert lines[-1] == "cheapest that fits within 2 minutes: v5e:2x4, 100.0 s, 0.2667 for the fit (estimate)"


def test_what_is_said_without_prices_and_where_none_will_do():
    assert report.choice(offers(price={}), 0.0) == "fewest chips that fits: v5e:1x1, 900.0 s (estimate)"
    assert (
        report.choice(offers(minutes=1.0), 1.0)
        == "none fits within 1 minutes: the soonest, v6e:2x2, takes 90.0 s (estimate)"
    )
    none = [a_plan("v5e:1x1", [1], fits=False)]
    assert report.choice(offers(none), 0.0) == "none of these slices holds the job (estimate)"


def test_flags(command):
    plan = ("--mode=plan", "--config=digits", "--topology=v5e:1x1,v6e:2x2")
    for flag in (
        "--price_per_hour=v5e=1.2",
        "--price_per_hour=cheap",
        "--deadline_minutes=-1",
        "--topology=",
    ):
        code, _, err = command(*plan, flag)
        assert code == 2
        assert flag[2:].partition("=")[0] in err
