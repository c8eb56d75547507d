"""A plan as a table to read, and plans of several slices as one."""

from tf_logreg.plan.choice import Offer, cheapest


def of_several(plans: list[dict], offers: list[Offer], deadline_minutes: float) -> str:
    """The lines for several slices: what the job needs and takes on each, and which of them is cheapest.

    Args:
        plans: of the same job. offers: of each of them. deadline_minutes: 0 for none.
    """
    job = plans[0]
    lines = [
        f"{job['num_rows']:,} x {job['num_features']:,}, {job['num_classes']:,} classes, "
        f"X in {job['dtype']}, solver {job['solver']}",
        f"Estimates of {job['compiler']}, not a run.",
        f"passes expected: {job['passes']['origin']}",
        "",
        f"{'slice':<14}{'chips':>6}{'GB a chip':>11}{'of':>7}{'fits':>6}{'full-batch s':>22}"
        f"{'minibatch s':>13}{'cost':>10}{'in time':>9}",
    ]
    for plan, one in zip(plans, offers, strict=True):
        memory = plan["memory"]
        needed = (memory["x"] + memory["parameters"] + memory["temporaries"]) / 1e9
        totals = sorted(solve["total"] for solve in plan["full_batch"])
        span = f"{totals[0]:,.2f} to {totals[-1]:,.2f}" if len(totals) > 1 else f"{totals[0]:,.2f}"
        cost = "" if one.cost is None else f"{one.cost:,.4f}"
        in_time = ("yes" if one.in_time else "no") if deadline_minutes else ""
        lines.append(
            f"{one.topology:<14}{one.num_chips:>6}{needed:>11.3f}{memory['available'] / 1e9:>7.1f}"
            f"{'yes' if one.fits else 'NO':>6}{span:>22}{plan['minibatch']['seconds']:>13,.2f}{cost:>10}"
            f"{in_time:>9}"
        )
    return "\n".join([*lines, "", choice(offers, deadline_minutes)])


def choice(offers: list[Offer], deadline_minutes: float) -> str:
    """Which slice is cheapest, in a line; or why none will do."""
    asked = f" within {deadline_minutes:g} minutes" if deadline_minutes else ""
    if (best := cheapest(offers)) is not None:
        what = "fewest chips" if best.cost is None else "cheapest"
        cost = "" if best.cost is None else f", {best.cost:,.4f} for the fit"
        return f"{what} that fits{asked}: {best.topology}, {best.seconds:,.1f} s{cost} (estimate)"
    fitting = [one for one in offers if one.fits]
    if not fitting:
        return "none of these slices holds the job (estimate)"
    soonest = min(fitting, key=lambda one: one.seconds)
    return f"none fits{asked}: the soonest, {soonest.topology}, takes {soonest.seconds:,.1f} s (estimate)"


def table(plan: dict) -> str:
    """The lines that `--mode=plan` prints; each figure is an estimate and says whose."""
    memory, chips = plan["memory"], plan["num_chips"]
    gigabyte = 1e9
    fits = "fits" if memory["fits"] else "DOES NOT FIT"
    lines = [
        f"{plan['num_rows']:,} x {plan['num_features']:,}, {plan['num_classes']:,} classes, "
        f"X in {plan['dtype']}, on {plan['topology']} ({chips} chips)",
        f"Estimates of {plan['compiler']}, not a run.",
        "",
        f"memory a chip, GB      X {memory['x'] / gigabyte:.3f}   parameters and sums "
        f"{memory['parameters'] / gigabyte:.3f}   temporaries {memory['temporaries'] / gigabyte:.3f}   "
        f"of {memory['available'] / gigabyte:.1f} usable: {fits} (estimate)",
        f"smallest slice         {memory['smallest'] or 'none of this kind of chip'} (estimate)",
        "",
        f"{'program, once on each chip (estimates)':<40}{'GB moved':>10}{'Gop':>10}{'bf16 Gop':>10}"
        f"{'memory ms':>11}{'matrix ms':>11}{'compiler ms':>13}{'sum MB':>9}{'sum ms':>8}{'ms':>9}",
    ]
    for one in plan["programs"]:
        lines.append(
            f"{one['name']:<40}{one['bytes_moved'] / 1e9:>10.3f}{one['operations'] / 1e9:>10.1f}"
            f"{one['matrix_operations'] / 1e9:>10.1f}{one['memory_seconds'] * 1e3:>11.3f}"
            f"{one['matrix_seconds'] * 1e3:>11.3f}{one['compiler_seconds'] * 1e3:>13.3f}"
            f"{one['all_reduce_bytes'] / 1e6:>9.2f}{one['all_reduce_seconds'] * 1e3:>8.3f}"
            f"{one['seconds'] * 1e3:>9.3f}"
        )
    lines += [
        "",
        f"problems: {plan['num_problems']}, {plan['num_problems_at_once']} at a time",
        f"passes expected of each batch: {plan['passes']['origin']}",
    ]
    for count, solve in zip(plan["passes"]["counts"], plan["full_batch"], strict=True):
        calls = ", ".join(f"{number} {name}" for name, number in count["calls"].items())
        lines += [
            f"  {calls}, {count['host_passes']:.0f} float64 on the host ({count['status']}):",
            f"    {solve['total']:.2f} s = {solve['chips']:.2f} chips ({solve['chips_by_compiler']:.2f} by "
            f"the compiler's cycles) + {solve['host_passes']:.2f} host passes + {solve['host_algebra']:.2f} "
            "host algebra (estimate)",
        ]
    host, minibatch = plan["host"], plan["minibatch"]
    totals = sorted(solve["total"] for solve in plan["full_batch"])
    lines += [
        f"host: {host['multiply_adds_a_second_and_core'] / 1e9:.2f} G multiply-adds a second and core, "
        f"{host['cores_a_chip']} cores a chip; {host['origin']}",
        f"certificate: {plan['certificate']}",
        "",
        f"full-batch, to the certified optimum: {totals[0]:.2f} to {totals[-1]:.2f} s (estimate)",
        f"minibatch, {minibatch['steps']:,} steps: {minibatch['seconds']:.2f} s on the chips, without "
        "feeding and dispatch (estimate)",
    ]
    return "\n".join(lines)
