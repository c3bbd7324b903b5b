"""A real call that differs a little from an early write: the write is amended, or undone and made anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import ConflictError
from specflow.journal.cover import BASE
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import EffectRow
from specflow.journal.verify import verify
from specflow.lifecycle import RESTING, Stage
from specflow.policy.load import loads
from specflow.settlement.undo import Persistence
from specflow.testing.explore import run
from specflow.testing.guest_world import POLICY, GuestWorld, NoSuchBookingError
from specflow.testing.scripted_core import ScriptedCore
from tests.speculation.scenarios import ended_once


def book(guest: str, room: str = "12") -> Call:
    return Call(tool="book", args={"room": room, "guest": guest})


def core_of(world: GuestWorld, policy: str = POLICY, **options: Any) -> ScriptedCore:
    journal = options.pop("journal", None) or MemoryJournal(LoopClock())
    options = {"persistence": Persistence(tries=2, pause=0.1), **options}
    return ScriptedCore(world.tools(), world.policy(policy), journal, **options)


async def guessed(core: ScriptedCore, asked: Call, guess: str = "Ann", seconds: float = 1.0) -> None:
    """A booking is made early for `guess`; the message asks for another one."""
    turn = core.begin()
    core.propose(turn, "book", room="12", guest=guess)
    await asyncio.sleep(seconds)
    core.end(turn, [asked])


async def rows_of(core: ScriptedCore) -> dict[str, EffectRow]:
    found = (await core.journal.snapshot()).effects
    assert verify(await core.journal.snapshot()) == ()
    return {row.tool: row for row in found}


async def at_rest(core: ScriptedCore) -> dict[str, EffectRow]:
    await core.settle()
    rows = await rows_of(core)
    assert all(row.stage in RESTING for row in rows.values())
    ended_once(core)
    return rows


def scenario(body: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run an async test on the seeded loop, under one schedule."""

    def test() -> None:
        run(body(), seed=0)

    test.__name__, test.__doc__ = body.__name__, body.__doc__
    return test


def changed(*pairs: tuple[str, str]) -> str:
    text = POLICY
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


@scenario
async def test_a_booking_for_another_guest_is_renamed() -> None:
    world = GuestWorld(latency={"book": 4.0, "rename": 1.0})
    core = core_of(world)
    await guessed(core, book("Bob"), seconds=5.0)
    before = asyncio.get_running_loop().time()
    answer = await core.call(book("Bob"), identity="m1 c0")
    assert asyncio.get_running_loop().time() - before == pytest.approx(1.0), "a rename, and no booking"
    base = (await rows_of(core))["book"]
    assert answer == {"booking": base.idem_key, "room": "12", "guest": "Bob"}, "as the tool itself would say"
    rows = await at_rest(core)
    assert [entry[0] for entry in world.log] == ["book", "rename"]
    assert world.rooms == [("12", "Bob")]
    assert {row.stage for row in rows.values()} == {Stage.COMMITTED}
    assert rows["book"].adopted_by == f"{rows['rename'].adopted_by}{BASE}"
    assert rows["rename"].fingerprint == book("Bob").fingerprint
    assert any("patch" in reason for reason in rows["rename"].reasons)
    (ended,) = core.log.of(EventKind.CALL_ENDED)
    assert (ended.outcome, ended.facts["patched"]) == ("hit", 1.0)
    assert ended.facts["saved"] == pytest.approx(3.0), "four of booking, less one of renaming"
    (resolved,) = core.log.of(EventKind.RESOLVED)
    assert (resolved.outcome, resolved.cause) == ("hit", "patched")
    (noted,) = (await core.journal.snapshot()).predictions
    assert (noted.outcome, noted.cause) == ("hit", "patched")


@scenario
async def test_without_returns_it_answers_what_the_patch_tool_answered() -> None:
    world = GuestWorld()
    core = core_of(world, changed(("      returns: ", "      # returns: ")))
    await guessed(core, book("Bob"))
    assert await core.call(book("Bob")) == {"guest": "Bob", "fee": 5}
    await at_rest(core)


@scenario
async def test_a_booking_under_way_is_waited_for_and_renamed() -> None:
    world = GuestWorld(latency={"book": 4.0})
    core = core_of(world)
    await guessed(core, book("Bob"), seconds=1.0)
    assert (await core.call(book("Bob")))["guest"] == "Bob"
    await at_rest(core)
    assert core.log.outcomes()["late"] == 1
    assert world.rooms == [("12", "Bob")]


@scenario
async def test_the_same_real_call_again_is_answered_from_the_record() -> None:
    world = GuestWorld()
    core = core_of(world)
    await guessed(core, book("Bob"))
    answers = [await core.call(book("Bob"), identity="m1 c0") for _ in range(2)]
    assert answers[0] == answers[1]
    turn = core.begin()
    core.propose(turn, "book", room="12", guest="Cid")
    await asyncio.sleep(1)
    core.end(turn, [book("Bob")])
    assert await core.call(book("Bob"), identity="m1 c0") == answers[0], "its own record, and no new patch"
    rows = await core.journal.snapshot()
    await core.settle()
    assert [row.tool for row in rows.effects].count("rename") == 1
    assert world.rooms == [("12", "Bob")]


@scenario
async def test_what_a_person_has_changed_is_amended_too() -> None:
    """The message asked for Ann, and somebody made it Bob before the call was executed."""
    world = GuestWorld()
    core = core_of(world)
    await guessed(core, book("Ann"))
    assert (await core.call(book("Bob")))["guest"] == "Bob"
    await at_rest(core)
    assert [entry[0] for entry in world.log] == ["book", "rename"]


@scenario
async def test_what_another_call_of_the_message_asks_for_is_left_to_that() -> None:
    world = GuestWorld()
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", room="12", guest="Ann")
    await asyncio.sleep(1)
    core.end(turn, [book("Ann"), book("Bob", room="7")])
    assert (await core.call(book("Bob", room="7")))["guest"] == "Bob"
    await core.call(book("Ann"))
    await at_rest(core)
    assert [entry[0] for entry in world.log] == ["book", "book"]
    assert core.log.outcomes()["hit"] == 1


NOT_AMENDED: list[tuple[str, str, Call]] = [
    ("another room, which is no field of the patch", POLICY, book("Bob", room="7")),
    ("no patch", changed(("fields: [guest]", "fields: [nothing]")), book("Bob")),
    ("the real call needs a person", changed(("  cancel:", """    rules:
      - {id: vip, when: args.guest == "Bob", require: {effect: confirmation_required}}
  cancel:""")), book("Bob")),
    ("a rule of the patch tool asks for more", changed(("timeout: 5s,", """timeout: 5s,
    rules: [{id: vip, when: args.guest == "Bob", require: {effect: deny}}],""")), book("Bob")),
    ("the patch tool is compensatable, and this call is not", changed(
        ("rename: {effect: confirmation_required", "rename: {effect: compensatable, reviewed: @"),
        ("timeout: 5s,", """timeout: 5s,
    rules: [{id: vip, when: args.guest == "Bob", require: {effect: confirmation_required}}],""")),
     book("Bob")),
    ("it would write what is not claimed", changed(
        ('writes: ["booking:{args.booking}"]', 'writes: ["guest:{args.guest}"]')), book("Bob")),
    ("it would write something fixed that is not claimed", changed(
        ('writes: ["booking:{args.booking}"]', 'writes: [bookings]')), book("Bob")),
    ("the booking is not named by its own result alone", changed(
        ("with: {booking: result.booking, guest: args.guest}",
         "with: {booking: result.booking + args.guest, guest: args.guest}")), book("Bob")),
    ("the amended call claims something else", changed(
        ('writes: ["room:{args.room}"]', 'writes: ["room:{args.room}", "guest:{args.guest}"]')), book("Bob")),
    ("its arguments cannot be told", changed(("{booking: result.booking, guest: args.guest}",
        "{booking: result.nothing, guest: args.guest}")), book("Bob")),
    ("the patch tool does not take them", changed(("{booking: result.booking, guest: args.guest}",
        "{booking: '1', guest: args.guest}")), book("Bob")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "asked"), [case[1:] for case in NOT_AMENDED], ids=[c[0] for c in NOT_AMENDED]
)
def test_what_must_not_be_amended_is_undone_and_made_anew(policy: str, asked: Call) -> None:
    async def body() -> None:
        world = GuestWorld()
        rename = next(tool for tool in world.tools() if tool.name == "rename")
        core = core_of(world, policy.replace("reviewed: @", f"reviewed: {rename.schema_hash}"))
        await guessed(core, asked)
        answer = await core.call(asked, approved=True)
        assert answer["guest"] == asked.args["guest"]
        rows = (await core.journal.snapshot()).effects
        await core.settle()
        assert "rename" not in [tool for tool, _ in world.calls]
        assert sorted(row.stage for row in rows if row.tool == "book")[-1] == "done"
        assert world.rooms == [(asked.args["room"], "Bob")]
        assert [entry[0] for entry in world.log].count("cancel") == 1
        assert verify(await core.journal.snapshot()) == ()

    run(body(), seed=0)


@pytest.mark.parametrize("error", [NoSuchBookingError("refused"), OSError("lost"), TimeoutError("long")])
@pytest.mark.parametrize("when", ["before", "failing"])
def test_a_patch_that_fails_leaves_no_trace(error: Exception, when: str) -> None:
    async def body() -> None:
        world = GuestWorld()
        getattr(world, when)["rename"] = [error]
        core = core_of(world, conflict_wait=0.5)
        await guessed(core, book("Bob"))
        answer = await core.call(book("Bob"), identity="m1 c0")
        assert (answer["room"], answer["guest"]) == ("12", "Bob")
        assert [entry[0] for entry in world.log if entry[0] != "rename"] == ["book", "cancel", "book"], (
            "never both"
        )
        assert world.rooms == [("12", "Bob")]
        await core.settle()
        rows = (await core.journal.snapshot()).effects
        stages = {row.tool: row.stage for row in rows if row.fingerprint != book("Bob").fingerprint}
        assert stages == {"book": Stage.COMPENSATED}
        renamed = next(row.stage for row in rows if row.tool == "rename")
        assert renamed is (Stage.FAILED if isinstance(error, NoSuchBookingError) else Stage.COMPENSATED)
        assert verify(await core.journal.snapshot()) == ()

    run(body(), seed=0)


@scenario
async def test_a_patch_that_hangs_is_waited_for_before_its_base_is_undone() -> None:
    """Its deadline is five seconds; the request could arrive until then, and would book the room anew."""
    world = GuestWorld(latency={"rename": 60.0})
    core = core_of(world, conflict_wait=3.0)
    await guessed(core, book("Bob"))
    began = asyncio.get_running_loop().time()
    assert (await core.call(book("Bob")))["guest"] == "Bob"
    assert asyncio.get_running_loop().time() - began >= 5.0
    await core.settle()
    assert world.rooms == [("12", "Bob")]
    assert [entry[0] for entry in world.log] == ["book", "cancel", "book"]
    assert core.log.outcomes()["compensated"] == 1


@scenario
async def test_an_answer_that_cannot_be_told_undoes_both() -> None:
    world = GuestWorld()
    core = core_of(world, changed(("patched.guest}", "patched.nothing}")))
    await guessed(core, book("Bob"))
    assert (await core.call(book("Bob")))["guest"] == "Bob"
    await core.settle()
    assert [entry[0] for entry in world.log] == ["book", "rename", "cancel", "book"]
    assert world.rooms == [("12", "Bob")]


@scenario
async def test_the_call_is_not_made_beside_an_amended_one_that_is_stuck() -> None:
    world = GuestWorld()
    world.failing["rename"] = [OSError("lost")]
    world.before["cancel"] = [OSError("down")] * 2
    core = core_of(world, conflict_wait=0.5)
    await guessed(core, book("Bob"))
    with pytest.raises(ConflictError, match="stuck"):
        await core.call(book("Bob"))
    assert world.rooms == [("12", "Bob")], "the renamed one, and no second one"
    await core.settle()
    rows = {row.tool: row.stage for row in (await core.journal.snapshot()).effects}
    assert rows == {"book": Stage.STUCK, "rename": Stage.COMPENSATED}


@scenario
async def test_one_that_failed_for_certain_does_not_hold_up_the_call() -> None:
    world = GuestWorld()
    world.before["rename"] = [NoSuchBookingError("no")]
    world.before["cancel"] = [OSError("down")] * 2
    core = core_of(world)
    await guessed(core, book("Bob"))
    await core.call(book("Bob"))
    assert world.rooms == [("12", "Ann"), ("12", "Bob")], "stuck as it is without a patch"


@scenario
async def test_a_call_cancelled_while_it_is_patched_leaves_nothing() -> None:
    world = GuestWorld(latency={"rename": 2.0})
    core = core_of(world)
    await guessed(core, book("Bob"))
    call = asyncio.ensure_future(core.call(book("Bob")))
    await asyncio.sleep(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    rows = await at_rest(core)
    assert [entry[0] for entry in world.log] == ["book", "rename", "cancel"], "not interrupted, then undone"
    assert world.rooms == []
    assert {row.stage for row in rows.values()} == {Stage.COMPENSATED}
    causes = [
        e.cause for e in (await core.journal.snapshot()).events if e.subject == rows["rename"].effect_id
    ]
    assert causes[-2:] == [f"covered by {rows['book'].effect_id}"] * 2


@scenario
async def test_a_read_that_saw_the_booking_as_it_was_is_stale() -> None:
    world = GuestWorld(latency={"rename": 2.0})
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", room="12", guest="Ann")
    await asyncio.sleep(1)
    core.propose(turn, "look", room="12")
    core.propose(turn, "look", room="7")
    await asyncio.sleep(1)
    looks = [Call(tool="look", args={"room": room}) for room in ("12", "7")]
    core.end(turn, [book("Bob"), *looks])
    await core.call(book("Bob"))
    answers = [await core.call(look) for look in looks]
    assert [answer["guests"] for answer in answers] == [["Bob"], []]
    await at_rest(core)
    assert (core.log.outcomes()["stale"], core.log.outcomes()["hit"]) == (1, 2)


@scenario
async def test_what_builds_on_it_is_undone_before_it_is_amended() -> None:
    world = GuestWorld()
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", room="12", guest="Ann")
    core.propose(turn, "book", room="12", guest="Cid")
    await asyncio.sleep(1)
    core.end(turn, [book("Bob")])
    await core.call(book("Bob"))
    await core.settle()
    assert [entry[0] for entry in world.log] == ["book", "book", "cancel", "rename"]
    assert world.rooms == [("12", "Bob")]
    assert verify(await core.journal.snapshot()) == ()


@scenario
async def test_one_that_cannot_be_undone_above_it_keeps_it_from_being_amended() -> None:
    world = GuestWorld()
    core = core_of(world)
    turn = core.begin()
    core.propose(turn, "book", room="12", guest="Ann")
    core.propose(turn, "book", room="12", guest="Cid")
    await asyncio.sleep(1)
    core.end(turn, [book("Bob")])
    world.before["cancel"] = [OSError("down")] * 2
    await core.call(book("Bob"))
    assert "rename" not in [tool for tool, _ in world.calls]
    assert ("12", "Bob") in world.rooms


@scenario
async def test_a_saga_takes_the_pair_back_once() -> None:
    world = GuestWorld()
    core = core_of(world)
    await guessed(core, book("Bob"))
    await core.call(book("Bob"))
    await core.take_back()
    assert [entry[0] for entry in world.log] == ["book", "rename", "cancel"]
    assert world.rooms == []
    assert {row.stage for row in (await rows_of(core)).values()} == {Stage.COMPENSATED}


def test_a_resumed_run_is_given_the_pair_as_the_call_it_made() -> None:
    async def body() -> None:
        for asked, log in ((book("Bob"), 2), (None, 3)):
            world, dead = GuestWorld(), set[str]()
            journal = MemoryJournal(LoopClock(), is_dead=dead.__contains__)
            first = core_of(world, journal=journal, owner="first")
            first.begin_run("request 1", known=[])
            await guessed(first, book("Bob"))
            answer = await first.call(book("Bob"), identity="m1 c0")
            await first.settle() if asked is None else None
            dead.add("first")
            second = core_of(world, journal=journal, owner="second", seed=1)
            second.begin_run("request 1", known=[])
            if asked is not None:
                assert await second.call(asked, identity="m1b c0") == answer
            await second.settle()
            assert len(world.log) == log, world.log
            assert world.rooms == ([("12", "Bob")] if asked else []), "asked for again, or taken back"
            assert verify(await journal.snapshot()) == ()

    run(body(), seed=0)


def test_a_resumed_run_that_asks_for_the_first_guess_does_not_get_the_pair() -> None:
    async def body() -> None:
        world, dead = GuestWorld(), set[str]()
        journal = MemoryJournal(LoopClock(), is_dead=dead.__contains__)
        first = core_of(world, journal=journal, owner="first")
        first.begin_run("request 1", known=[])
        await guessed(first, book("Bob"))
        await first.call(book("Bob"), identity="m1 c0")
        dead.add("first")
        second = core_of(world, journal=journal, owner="second", seed=1)
        second.begin_run("request 1", known=[])
        assert (await second.call(book("Ann"), identity="m1b c0"))["guest"] == "Ann"
        await second.settle()
        assert world.rooms == [("12", "Ann")], "its own booking; the pair was not asked for"
        assert verify(await journal.snapshot()) == ()

    run(body(), seed=0)


def test_a_resumed_run_does_not_make_the_call_beside_an_amended_one_that_is_stuck() -> None:
    async def body() -> None:
        world, dead = GuestWorld(latency={"rename": 1.0}), set[str]()
        journal = MemoryJournal(LoopClock(), is_dead=dead.__contains__)
        first = core_of(world, journal=journal, owner="first")
        await guessed(first, book("Bob"))
        call = asyncio.ensure_future(first.call(book("Bob"), identity="m1 c0"))
        await asyncio.sleep(0.5)  # the rename is travelling, and arrives
        dead.add("first")
        world.before["cancel"] = [OSError("down")] * 2
        second = core_of(world, journal=journal, owner="second", seed=1)
        with pytest.raises(ConflictError, match="stuck"):
            await second.call(book("Bob"), identity="m1 c0")
        await asyncio.wait({call})
        call.exception()
        assert world.rooms == [("12", "Bob")], "that one, and no second one"
        assert verify(await journal.snapshot()) == ()

    run(body(), seed=0)


@scenario
async def test_a_tool_that_is_switched_off_amends_nothing() -> None:
    world = GuestWorld()
    core = core_of(world)
    await guessed(core, book("Bob"))
    core.session.switched_off.tell("rename", "eff_stuck")
    await core.call(book("Bob"))
    assert "rename" not in [tool for tool, _ in world.calls]
    assert world.rooms == [("12", "Bob")]
    await core.settle()


@scenario
async def test_two_guesses_are_amended_to_two_calls() -> None:
    world = GuestWorld()
    core = core_of(world)
    turn = core.begin()
    for room in ("12", "13", "14"):
        core.propose(turn, "book", room=room, guest="Ann")
    await asyncio.sleep(1)
    asked = [book("Bob", room) for room in ("13", "12")]
    core.end(turn, asked)
    for call in asked:
        await core.call(call)
    await core.settle()
    assert world.rooms == [("12", "Bob"), ("13", "Bob")]
    assert sorted(entry[0] for entry in world.log) == ["book"] * 3 + ["cancel"] + ["rename"] * 2
    assert core.log.outcomes()["hit"] == 2
    assert verify(await core.journal.snapshot()) == ()


@scenario
async def test_an_undeclared_patch_tool_may_touch_anything() -> None:
    """What else was read and written early is stale, or undone first; the call is amended all the same."""
    world = GuestWorld()
    core = core_of(world, changed((', writes: ["booking:{args.booking}"]', "")))
    turn = core.begin()
    for tool, args in (("book", {"guest": "Ann"}), ("look", {})):
        core.propose(turn, tool, room="12" if tool == "book" else "7", **args)
    await asyncio.sleep(1)
    look = Call(tool="look", args={"room": "7"})
    core.end(turn, [book("Bob"), look])
    await core.call(book("Bob"))
    await core.call(look)
    await core.settle()
    assert [entry[0] for entry in world.log] == ["book", "rename"]
    assert core.log.outcomes()["stale"] == 1


OVERWRITTEN = """
version: 1
tools:
  get_card: {effect: read_only}
  set_card:
    effect: compensatable
    speculate: now
    predictors: [scripted]
    writes: ["card:{args.room}"]
    compensate:
      before: {tool: get_card, with: {room: args.room}}
      tool: set_card
      with: {room: args.room, name: before.name, size: before.size}
    patch: {tool: set_size, fields: [size], with: {room: args.room, size: args.size}}
  set_size: {effect: confirmation_required, writes: ["card:{args.room}"]}
"""


class Cards:
    """Cards on the doors of rooms, which are overwritten, and put back by writing what was there."""

    def __init__(self) -> None:
        self.cards = {"12": {"name": "nobody", "size": "S"}}

    async def get(self, call: Call, context: Any) -> Any:
        return dict(self.cards[call.args["room"]])

    async def set(self, call: Call, context: Any) -> Any:
        self.cards[call.args["room"]] |= {name: call.args[name] for name in call.args if name != "room"}
        return {"room": call.args["room"]}

    def core(self, journal: MemoryJournal, **options: Any) -> ScriptedCore:
        def tool(name: str, runner: Any, *names: str) -> ToolSpec:
            properties = {name: {"type": "string"} for name in names}
            schema = {"type": "object", "properties": properties, "required": list(names)}
            return ToolSpec(name=name, parameters=schema, runner=runner)

        tools = [
            tool("get_card", self.get, "room"),
            tool("set_card", self.set, "room", "name", "size"),
            tool("set_size", self.set, "room", "size"),
        ]
        policy = loads(OVERWRITTEN, tools=ToolRegistry(tools))
        return ScriptedCore(tools, policy, journal, **options)


def card(name: str, size: str) -> Call:
    return Call(tool="set_card", args={"room": "12", "name": name, "size": size})


@scenario
async def test_what_was_there_before_a_pair_is_put_back_before_the_run_writes_over_it() -> None:
    """The undo of the base reads no patched field of the arguments, only what was there before."""
    world, dead = Cards(), set[str]()
    journal = MemoryJournal(LoopClock(), is_dead=dead.__contains__)
    first = world.core(journal, owner="first")
    first.begin_run("request 1", known=[])
    turn = first.begin()
    first.propose(turn, "set_card", room="12", name="Ann", size="M")
    await asyncio.sleep(1)
    first.end(turn, [card("Ann", "L")])
    await first.call(card("Ann", "L"), identity="m1 c0")
    assert world.cards["12"] == {"name": "Ann", "size": "L"}
    assert {row.tool for row in (await journal.snapshot()).effects} == {"set_card", "set_size"}
    dead.add("first")
    second = world.core(journal, owner="second", seed=1)
    second.begin_run("request 1", known=[])
    await second.call(card("Bob", "M"), identity="m1b c0")
    await second.settle()
    assert world.cards["12"] == {"name": "Bob", "size": "M"}, "and not what was there before Ann"
    assert verify(await journal.snapshot()) == ()
