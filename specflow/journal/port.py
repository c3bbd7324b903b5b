"""What the core asks of a journal. `memory` and `sql` both fulfil it, under one contract suite.

Every method that changes something is one transaction: the change, its event row, and the check that
the lease is still the newest. Methods may be awaited from any event loop of the process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from specflow.journal.after_call import AfterCall
from specflow.journal.approval import Approval
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
from specflow.journal.rules import ORPHANED
from specflow.lifecycle import ApprovalState, Stage
from specflow.sealing.sealed import Sealed


class Transaction(Protocol):
    """One try of a call whose effect lives in the journal's database; see `CallTransaction`."""

    @property
    def connection(self) -> Any:
        """A SQLAlchemy connection for the tool: what is done on it is kept with the outcome, or not."""
        ...

    async def record(self, outcome: Outcome) -> bool:
        """As `Journal.record` of the effect, with all of the transaction; and it is over."""
        ...

    async def move(self, source: Stage, target: Stage, *, cause: str = "") -> bool:
        """As `Journal.move` of the effect, with all of the transaction; and it is over."""
        ...

    async def rollback(self) -> None:
        """Keep nothing; and it is over. Again is harmless."""
        ...


class Journal(AfterCall, Protocol):
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

    async def newest_session(self, thread: str, *, tenant: str = "") -> SessionRow | None:
        """The session of the conversation that was opened last, whatever its state; None when there was none.

        The number of the event that opened it decides, never a clock. Taking one over is not opening it.
        """
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
        """What sessions of this logical run have committed, oldest first; nothing without a `run_key`.

        A patch and its base are one.
        """
        ...

    async def doubtful_by_run(self, thread: str, run_key: str, *, tenant: str = "") -> tuple[Kept, ...]:
        """Real calls of this logical run of which nobody knows whether they happened (unknown, or stuck)."""
        ...

    async def run_taken_back(self, thread: str, run_key: str, *, tenant: str = "") -> bool:
        """Whether a session of this logical run was decided to take back what it did."""
        ...

    async def readopt(self, lease: Lease, effect_id: str, adopted_by: str, *, moment: str = "") -> bool:
        """A resumed run, whose checkpoint was lost, asks again for an effect that stands committed: from
        now on `adopted_by` finds it as well. False when it does not stand, when `adopted_by` is taken, or
        when this session has adopted it already. The base of a patch is not adopted without it. `moment`
        is kept beside the name, as that of an intent.
        """
        ...

    async def condemn(
        self,
        lease: Lease,
        effect_ids: Sequence[str],
        *,
        seen: Collection[str] = (),
        cause: str = ORPHANED,
    ) -> tuple[Lease, ...]:
        """Committed effects of closed sessions that the resumed run never asked for, or, with `TAKEN_BACK`
        as the `cause`, of a run that takes back all it did: all of them are compensating from now on.

        Their sessions are active again under the leases returned (fence + 1, same owner as `lease`; their
        decisions stay), to be settled; recovery goes on with them after a crash.

        Left alone is what was adopted again under a name that is not among `seen`: another run has it. A
        patch takes its base along; the base alone is left.
        """
        ...

    async def intend(self, lease: Lease, intent: Intent) -> int:
        """Write branch, effect (stage intended), claims and events, durably; returns the effect's `seq`.

        Raises:
            ClaimedError: an effect of another session of the tenant is undecided on what this one claims
                (or one of this session is, which is lost); nothing was written, and it may be tried again.
            ApprovalError: the approval it rests on does not cover it; nothing was written.
            JournalError: when the effect, the key or `adopted_by` is already there, or what it amends is not
                there to be amended.
        """
        ...

    async def ask(self, question: Approval) -> Approval:
        """Put on record what a person is asked, before it is shown; returns what stands.

        A question that is there already (a node that ran again asks the same) stays as it was first asked.
        Needs no session: the question outlives it.
        """
        ...

    async def decide(
        self, approval_id: str, state: ApprovalState, *, decision: str = "", cause: str = "", at: float
    ) -> bool:
        """Compare-and-set asked -> refused (a person said no, or answered) or void (none counts any more).

        False: it was decided before, used up by an intent, or never asked.
        """
        ...

    async def approval(self, approval_id: str) -> Approval | None:
        """One question, and what became of it."""
        ...

    async def open_approvals(self, call_name: str) -> tuple[Approval, ...]:
        """Questions about one real call that nobody has answered yet, oldest first."""
        ...

    @property
    def offers_transactions(self) -> bool:
        """Whether tools can make their effects in its own database."""
        ...

    async def transaction(self, lease: Lease, effect_id: str) -> Transaction:
        """For one try of that effect's call, or of its undo. Raises JournalError where it offers none, or the
        database cannot be reached.
        """
        ...

    async def adopt(self, lease: Lease, effect_id: str, adopted_by: str, *, moment: str = "") -> bool:
        """The one compare-and-set by which an effect commits: its branch open -> confirmed and
        `adopted_by` set. False when the branch was already decided, `adopted_by` is taken, or the branch
        above it or an effect that it builds on is not confirmed itself. A patch, and what has one, is not
        adopted alone. `moment` is kept beside the name, as that of an intent.
        """
        ...

    async def adopt_patched(
        self, lease: Lease, effect_id: str, patch_id: str, adopted_by: str, *, moment: str = ""
    ) -> bool:
        """The same compare-and-set for an effect and its patch (`UndoPlan.covered_by`), both of them done:
        both commit, or neither does. `adopted_by` leads to the patch; the base is adopted under that name
        with `cover.BASE` behind it.
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

    async def predictions(self, most: int) -> tuple[PredictionRow, ...]:
        """How the last `most` (1 or more) speculations ended that are on record, the oldest of them first."""
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
