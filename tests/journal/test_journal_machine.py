"""The SQL journal and the one in memory, step by step, must give the same answers and the same rows."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from specflow.effects.kind import EffectClass
from specflow.errors import SpecflowError
from specflow.journal.memory import MemoryJournal
from specflow.journal.port import Journal
from specflow.journal.record import Intent, Lease, Outcome, Snapshot, UndoPlan
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.lifecycle import MOVES, Stage

SMALL = st.sampled_from(["a", "b", "c"])
CLASSES = st.sampled_from(list(EffectClass))
MOVE = st.sampled_from([(source, target) for source, targets in MOVES.items() for target in targets])
ILLEGAL = st.sampled_from([(a, b) for a in Stage for b in Stage if b not in MOVES[a]])
SPACES = itertools.count()


class TickingClock:
    """The same time for both journals: it moves between steps only."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


async def answer(call: Awaitable[Any]) -> Any:
    """What a journal says, errors included."""
    try:
        return await call
    except SpecflowError as error:
        return type(error).__name__, error.facts.get("conflict")


class Twins(RuleBasedStateMachine):
    """Random steps on two journals; names repeat often, so that clashes happen."""

    url = ""
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = TickingClock()
        self.dead: set[str] = set()
        self.space = f"x{next(SPACES)}-"
        self.journals: list[Journal] = [
            MemoryJournal(self.clock, is_dead=self.dead.__contains__),
            SqlJournal.open(self.url, durability="process", clock=self.clock, is_dead=self.dead.__contains__),
        ]

    def teardown(self) -> None:
        try:
            self.both(self.own_rows)
        finally:
            for journal in self.journals:
                self.loop.run_until_complete(journal.aclose())
            self.loop.close()

    def both(self, ask: Callable[[Journal], Awaitable[Any]]) -> Any:
        self.clock.now += 0.25
        memory, sql = (self.loop.run_until_complete(answer(ask(journal))) for journal in self.journals)
        assert memory == sql
        return memory

    async def own_rows(self, journal: Journal) -> Snapshot:
        found = await journal.snapshot()
        # The database's own clock and numbering differ; order and everything else do not.
        return Snapshot(
            sessions=tuple(
                replace(row, lease_until=float(row.lease_until > 0))
                for row in found.sessions
                if row.session_id.startswith(self.space)
            ),
            branches=tuple(row for row in found.branches if row.session_id.startswith(self.space)),
            effects=tuple(row for row in found.effects if row.session_id.startswith(self.space)),
            events=tuple(
                replace(row, seq=number)
                for number, row in enumerate(
                    row for row in found.events if row.session_id.startswith(self.space)
                )
            ),
            dependencies=tuple(row for row in found.dependencies if row.effect_id.startswith(self.space)),
            claims=tuple(row for row in found.claims if row.effect_id.startswith(self.space)),
        )

    async def own_stuck(self, journal: Journal) -> dict[str, str]:
        found = await journal.stuck_tools("t")
        return {tool: effect_id for tool, effect_id in found.items() if tool.startswith(self.space)}

    def at(self, name: str) -> str:
        return self.space + name

    def leased(self, found: Any) -> Any:
        return found if isinstance(found, Lease) else multiple()

    @rule(target=leases, name=SMALL, owner=SMALL)
    def open_session(self, name: str, owner: str) -> Any:
        return self.leased(
            self.both(lambda j: j.open_session(self.at(name), thread=self.at("t"), owner=owner, tenant="t"))
        )

    @rule(target=leases, name=SMALL, owner=SMALL, force=st.booleans())
    def take_session(self, name: str, owner: str, force: bool) -> Any:
        return self.leased(self.both(lambda j: j.take_session(self.at(name), owner=owner, force=force)))

    @rule(target=leases, name=SMALL, owner=SMALL)
    def reopen_session(self, name: str, owner: str) -> Any:
        return self.leased(self.both(lambda j: j.reopen_session(self.at(name), owner=owner)))

    @rule(owner=SMALL)
    def dies(self, owner: str) -> None:
        self.dead.add(owner)

    @rule(
        lease=leases,
        name=SMALL,
        branch=SMALL,
        key=SMALL,
        real=st.none() | SMALL,
        kind=CLASSES,
        needs=st.lists(SMALL, max_size=2),
        parent=st.none() | st.none() | SMALL,
        base=st.none() | st.none() | SMALL,
        claims=st.just([]) | st.lists(st.sampled_from(["1", "2", "*"]), max_size=2),
        args=st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters()),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
            max_leaves=4,
        ),
    )  # fmt: skip
    def intend(  # noqa: PLR0917 - hypothesis passes by name
        self,
        lease: Lease,
        name: str,
        branch: str,
        key: str,
        real: str | None,
        kind: EffectClass,
        needs: list[str],
        parent: str | None,
        base: str | None,
        claims: list[str],
        args: Any,
    ) -> None:
        intent = Intent(
            effect_id=self.at(name),
            branch_id=self.at(branch),
            # What other examples have left unknown of a tool stands in the way of its claims.
            tool=self.at("book"),
            schema_hash="s",
            policy_hash="p",
            effect=kind,
            fingerprint="f",
            args={"args": args},
            keyed=bool(claims) or real is not None,
            idem_key=self.at(key),
            hypothesis="h",
            adopted_by=None if real is None else self.at(real),
            undo=UndoPlan(tool="cancel", arguments={}, covered_by="" if base is None else self.at(base)),
            depends_on=tuple(map(self.at, needs if base is None else [base, *needs])),
            parent_id=None if parent is None else self.at(parent),
            claims=tuple(self.at(f"seat:{seat}") for seat in claims),
        )
        self.both(lambda j: j.intend(lease, intent))

    @rule(
        lease=leases,
        name=SMALL,
        stage=st.sampled_from([Stage.DONE, Stage.FAILED, Stage.UNKNOWN]),
        error=st.text(st.characters(), max_size=8),
        rev=st.none() | st.none() | st.integers(1, 4),
    )
    def record(self, lease: Lease, name: str, stage: Stage, error: str, rev: int | None) -> None:
        outcome = Outcome(stage=stage, result=[name], error=error)
        self.both(lambda j: j.record(lease, self.at(name), outcome, rev=rev))

    @rule(lease=leases, name=SMALL, rev=st.sampled_from([2, 4, 3]), until=st.sampled_from([0.5, 2.0]))
    def repeat(self, lease: Lease, name: str, rev: int, until: float) -> None:
        self.both(lambda j: j.repeat(lease, self.at(name), rev=rev, call_deadline=until))

    @rule(lease=leases, name=SMALL, real=SMALL)
    def adopt(self, lease: Lease, name: str, real: str) -> None:
        self.both(lambda j: j.adopt(lease, self.at(name), self.at(real)))

    @rule(lease=leases, name=SMALL, patch=SMALL, real=SMALL)
    def adopt_patched(self, lease: Lease, name: str, patch: str, real: str) -> None:
        self.both(lambda j: j.adopt_patched(lease, self.at(name), self.at(patch), self.at(real)))

    @rule(lease=leases, branch=SMALL, cause=st.text(st.characters(), max_size=8))
    def abort(self, lease: Lease, branch: str, cause: str) -> None:
        self.both(lambda j: j.abort(lease, self.at(branch), cause))

    @rule(
        lease=leases,
        name=SMALL,
        move=MOVE | ILLEGAL,
        key=st.none() | SMALL,
        not_before=st.none() | st.floats(0, 9),
    )
    def move(
        self,
        lease: Lease,
        name: str,
        move: tuple[Stage, Stage],
        key: str | None,
        not_before: float | None,
    ) -> None:
        comp_key = None if key is None or move[1] is not Stage.COMPENSATING else self.at(key)
        said = self.both(
            lambda j: j.move(
                lease,
                self.at(name),
                *move,
                cause="test",
                comp_key=comp_key,
                comp_args={"k": key} if key else None,
                not_before=not_before,
            )
        )
        if move[1] not in MOVES[move[0]]:
            assert said == ("InvariantError", None)

    @rule(lease=leases, decision=st.sampled_from(["completed", "saga_aborted"]), close=st.booleans())
    def end(self, lease: Lease, decision: str, close: bool) -> None:
        if close:
            self.both(lambda j: j.close_session(lease, decision=decision))
        else:
            self.both(lambda j: j.decide_session(lease, decision))

    @rule(name=SMALL, real=SMALL, branch=SMALL)
    def look(self, name: str, real: str, branch: str) -> None:
        self.both(lambda j: j.effect(self.at(name)))
        self.both(lambda j: j.adopted(self.at(real)))
        self.both(lambda j: j.unsettled(self.at(name)))
        self.both(lambda j: j.open_branches(self.at(name)))
        self.both(lambda j: j.branch_state(self.at(branch)))
        self.both(self.own_stuck)
        self.both(lambda j: j.effects(self.at(name)))
        self.both(lambda j: j.dependents(self.at(name)))

    @invariant()
    def nothing_is_broken(self) -> None:
        rows = self.loop.run_until_complete(self.own_rows(self.journals[0]))
        broken = [found for found in verify(rows) if not any(word in found.message for word in CALLERS)]
        assert not broken


CALLERS = ("an effect was undone while one that builds on it", "took back everything", "nobody can tell")
"""What callers keep and random steps do not: the order of undoing, the end of a saga, no guesses."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_and_sql_agree_step_by_step() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Twins.url = f"sqlite:///{Path(folder)}/twins.db"
        from hypothesis.stateful import run_state_machine_as_test

        run_state_machine_as_test(  # type: ignore[no-untyped-call] # hypothesis leaves it untyped
            Twins,
            settings=settings(
                max_examples=80,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
