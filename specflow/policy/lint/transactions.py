"""Calls that are to be one commit with their outcome, and are not."""

from __future__ import annotations

from specflow.effects.kind import EffectClass
from specflow.policy.lint.subject import Found, Subject


def unopened(subject: Subject) -> Found:
    """SF215: transactions that nobody opens, or nobody takes."""
    for site in subject.sites:
        name = site.part.transaction
        if name is None:
            continue
        tool = subject.tool(site.name)
        if subject.effect(site.name) is EffectClass.READ_ONLY:
            message = (
                "a read is not in the journal, so nobody opens a transaction for it: remove `transaction`"
            )
            yield subject.hit(site, "transaction", message=message)
        elif tool is not None and name not in {*tool.properties, *tool.injected, *tool.hidden}:
            message = (
                f"{site.name} has no parameter {name!r}, so every call of it would fail: add "
                f"`{name}: sf.Transaction = None` to the tool, or name another one"
            )
            yield subject.hit(site, "transaction", message=message)


def one_sided(subject: Subject) -> Found:
    """SF216: effects that are one commit with their outcome, and whose undo is not."""
    for site in subject.sites:
        settings = subject.plan(site.name).settings
        if not settings.transaction or settings.undo is None or site.part.transaction is None:
            continue
        undo = subject.plan(settings.undo.tool).settings
        if not undo.transaction:
            message = (
                f"{settings.undo.tool} takes no transaction, so its undo may be called twice: give it "
                "`transaction` as well, if it writes to the same database"
            )
            yield subject.hit(site, "transaction", message=message)
