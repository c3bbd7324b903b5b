"""What a check of the journal contract has in hand: one journal, legal steps, and the registry of checks."""

from __future__ import annotations

import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.errors import SpecflowError
from specflow.journal.port import Journal
from specflow.journal.record import Intent, Lease, Outcome, Snapshot, UndoPlan, VerifyPlan
from specflow.lifecycle import Stage

DONE = Outcome(stage=Stage.DONE, result={"booking": 7})


@dataclass(slots=True)
class Bench:
    """One journal under test. `tag` keeps its rows apart from those of other checks."""

    journal: Journal
    dead: set[str] = field(default_factory=set)
    tag: str = field(default_factory=lambda: secrets.token_hex(6))

    async def lease(self, name: str = "s", owner: str = "me") -> Lease:
        """A new session."""
        return await self.journal.open_session(f"{self.tag}-{name}", thread=self.tag, owner=owner)

    def intent(self, name: str = "e", **changes: Any) -> Intent:
        """An early, compensatable booking."""
        intent = Intent(
            effect_id=f"{self.tag}-{name}",
            branch_id=f"{self.tag}-br-{name}",
            tool="book",
            schema_hash="schema",
            policy_hash="policy",
            effect=EffectClass.COMPENSATABLE,
            fingerprint="print",
            args={"seat": 1.0, "who": ["a", None, True]},
            idem_key=f"{self.tag}-key-{name}",
            hypothesis="the next call is book",
            undo=UndoPlan(tool="cancel", arguments=MappingProxyType({"id": "result.id"})),
            verify=VerifyPlan(tool="find", arguments={"key": "key"}),
            reasons=("rule 1",),
        )
        return replace(intent, **changes)

    async def start(self, lease: Lease, name: str = "e", **changes: Any) -> str:
        """Write an intent; returns the effect's id."""
        intent = self.intent(name, **changes)
        await self.journal.intend(lease, intent)
        return intent.effect_id

    def branch(self, name: str = "e") -> str:
        """The branch of the effect of that name."""
        return f"{self.tag}-br-{name}"

    def real(self, name: str = "call") -> str:
        """The identity of a real call."""
        return f"{self.tag}-{name}"

    async def stage(self, effect_id: str) -> Stage:
        """Where the effect stands."""
        row = await self.journal.effect(effect_id)
        assert row is not None, f"{effect_id} is not there"
        return row.stage

    async def rows(self) -> Snapshot:
        """The rows that belong to this check, without what a journal does unasked: a lease that runs has no
        end here, whenever it was renewed, and shows nothing of its owner.
        """
        everything = await self.journal.snapshot()

        def ours(items: tuple[Any, ...], name: str) -> tuple[Any, ...]:
            return tuple(item for item in items if getattr(item, name).startswith(self.tag))

        return Snapshot(
            sessions=tuple(
                replace(row, presence="", lease_until=math.inf if row.lease_until else 0.0)
                for row in ours(everything.sessions, "session_id")
            ),
            branches=ours(everything.branches, "session_id"),
            effects=ours(everything.effects, "session_id"),
            events=ours(everything.events, "session_id"),
            predictions=ours(everything.predictions, "session_id"),
            dependencies=ours(everything.dependencies, "effect_id"),
            claims=ours(everything.claims, "effect_id"),
            approvals=ours(everything.approvals, "approval_id"),
        )


Check = Callable[[Bench], Awaitable[None]]
_checks: dict[str, Check] = {}
REGISTERED: Mapping[str, Check] = MappingProxyType(_checks)
"""Every check that was imported, by name."""


def check(function: Check) -> Check:
    """Add a check to the contract."""
    _checks[getattr(function, "__name__", repr(function))] = function
    return function


async def refuses(expected: type[SpecflowError], awaitable: Awaitable[object]) -> SpecflowError:
    """The error that `awaitable` must raise."""
    try:
        answer = await awaitable
    except expected as error:
        if type(error) is not expected:
            raise AssertionError(f"{type(error).__name__} instead of {expected.__name__}") from error
        return error
    raise AssertionError(f"{expected.__name__} was expected, not {answer!r}")


def path_of(rows: Snapshot, subject: str) -> list[tuple[str, str]]:
    """The moves of one session, branch or effect, in order."""
    return [(event.source, event.target) for event in rows.events if event.subject == subject]


async def to_stage(bench: Bench, lease: Lease, name: str, goal: Stage, **changes: Any) -> str:
    """Bring a new effect to `goal` by legal moves only; returns its id. `changes` are of its intent."""
    journal = bench.journal
    effect_id = await bench.start(lease, name, **changes)
    if goal is Stage.INTENDED:
        return effect_id
    if goal in {Stage.UNKNOWN, Stage.FAILED, Stage.STUCK}:
        first = Stage.FAILED if goal is Stage.FAILED else Stage.UNKNOWN
        assert await journal.record(lease, effect_id, Outcome(stage=first, error="boom"))
        if goal is Stage.STUCK:
            assert await journal.move(lease, effect_id, Stage.UNKNOWN, Stage.STUCK, cause="unresolved")
        return effect_id
    assert await journal.record(lease, effect_id, DONE)
    if goal is Stage.COMMITTED:
        assert await journal.adopt(lease, effect_id, bench.real(name))
        assert await journal.move(lease, effect_id, Stage.DONE, Stage.COMMITTED)
    elif goal is not Stage.DONE:
        assert await journal.abort(lease, bench.branch(name), "mismatch")
        assert await journal.move(
            lease, effect_id, Stage.DONE, Stage.COMPENSATING, comp_key=f"{bench.tag}-undo-{name}"
        )
        if goal is Stage.COMPENSATED:
            assert await journal.move(lease, effect_id, Stage.COMPENSATING, Stage.COMPENSATED)
    return effect_id


REACHED = (
    Stage.INTENDED,
    Stage.DONE,
    Stage.FAILED,
    Stage.UNKNOWN,
    Stage.COMMITTED,
    Stage.COMPENSATING,
    Stage.COMPENSATED,
    Stage.STUCK,
)
"""Stages that `to_stage` can bring an effect to."""
