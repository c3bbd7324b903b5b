"""Whether an early read still says what a read would say now: its age, the writes met, and trust."""

from __future__ import annotations

from specflow.policy.verdict import Speculate
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation, Stay
from specflow.speculation.session import Session


def overtaken(parts: Parts, session: Session, speculation: Speculation) -> bool:
    """Whether it must not be adopted any more in that session. Never true of a write."""
    return (
        demoted(parts, speculation)
        or expired(parts, speculation)
        or met_a_write(parts, session, speculation)
        or outruled(parts, speculation)
    )


def demoted(parts: Parts, speculation: Speculation) -> bool:
    """Whether its tool has turned out not to be trusted."""
    return not speculation.writes and parts.demotions.holds(speculation.tool.name)


def expired(parts: Parts, speculation: Speculation) -> bool:
    """INVARIANT: a read is at most as old as its runway, capped by its `ttl`; one still running, too.

    It may have looked at the world when it began.
    """
    ttl = speculation.settings.ttl
    if speculation.writes or ttl is None:
        return False
    return parts.clock.monotonic() - speculation.started > ttl


def outruled(parts: Parts, speculation: Speculation) -> bool:
    """Whether it was begun under a policy of then, carried here, and would not be by the policy of now."""
    if speculation.stay is not Stay.CARRIED:
        return False
    now, then = parts.judge.settings(speculation.tool), speculation.settings
    if now.ttl is None or not now.outlives_run or now.redact or now.version != then.version:
        return True
    verdict = parts.judge.judge(speculation.tool, speculation.call, context=parts.context)
    old = parts.clock.monotonic() - speculation.started > now.ttl
    return old or verdict.effect.writes or verdict.speculate is not Speculate.NOW


def met_a_write(parts: Parts, session: Session, speculation: Speculation) -> bool:
    """Whether a write of the session, or where others may have the read one of anybody's, overlaps it."""
    if speculation.writes:
        return False
    keys, since, own = speculation.footprint, speculation.started, speculation.span
    settings = speculation.settings
    # What others may have, too, is held to what others write.
    return session.writes.met(keys, since, own=own) or (
        settings.outlives_run and parts.shelf.met(keys, since, own)
    )
