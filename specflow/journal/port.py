"""What the core asks of a journal. `memory` and `sql` both fulfil it, under one contract suite.

Every method that changes something is one transaction: the change, its event row, and the check that
the lease is still the newest. Methods may be awaited from any event loop of the process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from specflow.journal.record import (
    EffectRow,
    Intent,
    Kept,
    Lease,
    Outcome,
    PredictionRow,
    SessionRow,
    Snapshot,
)
from specflow.lifecycle import Stage
from specflow.sealing.sealed import Sealed


class Journal(Protocol):
    """The durable record of effects.

    Every mutating method raises FencedError when the lease is not the newest any more, and
    JournalError when the database fails (nothing was changed then).
    """

    async def open_session(
        self, session_id: str, *, thread: str, owner: str, tenant: str = "", run_key: str = ""
    ) -> Lease:
        """Create an active session and lease it to `owner`. `run_key` is the logical run it belongs to.

        Raises:
            JournalError: when the session exists already.
        """
        ...

    async def take_session(self, session_id: str, *, owner: str, force: bool = False) -> Lease | None:
        """Take an active session over: fence + 1. None when it is closed, unknown, or its lease still
        runs and its owner is not known to be dead. `force` takes it whoever holds it (the resuming
        run of the same thread).
        """
        ...

    async def active_sessions(self, thread: str | None = None) -> tuple[SessionRow, ...]:
        """Sessions not yet closed, oldest first; of one thread, or of all."""
        ...

    async def session(self, session_id: str) -> SessionRow | None:
        """One session."""
        ...

    async def abandoned_sessions(self) -> tuple[SessionRow, ...]:
        """Active sessions that `take_session` would take now, or in a moment: the lease has ended, or the
        owner is known to be dead. Oldest first.
        """
        ...

    async def close_session(self, lease: Lease, *, decision: str = "completed") -> None:
        """End a session. Its effects must be at rest; done ones under a confirmed branch become committed.

        Raises:
            JournalError: when an effect is not at rest, a branch is still open, or another decision
                was written before.
        """
        ...

    async def release_session(self, lease: Lease) -> None:
        """Give the lease back: anybody may take the session over at once. Harmless when it is not ours."""
        ...

    async def decide_session(self, lease: Lease, decision: str) -> bool:
        """Write the session's one decision (`completed` or `saga_aborted`) before acting on it, so that
        a saga that dies half-way goes on as a saga. False: another decision is already there.
        """
        ...

    async def reopen_session(self, session_id: str, *, owner: str) -> Lease | None:
        """Make a closed session that holds a stuck effect active again, for an operator: fence + 1.
        Its decision stays. None when it is unknown, not closed, or nothing in it is stuck.
        """
        ...

    async def kept_by_run(self, thread: str, run_key: str, *, tenant: str = "") -> tuple[Kept, ...]:
        """What sessions of this logical run have committed, oldest first; nothing without a `run_key`."""
        ...

    async def readopt(self, lease: Lease, effect_id: str, adopted_by: str) -> bool:
        """A resumed run, whose checkpoint was lost, asks again for an effect that stands committed: from
        now on `adopted_by` finds it as well. False when it does not stand, when `adopted_by` is taken, or
        when this session has adopted it already.
        """
        ...

    async def condemn(
        self, lease: Lease, effect_ids: Sequence[str], *, seen: Collection[str] = ()
    ) -> tuple[Lease, ...]:
        """Committed effects of closed sessions that the resumed run never asked for: all of them are
        compensating from now on. Their sessions are active again under the leases returned (fence + 1, same
        owner as `lease`; their decisions stay), to be settled; recovery goes on with them after a crash.

        Left alone is what was adopted again under a name that is not among `seen`: another run has it.
        """
        ...

    async def intend(self, lease: Lease, intent: Intent) -> int:
        """Write branch, effect (stage intended), claims and events, durably; returns the effect's `seq`.

        Raises:
            ClaimedError: an effect of another session of the tenant is undecided on what this one claims
                (or one of this session is, which is lost); nothing was written, and it may be tried again.
            JournalError: when the effect, the key or `adopted_by` is already there.
        """
        ...

    async def record(self, lease: Lease, effect_id: str, outcome: Outcome) -> bool:
        """Compare-and-set intended (or unknown, which is resolved) -> outcome.stage.

        False: the effect was in neither stage.
        """
        ...

    async def adopt(self, lease: Lease, effect_id: str, adopted_by: str) -> bool:
        """The one compare-and-set by which an effect commits: its branch open -> confirmed and
        `adopted_by` set. False when the branch was already decided, `adopted_by` is taken, or the branch
        above it or an effect that it builds on is not confirmed itself.
        """
        ...

    async def abort(self, lease: Lease, branch_id: str, cause: str) -> bool:
        """Compare-and-set the branch open -> aborted. False when it was already decided.

        Open branches below it, and those of effects that build on its effect, are lost with it.
        """
        ...

    async def move(
        self,
        lease: Lease,
        effect_id: str,
        source: Stage,
        target: Stage,
        *,
        cause: str = "",
        comp_key: str | None = None,
        comp_args: Mapping[str, Any] | None = None,
        comp_sealed: Sealed | None = None,
        not_before: float | None = None,
        error: str | None = None,
    ) -> bool:
        """Compare-and-set the stage; `source` -> `target` must be in lifecycle.MOVES. False: not in `source`.

        Each move to compensating counts one attempt. `comp_sealed` tells what is hidden in `comp_args`.
        """
        ...

    async def effect(self, effect_id: str) -> EffectRow | None:
        """One effect."""
        ...

    async def adopted(self, adopted_by: str) -> EffectRow | None:
        """The effect that a real call adopted or made, if there is one."""
        ...

    async def unsettled(self, session_id: str) -> tuple[EffectRow, ...]:
        """Effects not at rest, and done effects, newest first (reverse `seq`)."""
        ...

    async def effects(self, session_id: str) -> tuple[EffectRow, ...]:
        """Every effect of a session, newest first."""
        ...

    async def dependents(self, effect_id: str) -> tuple[EffectRow, ...]:
        """The effects that build on this one directly, newest first."""
        ...

    async def stuck_tools(self, tenant: str) -> Mapping[str, str]:
        """The tools of which an effect is stuck, in any session of the tenant, each with its oldest one."""
        ...

    async def branch_state(self, branch_id: str) -> str | None:
        """`open`, `confirmed`, `aborted`, or None."""
        ...

    async def open_branches(self, session_id: str) -> tuple[str, ...]:
        """Ids of the session's undecided branches."""
        ...

    def note(self, prediction: PredictionRow) -> None:
        """Remember how a speculation ended; written some time later, and never waited for."""
        ...

    async def snapshot(self) -> Snapshot:
        """All rows, for verify, list and show."""
        ...

    async def aclose(self) -> None:
        """Write what is queued and let go of the database. Further calls raise JournalError."""
        ...
