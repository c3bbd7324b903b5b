"""Where an early call belongs: the branches that hope for it, and the early writes above it."""

from __future__ import annotations

from specflow.prediction.candidate import Candidate
from specflow.speculation.branch import Branch, Grove
from specflow.speculation.pending import Speculation
from specflow.speculation.session import Session


def house(
    grove: Grove, above: Branch | None, speculation: Speculation, candidate: Candidate, branch_id: str
) -> Branch | None:
    """A branch "the next call is this one" under `above`; None when there is one, or none may be opened."""
    if grove.full or any(home.parent is above for home in speculation.homes):
        return None
    home = Branch(
        branch_id=branch_id,
        hypothesis=f"next call, by {candidate.predictor}",
        odds=candidate.confidence * (above.odds if above is not None else 1.0),
        parent=above,
        depth=above.depth + 1 if above is not None else 0,
        call=speculation.call,
        recorded=speculation.writes,
    )
    grove.grow(home, speculation.lane)
    speculation.homes.append(home)
    speculation.presumed = speculation.presumed or home.presumed
    return home


def recorded_above(branch: Branch | None) -> str | None:
    """The id of the nearest branch above that the journal knows: that of an early write."""
    path = branch.path if branch is not None else ()
    return next((above.branch_id for above in path if above.recorded), None)


def writes_above(session: Session, branch: Branch | None) -> tuple[Speculation, ...]:
    """The early writes above that are not decided yet: it comes after them, and is lost with them."""
    if branch is None:
        return ()
    path = set(branch.path)
    undecided = (*session.pending, *session.claimed)
    return tuple(item for item in undecided if item.writes and not path.isdisjoint(item.homes))
