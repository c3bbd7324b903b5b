"""Bugs of the core, each one function replaced; generated agents must notice every one of them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from specflow.effects.footprint import overlap
from specflow.graph import hearing, tools
from specflow.journal.memory import MemoryJournal
from specflow.lifecycle import BranchState, Stage
from specflow.policy.verdict import Speculate
from specflow.settlement.rest import Settler
from specflow.speculation import (
    await_way,
    coordinator,
    early_write,
    freshness,
    keep,
    launch,
    match,
    retire,
    touch,
)
from specflow.speculation.adopt import Adopter
from specflow.speculation.freshness import WriteLog
from specflow.speculation.launch import Launcher
from specflow.speculation.model_calls import ModelCalls
from specflow.speculation.pending import Standing
from specflow.speculation.presume import Presumer
from specflow.speculation.retire import Retirer
from specflow.speculation.sessions import Sessions

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """`at` is what is replaced; `caught_by` the kinds of difference that must be found, in the case of `seed`
    or of another one, or the single check that must fail.
    """

    name: str
    at: str
    plant: Plant
    caught_by: tuple[str, ...]
    seed: int


BUGS: list[Bug] = []


def bug(name: str, at: str, *caught_by: str, seed: int = 0) -> Callable[[Plant], Plant]:
    """Add one to the list."""

    def add(plant: Plant) -> Plant:
        BUGS.append(Bug(name=name, at=at, plant=plant, caught_by=caught_by, seed=seed))
        return plant

    return add


# ------------------------------------------------------------------ what is fresh


@bug("a stale read is adopted", "met_a_write", "messages", seed=106)
def _(patch: pytest.MonkeyPatch) -> None:
    for where in ("adopt", "overtaken"):
        patch.setattr(f"specflow.speculation.{where}.met_a_write", lambda *_: False)


@bug("a read that began while a write was in flight is adopted", "WriteLog.met", "messages", seed=134)
def _(patch: pytest.MonkeyPatch) -> None:
    def met(self: Any, keys: Any, since: float, *, own: Any = None) -> bool:
        spans = [span for span in self._spans if span is not own and span.start >= since]
        return any(overlap(keys, span.keys) for span in spans)

    patch.setattr(WriteLog, "met", met)


@bug("a read that saw a write that was later undone is adopted", "Retirer._undo", "messages", seed=183)
def _(patch: pytest.MonkeyPatch) -> None:
    undo = Retirer._undo

    async def forgetting(self: Any, session: Any, speculation: Any, cause: str) -> Any:
        stage = await undo(self, session, speculation, cause)
        if stage is Stage.COMPENSATED and speculation.span in session.writes._spans:
            session.writes._spans.remove(speculation.span)
        return stage

    patch.setattr(Retirer, "_undo", forgetting)


@bug("what is undeclared touches nothing", "freshness.overlap", "messages", seed=16)
def _(patch: pytest.MonkeyPatch) -> None:
    def known_only(one: Any, other: Any) -> bool:
        return one is not None and other is not None and overlap(one, other)

    for module in (freshness, retire, await_way, early_write):
        patch.setattr(module, "overlap", known_only)


@bug("footprints are of the arguments as they were written", "touch._normal", "messages", seed=59)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(touch, "_normal", lambda _settings, args: args)


@bug("hidden state does not count as written", "touch.disturbs", "messages", seed=105)
def _(patch: pytest.MonkeyPatch) -> None:
    for module in (retire, early_write):
        patch.setattr(module, "disturbs", lambda _settings, verdict: verdict.effect.writes)


@bug("a result is not copied when the tool returns", "keep._copied", "messages", seed=3)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(keep, "_copied", lambda value: (value, True))


# ------------------------------------------------------------------ what is in the way


@bug("a real read is answered out of a live early write", "Retirer.clear_way", "messages", seed=19)
def _(patch: pytest.MonkeyPatch) -> None:
    clear_way = Retirer.clear_way

    async def for_writes(self: Any, *args: Any, writes: bool) -> None:
        if writes:
            await clear_way(self, *args, writes=writes)

    patch.setattr(Retirer, "clear_way", for_writes)


@bug("a real write is made over a live early write", "Retirer.clear_way", "messages", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    clear_way = Retirer.clear_way

    async def for_reads(self: Any, *args: Any, writes: bool) -> None:
        if not writes:
            await clear_way(self, *args, writes=writes)

    patch.setattr(Retirer, "clear_way", for_reads)


@bug("a real call does not wait for the undo in its way", "await_way.await_way", "messages", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    async def at_once(*_: Any) -> None:
        return None

    patch.setattr(retire, "await_way", at_once)


@bug("an early write starts beside a real call in flight", "early_write._under_way", "messages", seed=22)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(early_write, "_under_way", lambda _session: ())


@bug("an early read that changes something is not waited for", "await_way.disturbing", "shared_buffer")
def _(patch: pytest.MonkeyPatch) -> None:
    for module in (await_way, early_write):
        patch.setattr(module, "disturbing", lambda _session: iter(()))


# ------------------------------------------------------------------ what is adopted


@bug(
    "a call is adopted by its place in the message, whatever its arguments",
    "Adopter.find",
    "messages",
    seed=7,
)
def _(patch: pytest.MonkeyPatch) -> None:
    find = Adopter.find

    async def by_id(self: Any, session: Any, key: str, real: Any, *rest: Any) -> Any:
        if session.pending.first(key) is None:
            for item in session.pending:
                if item.tool == real.tool and not item.writes:
                    return await find(self, session, item.key, real, *rest)
        return await find(self, session, key, real, *rest)

    patch.setattr(Adopter, "find", by_id)


@bug("one early result answers two calls", "Adopter.find", "world", "effects", seed=6)
def _(patch: pytest.MonkeyPatch) -> None:
    find = Adopter.find

    async def twice(self: Any, session: Any, key: str, *rest: Any) -> Any:
        given = vars(self).setdefault("given", {})
        done = await find(self, session, key, *rest)
        if done is None:
            return given.pop((session.session_id, key), None)
        given[session.session_id, key] = done
        return done

    patch.setattr(Adopter, "find", twice)


@bug("an early write is handed out and not committed", "Adopter._commit", "effects", "world", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    async def agreed(*_: Any) -> bool:
        return True

    patch.setattr(Adopter, "_commit", agreed)


@bug(
    "a right guess of a result commits the writes that rest on it",
    "Presumer.answered",
    "effects",
    "world",
    seed=333,
)
def _(patch: pytest.MonkeyPatch) -> None:
    answered = Presumer.answered

    async def commit(self: Any, session: Any, speculation: Any) -> None:
        await asyncio.wait({speculation.work})
        if not speculation.work.cancelled() and speculation.work.exception() is None:
            won = await self._parts.journal.adopt(
                await session.lease(), speculation.effect_id, f"guessed {speculation.effect_id}"
            )
            if won and session.pending.take(speculation, Standing.CLAIMED):
                self._retirer.adopted(session, speculation)

    def believing(self: Any, question: Any, value: Any) -> None:
        open_until_now = not question.over
        answered(self, question, value)
        if not open_until_now or question.outlook is None:
            return
        session = question.outlook.turn.session
        right = {branch for branch in question.presumed if branch.state is BranchState.CONFIRMED}
        for speculation in tuple(session.pending):
            if speculation.writes and any(home.parent in right for home in speculation.homes):
                task = asyncio.get_running_loop().create_task(commit(self, session, speculation))
                session.background[task] = frozenset()
                task.add_done_callback(session.background.pop)

    patch.setattr(Presumer, "answered", believing)


@bug("of two equals the first finished is adopted", "ModelCalls.adopt", "first_registered")
def _(patch: pytest.MonkeyPatch) -> None:
    adopting = ModelCalls.adopt

    def finished_first(self: Any, key: str) -> Any:
        self._live.get(key, []).sort(key=lambda recording: not recording.over)
        return adopting(self, key)

    patch.setattr(ModelCalls, "adopt", finished_first)


@bug("an early failure is adopted", "Adopter._adopt", "effects", seed=91)
def _(patch: pytest.MonkeyPatch) -> None:
    adopting = Adopter._adopt

    async def believing(self: Any, session: Any, speculation: Any, *rest: Any) -> Any:
        await asyncio.wait({speculation.work})
        done = await adopting(self, session, speculation, *rest)
        if not speculation.work.cancelled() and speculation.work.exception() is not None:
            raise speculation.work.exception()
        return done

    patch.setattr(Adopter, "_adopt", believing)


@bug("what does not count in a read does not count in a write", "match.match_key", "effects", seed=114)
def _(patch: pytest.MonkeyPatch) -> None:
    def loosely(call: Any, how: Any, *, writes: bool) -> str:
        return match.match_key(call, how, writes=False)

    find = Adopter.find

    async def near_enough(self: Any, session: Any, key: str, real: Any, *rest: Any) -> Any:
        early = session.pending.first(key)
        if early is not None and early.writes and early.call.tool == real.call.tool:
            real = replace(real, call=early.call)
        return await find(self, session, key, real, *rest)

    for module in (coordinator, launch):
        patch.setattr(module, "match_key", loosely)
    patch.setattr(Adopter, "find", near_enough)


# ------------------------------------------------------------------ what is undone


@bug("what was built on is undone first", "Retirer._take_back", "world", "journal", seed=72)
def _(patch: pytest.MonkeyPatch) -> None:
    take_back = Retirer._take_back

    async def first(self: Any, session: Any, speculation: Any, cause: str) -> None:
        speculation.dependents = []
        await take_back(self, session, speculation, cause)

    async def free(*_: Any, **__: Any) -> bool:
        return True

    patch.setattr(Retirer, "_take_back", first)
    patch.setattr(Settler, "_free", free)


@bug("a wrong early write is left as it is", "Retirer.dispose", "messages")
def _(patch: pytest.MonkeyPatch) -> None:
    dispose = Retirer.dispose

    def leave(self: Any, session: Any, speculation: Any, cause: str) -> None:
        if speculation.writes and cause == "mismatch":
            speculation.decided.set()
            speculation.over.set()
        else:
            dispose(self, session, speculation, cause)

    patch.setattr(Retirer, "dispose", leave)


@bug("an adopted write is undone when the run ends", "MemoryJournal.adopt", "world", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    async def unwritten(self: Any, lease: Any, effect_id: str, adopted_by: str, **_more: str) -> bool:
        return True

    patch.setattr(MemoryJournal, "adopt", unwritten)


# ------------------------------------------------------------------ what is not allowed


def _deaf_to(*words: Speculate) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        reason = Launcher._reason_to_wait

        def eager(self: Any, outlook: Any, candidate: Any, settings: Any, verdict: Any, *rest: Any) -> str:
            why = reason(self, outlook, candidate, settings, verdict, *rest)
            return "" if why == "policy" and verdict.speculate in words else why

        patch.setattr(Launcher, "_reason_to_wait", eager)

    return plant


bug("a call that needs a person's yes runs early", "Launcher._reason_to_wait", "forbidden", seed=34)(
    _deaf_to(Speculate.NEVER)
)
bug("what the policy holds runs early", "Launcher._reason_to_wait", "forbidden", seed=4)(
    _deaf_to(Speculate.HOLD)
)


@bug("a call is made without the yes it needs", "coordinator.admit", "forbidden", seed=6)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(coordinator, "admit", lambda _verdict, _real: None)


@bug("any confidence will do", "launch.weigh", "forbidden", seed=3)
def _(patch: pytest.MonkeyPatch) -> None:
    weigh = launch.weigh

    def confident(parts: Any, outlook: Any, candidate: Any, settings: Any, verdict: Any) -> Any:
        return weigh(parts, outlook, candidate, settings, replace(verdict, min_confidence=0.0))

    patch.setattr(launch, "weigh", confident)


# ------------------------------------------------------------------ what is cleared away


@bug("a session is never let go of", "Sessions._close", "left")
def _(patch: pytest.MonkeyPatch) -> None:
    closing = Sessions._close

    async def kept(self: Any, session: Any, cause: str) -> None:
        await closing(self, session, cause)
        self._open[session.key] = session

    patch.setattr(Sessions, "_close", kept)


@bug("what was early is not on record", "MemoryJournal.intend", "effects")
def _(patch: pytest.MonkeyPatch) -> None:
    intend, record, adopting = MemoryJournal.intend, MemoryJournal.record, MemoryJournal.adopt
    unwritten: set[str] = set()

    async def skip(self: Any, lease: Any, intent: Any) -> int:
        if intent.adopted_by is None:
            unwritten.add(intent.effect_id)
            return 1
        return await intend(self, lease, intent)

    async def ignore(self: Any, lease: Any, effect_id: str, outcome: Any, **more: Any) -> bool:
        return True if effect_id in unwritten else await record(self, lease, effect_id, outcome, **more)

    async def agreed(self: Any, lease: Any, effect_id: str, adopted_by: str, **more: str) -> bool:
        return True if effect_id in unwritten else await adopting(self, lease, effect_id, adopted_by, **more)

    patch.setattr(MemoryJournal, "intend", skip)
    patch.setattr(MemoryJournal, "record", ignore)
    patch.setattr(MemoryJournal, "adopt", agreed)


@bug("early calls run in the user's own context", "compat.shielded_context", "nothing_leaks")
def _(patch: pytest.MonkeyPatch) -> None:
    for module in (hearing, tools):
        patch.setattr(module, "shielded_context", contextvars.copy_context)
