"""What an agent has thought of in one run is there in the next run of its conversation, and nowhere else.

Real graphs over a real model client and a checkpointer.
"""

from __future__ import annotations

import asyncio
import contextvars
from pathlib import Path

import pytest
from kept_agents import FORMS, Desk, desk, until

from specflow.journal.event import EventKind
from specflow.journal.record import SessionRow
from specflow.journal.sql import SqlJournal

USER: contextvars.ContextVar[str] = contextvars.ContextVar("user")
FRESH = "answer: A1 was changed 0 times"
both_ways = pytest.mark.parametrize("asynchronous", [True, False], ids=["async", "sync"])


async def made_anew(one: Desk, *, outcome: str = "miss") -> None:
    """The conversation asks, and its call is a call of its own."""
    asked = len(one.shop.asked)
    assert await one.ask("find A1") == FRESH
    assert one.shop.asked[asked:] == ["A1"]
    assert one.answers()[-1] == outcome


@both_ways
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scope", ["thread", "tenant", "public"])
async def test_a_read_that_came_too_early_answers_the_next_run(
    *, tmp_path: Path, form: str, asynchronous: bool, scope: str
) -> None:
    async with desk(tmp_path, form, asynchronous=asynchronous, scope=scope, partial=True) as one:
        kept = await one.thought_of("A1")
        assert one.kept() == 1
        assert await one.ask("find A1") == FRESH
        assert one.shop.asked == ["A1"], "the tool ran once"
        assert one.life(kept.speculation_id) == ["launched", "kept", "carried", "resolved hit"]
        (answered,) = one.log.of(EventKind.CALL_ENDED)
        (resolved,) = one.log.of(EventKind.RESOLVED)
        (carried,) = one.log.of(EventKind.CARRIED)
        assert (answered.outcome, answered.speculation_id) == ("hit", kept.speculation_id)
        assert answered.session_id == resolved.session_id == carried.session_id != kept.session_id
        assert "kept" not in resolved.facts, "it is of the run that has it"
        assert one.kept() == 0


@both_ways
@pytest.mark.parametrize("form", FORMS)
async def test_one_that_still_runs_is_waited_for(*, tmp_path: Path, form: str, asynchronous: bool) -> None:
    async with desk(tmp_path, form, asynchronous=asynchronous) as one:
        kept = await one.thought_of("A1", running=True)
        asking = asyncio.create_task(one.ask("find A1"))
        await until(lambda: one.log.of(EventKind.CARRIED) and one.session().claimed)
        one.shop.open.set()
        assert await asking == FRESH
        assert one.shop.asked == ["A1"]
        assert one.life(kept.speculation_id) == ["launched", "kept", "carried", "resolved late"]


async def test_a_run_may_be_over_before_its_read_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is called after the conversation was looked at, and nobody can have been in between."""
    looks, real = asyncio.Event(), SqlJournal.newest_session

    async def slow(journal: SqlJournal, thread: str, *, tenant: str = "") -> SessionRow | None:
        await looks.wait()
        return await real(journal, thread, tenant=tenant)

    monkeypatch.setattr(SqlJournal, "newest_session", slow)
    async with desk(tmp_path) as one:
        assert await one.ask("think of A1") == "Later, maybe."
        (kept,) = one.log.of(EventKind.KEPT)
        assert one.shop.asked == []
        looks.set()
        await until(lambda: one.log.of(EventKind.RUN_ENDED))
        assert await one.ask("find A1") == FRESH
        assert one.shop.asked == ["A1"]
        assert one.life(kept.speculation_id)[-1] == "resolved hit"


@both_ways
async def test_it_waits_through_runs_that_do_not_want_it(*, tmp_path: Path, asynchronous: bool) -> None:
    async with desk(tmp_path, asynchronous=asynchronous) as one:
        kept = await one.thought_of("A1")
        for _ in range(12):
            assert await one.ask("find B2") == "answer: B2 was changed 0 times"
        assert await one.ask("find A1") == FRESH
        assert one.shop.asked.count("A1") == 1
        assert one.life(kept.speculation_id)[-2:] == ["carried", "resolved hit"]


@both_ways
@pytest.mark.parametrize("form", ["helper think", "helper find"])
async def test_agents_of_a_sub_graph_leave_and_find_it(
    *, tmp_path: Path, form: str, asynchronous: bool
) -> None:
    """The one who thought of it is an agent in the graph, who reads is the graph's own; and the other way."""
    async with desk(tmp_path, form, asynchronous=asynchronous) as one:
        kept = await one.thought_of("A1")
        assert await one.ask("find A1") == FRESH
        assert one.shop.asked == ["A1"]
        assert one.life(kept.speculation_id) == ["launched", "kept", "carried", "resolved hit"]


@both_ways
async def test_another_conversation_has_nothing_of_it(*, tmp_path: Path, asynchronous: bool) -> None:
    async with desk(tmp_path, asynchronous=asynchronous) as one:
        kept = await one.thought_of("A1", thread="other")
        await made_anew(one)
        assert one.life(kept.speculation_id) == ["launched", "kept"]
        assert one.kept() == 1
    assert one.life(kept.speculation_id)[-1] == "resolved cancelled shutdown"


@both_ways
async def test_a_tenants_other_conversation_has_a_copy_of_it(*, tmp_path: Path, asynchronous: bool) -> None:
    async with desk(tmp_path, asynchronous=asynchronous, scope="tenant") as one:
        kept = await one.thought_of("A1", thread="other")
        assert await one.ask("find A1") == FRESH
        assert one.shop.asked == ["A1"]
        assert one.answers() == ["hit"]
        assert one.life(kept.speculation_id) == ["launched", "kept"], "it still waits for its own"


@both_ways
@pytest.mark.parametrize("scope", ["thread", "public"])
@pytest.mark.parametrize("where", ["context variable", "configurable", "configurable of one"])
async def test_who_asks_is_another_one(*, tmp_path: Path, where: str, asynchronous: bool, scope: str) -> None:
    async with desk(tmp_path, asynchronous=asynchronous, scope=scope) as one:
        USER.set("ada")
        said = {"configurable": {"user_id": "ada"}, "configurable of one": {"user_id": "ada"}}.get(where, {})
        kept = await one.thought_of("A1", **said)
        if where == "context variable":
            USER.set("bob")
        other = {"user_id": "bob"} if where == "configurable" else {}
        asked = len(one.shop.asked)
        assert await one.ask("find A1", **other) == FRESH
        assert one.shop.asked[asked:] == ["A1"]
        assert one.answers() == ["miss"]
        assert one.life(kept.speculation_id) == ["launched", "kept"]
        USER.set("ada")
        assert await one.ask("find A1", **said) == FRESH
        assert len(one.shop.asked) == asked + 1, "and for whom it was read it is still there"
        assert one.life(kept.speculation_id)[-1] == "resolved hit"


@both_ways
async def test_nothing_of_a_session_is_kept(*, tmp_path: Path, asynchronous: bool) -> None:
    async with desk(tmp_path, asynchronous=asynchronous, scope="session") as one:
        assert await one.ask("think of A1") == "Later, maybe."
        assert one.kept() == 0
        asked = len(one.shop.asked)
        assert await one.ask("find A1") == FRESH
        assert len(one.shop.asked) == asked + 1
        assert one.answers() == ["miss"]
        assert one.log.of(EventKind.KEPT) == one.log.of(EventKind.CARRIED) == []
        (resolved,) = one.log.of(EventKind.RESOLVED)
        assert (resolved.outcome, resolved.cause) == ("cancelled", "run_ended")


@both_ways
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("running", [False, True], ids=["finished", "running"])
async def test_a_write_in_between_makes_it_stale(
    *, tmp_path: Path, form: str, asynchronous: bool, running: bool
) -> None:
    async with desk(tmp_path, form, asynchronous=asynchronous) as one:
        kept = await one.thought_of("A1", running=running)
        assert await one.ask("change A1") == "answer: A1 is changed"
        one.shop.open.set()
        assert await one.ask("find A1") == "answer: A1 was changed 1 times"
        assert one.shop.asked == ["A1", "A1"]
        assert one.answers() == ["stale"]
        assert one.life(kept.speculation_id)[-1] == "resolved stale stale"


@both_ways
async def test_a_write_of_another_conversation_makes_it_stale(*, tmp_path: Path, asynchronous: bool) -> None:
    async with desk(tmp_path, asynchronous=asynchronous) as one:
        kept = await one.thought_of("A1")
        assert await one.ask("change A1", thread="other") == "answer: A1 is changed"
        assert await one.ask("find A1") == "answer: A1 was changed 1 times"
        assert one.life(kept.speculation_id)[-1] == "resolved stale stale"


@both_ways
async def test_a_write_of_something_else_does_not(*, tmp_path: Path, asynchronous: bool) -> None:
    async with desk(tmp_path, asynchronous=asynchronous) as one:
        kept = await one.thought_of("A1")
        assert await one.ask("change B2") == "answer: B2 is changed"
        assert await one.ask("find A1") == FRESH
        assert one.shop.asked == ["A1"]
        assert one.life(kept.speculation_id)[-1] == "resolved hit"


@both_ways
@pytest.mark.parametrize("running", [False, True], ids=["finished", "running"])
async def test_nothing_is_left_of_it_when_the_runtime_is_closed(
    *, tmp_path: Path, asynchronous: bool, running: bool
) -> None:
    async with desk(tmp_path, asynchronous=asynchronous) as one:
        kept = await one.thought_of("A1", running=running)
    assert one.life(kept.speculation_id) == ["launched", "kept", "resolved cancelled shutdown"]
    assert one.log.of(EventKind.RESOLVED)[0].facts["kept"]
    async with desk(tmp_path, asynchronous=asynchronous) as other:
        assert other.kept() == 0
        assert await other.ask("find A1") == FRESH
        assert other.log.of(EventKind.CARRIED) == []


@both_ways
async def test_it_is_over_at_its_ttl(*, tmp_path: Path, asynchronous: bool) -> None:
    # The run has to end before: on a busy machine that took longer than 300 ms.
    async with desk(tmp_path, asynchronous=asynchronous, ttl="3s") as one:
        kept = await one.thought_of("A1")
        await until(lambda: one.log.of(EventKind.RESOLVED))
        assert one.life(kept.speculation_id)[-1] == "resolved cancelled expired"
        assert one.kept() == 0
        await made_anew(one)
