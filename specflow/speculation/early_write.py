"""When a write must not be made early, although policy and gate would have it."""

from __future__ import annotations

from specflow.effects.footprint import Keys, overlap
from specflow.errors import ConflictError
from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import Candidate
from specflow.speculation.await_way import disturbing
from specflow.speculation.ground import ground
from specflow.speculation.home import writes_above
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation
from specflow.speculation.session import Session
from specflow.speculation.touch import claims_of, disturbed_by, disturbs, written_by
from specflow.speculation.turn import Outlook


def reason_not_to_write(
    outlook: Outlook, candidate: Candidate, settings: ToolSettings, verdict: Verdict, footprint: Keys
) -> str:
    """What stands against it now: `predictor`, `no_undo`, `stuck`, `conflict`, or empty for nothing."""
    session = outlook.turn.session
    if outlook.branch is not None and verdict.predictors is None:
        # INVARIANT: what rests on a guess writes only where the policy names who guessed.
        return "predictor"
    if settings.undo is None:
        return "no_undo"
    # Before the session has asked, what was known in the one before may be settled by now.
    if session.switches_read and session.switched_off.by(candidate.call.tool):
        return "stuck"
    # Nothing that may still be undone may meet a real call in flight, nor what is being undone.
    lost = [item.footprint for item in session.not_undone]
    changed = [keys for _, keys in disturbing(session)]
    nearby = (*_under_way(session), *lost, *changed)
    if any(overlap(footprint, other) for other in nearby):
        return "conflict"
    below = grounds(outlook, candidate, settings, verdict, footprint)
    return "conflict" if below is None else ""


def reason_not_to_disturb(
    session: Session, candidate: Candidate, settings: ToolSettings, verdict: Verdict
) -> str:
    """What stands against an early read that changes something on its way: `conflict`, or empty for nothing.

    It must not change that under a real call in flight, nor under an early write, nor where one is undone.
    """
    if verdict.effect.writes or not disturbs(settings, verdict):
        return ""
    changed = disturbed_by(settings, candidate.call.args, verdict)
    early = [item.footprint for item in session.pending if item.writes]
    return "conflict" if any(overlap(changed, other) for other in (*early, *_under_way(session))) else ""


def _under_way(session: Session) -> tuple[Keys, ...]:
    """What is touched by real calls, by early writes that are being adopted, and by undoing."""
    claimed = [item.footprint for item in session.claimed if item.writes]
    return (*claimed, *session.in_flight, *session.undoing.values())


def grounds(
    outlook: Outlook, candidate: Candidate, settings: ToolSettings, verdict: Verdict, footprint: Keys
) -> tuple[Speculation, ...] | None:
    """What a write would build on. None: it must wait for that."""
    if not verdict.effect.writes:
        return ()
    turn, claimed = outlook.turn, claims_of(settings, candidate.call.args)
    below = ground(turn.session.pending, turn.lane, footprint, claimed)
    above = writes_above(turn.session, outlook.branch)
    return None if below is None else tuple(dict.fromkeys((*below, *above)))


async def check_record(parts: Parts, session: Session, speculation: Speculation) -> None:
    """Once the journal has been asked: nothing is written early that this run has done already (its
    checkpoint was lost), nor over it, and nothing of a tool of which something is stuck.

    Raises:
        ConflictError: that is so.
    """
    below = session.orphans.meeting(lambda row: overlap(speculation.footprint, written_by(parts, row)))
    if below or session.orphans.holds(speculation.call.fingerprint):
        raise ConflictError(f"{speculation.call.tool} is on record as done in this run", cause="on_record")
    await session.read_switches()
    tool = speculation.tool.name
    effect_id = session.switched_off.by(tool)
    if effect_id:
        raise ConflictError(
            f"{tool} is not called early while one of its effects is stuck (journal effect {effect_id})",
            hint=f"settle it with: specflow journal resolve {effect_id}",
            effect_id=effect_id,
        )
