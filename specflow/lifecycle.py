"""The states a branch and an effect can be in, and the only legal moves between them.

This one table is the truth: SQL CHECK constraints, the journal's compare-and-set, the diagram in the
docs and the property tests all derive from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

S = TypeVar("S", bound=StrEnum)


class BranchState(StrEnum):
    """A hypothesis is open until it is decided, once and for ever."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    ABORTED = "aborted"


class Stage(StrEnum):
    """Where one effect (a call that may change the world) stands."""

    PLANNED = "planned"
    INTENDED = "intended"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    COMMITTED = "committed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    STUCK = "stuck"
    DROPPED = "dropped"


class SessionState(StrEnum):
    """A session takes effects while it is active."""

    ACTIVE = "active"
    CLOSED = "closed"


class ApprovalState(StrEnum):
    """A question to a person waits until it is answered, or until its answer could not count any more."""

    ASKED = "asked"
    USED = "used"
    REFUSED = "refused"
    VOID = "void"


def _freeze(moves: dict[S, set[S]]) -> Mapping[S, frozenset[S]]:
    return MappingProxyType({source: frozenset(targets) for source, targets in moves.items()})


MOVES: Mapping[Stage, frozenset[Stage]] = _freeze(
    {
        Stage.PLANNED: {Stage.INTENDED, Stage.DROPPED},
        Stage.INTENDED: {Stage.DONE, Stage.FAILED, Stage.UNKNOWN},
        # To intended: the same call once more under its own key, on record before it is made.
        Stage.UNKNOWN: {Stage.INTENDED, Stage.DONE, Stage.FAILED, Stage.COMPENSATING, Stage.STUCK},
        Stage.DONE: {Stage.COMMITTED, Stage.COMPENSATING},
        # Only the saga decision of the session takes back what was committed.
        Stage.COMMITTED: {Stage.COMPENSATING},
        # To itself: another attempt, after a pause.
        Stage.COMPENSATING: {Stage.COMPENSATED, Stage.COMPENSATING, Stage.STUCK},
        Stage.STUCK: {Stage.COMPENSATING, Stage.COMPENSATED},
        Stage.FAILED: set(),
        Stage.COMPENSATED: set(),
        Stage.DROPPED: set(),
    }
)
"""Every legal move of an effect. A terminal stage has none."""

BRANCH_MOVES: Mapping[BranchState, frozenset[BranchState]] = _freeze(
    {
        BranchState.OPEN: {BranchState.CONFIRMED, BranchState.ABORTED},
        BranchState.CONFIRMED: set(),
        BranchState.ABORTED: set(),
    }
)

APPROVAL_MOVES: Mapping[ApprovalState, frozenset[ApprovalState]] = _freeze(
    {
        ApprovalState.ASKED: {ApprovalState.USED, ApprovalState.REFUSED, ApprovalState.VOID},
        # To itself: the next try of the same call, after one that certainly did not happen.
        ApprovalState.USED: {ApprovalState.USED},
        ApprovalState.REFUSED: set(),
        ApprovalState.VOID: set(),
    }
)
"""Every legal move of an approval."""

START = frozenset({Stage.PLANNED, Stage.INTENDED})
"""Stages in which an effect may be born."""

TERMINAL = frozenset(stage for stage, targets in MOVES.items() if not targets)
"""Stages that nothing leaves."""

RESTING = TERMINAL | {Stage.COMMITTED, Stage.STUCK}
"""Stages an effect may stay in once its session is closed."""

HAPPENED = frozenset({Stage.DONE, Stage.COMMITTED, Stage.COMPENSATING, Stage.COMPENSATED})
"""Stages that an effect which really happened can be seen in."""


def may_move(source: Stage, target: Stage) -> bool:
    """Whether an effect may go from `source` to `target`."""
    return target in MOVES[source]
