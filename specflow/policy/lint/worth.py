"""Prices and limits that keep what they are written for from ever happening."""

from __future__ import annotations

from specflow.policy.lint.subject import Found, Subject
from specflow.policy.settings import EARLY_TIMEOUT


def unpayable(subject: Subject) -> Found:
    """SF308: tools meant to run early, whose call costs more than all the time it could save is worth."""
    for site in subject.sites:
        if not subject.early(site.name):
            continue
        settings, budgets = subject.plan(site.name).settings, subject.policy.budgets
        longest = settings.timeout or EARLY_TIMEOUT
        worth = budgets.usd_per_second * longest
        if settings.cost_usd < worth:
            continue
        message = (
            f"an early call costs {settings.cost_usd:g} USD and can save {longest:g} s at most, worth "
            f"{worth:g} USD: it is never started. Say `speculate: hold`, or raise `usd_per_second`"
        )
        if site.part.limits is not None and site.part.limits.cost_usd is not None:
            yield subject.hit(site, "limits", "cost_usd", message=message)
        else:
            yield subject.hit(site, message=message, key=True)


def unreachable(subject: Subject) -> Found:
    """SF309: limits of one tool above those over all tools."""
    for site in subject.sites:
        for name in ("max_concurrent", "max_branches", "max_per_minute"):
            mine = getattr(site.part.limits, name, None)
            most = getattr(subject.policy.budgets, name)
            if mine is not None and mine > most:
                message = (
                    f"over all tools it is {most} (defaults.speculation.{name}), so {mine} is never reached: "
                    "raise that, or remove this"
                )
                yield subject.hit(site, "limits", name, message=message)
