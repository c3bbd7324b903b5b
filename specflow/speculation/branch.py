"""A hypothesis and everything done under it. Branches nest; each ends once, confirmed or aborted.

A right hypothesis commits nothing: what is under it merely stays eligible. A wrong one ends what was started
because of it. Whether an entry of the pending table is right for a call is decided by its fingerprint and
its freshness alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from specflow.effects.call import Call
from specflow.errors import InvariantError
from specflow.lifecycle import BRANCH_MOVES, BranchState
from specflow.prediction.result_guess import ResultGuess

End = Callable[[str], object]
"""How something that a branch owns is ended; it is given the cause, and returns at once."""


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Branch:
    """One hypothesis, such as "the next call is c" or "the result of p is v".

    `odds` is the probability that it and everything above it is right; `depth` counts the guesses above.
    `decided_at` is when it was decided, in seconds on the runtime's monotonic clock. `guess` is what the
    pending call `call` is presumed to return, where that is the hypothesis. `patient`: it may take a person
    to decide it. `recorded`: it is that of a write, and in the journal. `overdue`: the message that it was a
    guess about has come without its call, which is kept for a later one. `steps` are the branches of the last
    call in each message of the fork that is the task of this one.
    """

    branch_id: str
    hypothesis: str
    odds: float
    parent: Branch | None = None
    depth: int = 0
    call: Call | None = None
    guess: ResultGuess | None = None
    patient: bool = False
    recorded: bool = False
    overdue: bool = False
    state: BranchState = BranchState.OPEN
    cause: str = ""
    decided_at: float | None = None
    children: list[Branch] = field(default_factory=list)
    on_decided: Callable[[Branch], None] | None = None
    on_end: Callable[[Branch], None] | None = None
    closed: bool = False
    steps: dict[int, Branch] = field(default_factory=dict)
    _owned: dict[object, End] = field(default_factory=dict)

    @property
    def path(self) -> Iterator[Branch]:
        """From here up: it, the one it is under, and so on to the root."""
        branch: Branch | None = self
        while branch is not None:
            yield branch
            branch = branch.parent

    @property
    def presumed(self) -> str:
        """The hypotheses from the root to this one, for people."""
        return " > ".join(reversed([branch.hypothesis for branch in self.path]))

    @property
    def effective(self) -> BranchState:
        """The decision of this branch and all above it together: right only if all of them are."""
        states = {branch.state for branch in self.path}
        # INVARIANT: the effective decision is the conjunction over the ancestors.
        for decision in (BranchState.ABORTED, BranchState.OPEN):
            if decision in states:
                return decision
        return BranchState.CONFIRMED

    @property
    def confirmed_since(self) -> float | None:
        """Since when it is certain: it and all above it are confirmed. None while they are not."""
        if self.effective is not BranchState.CONFIRMED:
            return None
        return max(branch.decided_at or 0.0 for branch in self.path)

    def due_after(self, began: float) -> bool:
        """Whether what it leads to is expected of a later model turn than the one that began at `began`."""
        if self.lost:
            return False
        since = self.confirmed_since
        return since is None or since > began

    def leads_beyond(self, began: float) -> bool:
        """Whether what was started under it waits for a later turn than that: it leads there (`due_after`),
        and is not merely kept in case that its call should come one day.
        """
        kept = any(branch.overdue and branch.state is BranchState.OPEN for branch in self.path)
        return self.due_after(began) and not kept

    @property
    def lost(self) -> bool:
        """Whether nothing may be started under it any more."""
        return any(branch.closed or branch.state is BranchState.ABORTED for branch in self.path)

    @property
    def idle(self) -> bool:
        """Whether it was right, and nothing goes on under it."""
        return self.state is BranchState.CONFIRMED and not self.children and not self._owned

    def own(self, item: object, end: End) -> None:
        """When the branch ends, so does `item`; what was owned last ends first. Too late: it ends now."""
        if self.lost:
            end(self.cause or "too late")
            return
        self._owned[item] = end

    def disown(self, item: object) -> None:
        """The item is over, or has got another home; it is not the branch's to end any more."""
        self._owned.pop(item, None)

    def start(self, task: asyncio.Task[None], cancel: Callable[[asyncio.Task[None]], None]) -> None:
        """Own a task until it is done: when the branch is aborted it is cancelled, by `cancel`."""
        self.own(task, lambda _cause: cancel(task))
        task.add_done_callback(self.disown)

    def confirm(self, at: float) -> bool:
        """The hypothesis was right. What is under it stays eligible, and no more. False: decided before."""
        return self._decide(BranchState.CONFIRMED, "", at)

    def abort(self, cause: str, at: float) -> bool:
        """The hypothesis was wrong: end what is under it. False: decided before.

        Children first, the newest first, then what it owns itself in reverse order.
        """
        if not self._decide(BranchState.ABORTED, cause, at):
            return False
        self.close(cause, at)
        return True

    def close(self, cause: str, at: float) -> None:
        """Whether it was right does not matter any more: abort what is open under it, end what it owns."""
        if self.closed:
            return
        # INVARIANT: ended exactly once; what ends below may come back here.
        self.closed = True
        if self.parent is not None and self in self.parent.children:
            self.parent.children.remove(self)
        while self.children:
            child = self.children[-1]
            child.abort(cause, at)
            child.close(cause, at)
            if self.children and self.children[-1] is child:
                self.children.pop()
        while self._owned:
            _item, end = self._owned.popitem()
            end(cause)
        if self.on_end is not None:
            self.on_end(self)

    def _decide(self, state: BranchState, cause: str, at: float) -> bool:
        if state not in BRANCH_MOVES[self.state]:
            return False
        # INVARIANT: a decided branch is immutable.
        self.state, self.cause, self.decided_at = state, cause, at
        if self.on_decided is not None:
            self.on_decided(self)
        return True


class Grove:
    """The branches of one session: bounded, and none forgotten when it closes."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._roots: dict[Branch, str] = {}
        self._open = 0

    def __len__(self) -> int:
        return self._open

    @property
    def full(self) -> bool:
        """Whether no further branch may be opened."""
        return self._open >= self._most

    def grow(self, branch: Branch, lane: str) -> Branch:
        """Enter a new branch under its parent, or as a root of the lane.

        Raises:
            InvariantError: its parent has ended; nothing is started under a hypothesis that is lost.
        """
        if branch.parent is None:
            self._roots[branch] = lane
        elif branch.parent.lost:
            raise InvariantError(f"branch {branch.branch_id} would be under one that has ended")
        else:
            branch.parent.children.append(branch)
        branch.on_end = self._ended
        self._open += 1
        return branch

    def roots(self, lane: str | None = None) -> tuple[Branch, ...]:
        """The trees of one lane or of all, the newest first."""
        return tuple(branch for branch, of in reversed(self._roots.items()) if lane is None or of == lane)

    def prune(self) -> None:
        """Let go of what was right and has nothing under it any more."""
        for root in self.roots():
            _prune(root)

    def _ended(self, branch: Branch) -> None:
        self._roots.pop(branch, None)
        self._open -= 1


def _prune(branch: Branch) -> None:
    for child in reversed(branch.children):
        _prune(child)
    if branch.idle:
        branch.close("done", branch.decided_at or 0.0)
