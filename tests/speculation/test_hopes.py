"""What a guess is worth whose call may also come later than in the next message."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.prediction.calibration.ensemble import Ensemble, Guess, Scene
from specflow.prediction.history.patterns import kit_of
from specflow.prediction.predictor import HistoryItem
from specflow.speculation import hopes
from specflow.speculation.parts import Mode
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from tests.speculation.scenarios import scenario

SPOKEN = (HistoryItem(role="user", text="and now?"),)
LOOK = Call(tool="look", args={"seat": "A1"})
SCENE = Scene(domain="d", model="m")


def talk(ensemble: Ensemble, *, confidence: float = 0.0, mode: Mode = Mode.ON, **cache: Any) -> ScriptedCore:
    world = LedgerWorld()
    judge = world.judge()
    rule = judge._rules["look"]
    settings = replace(rule.settings, **{"ttl": 60.0, "scope": "thread", **cache})
    judge._rules["look"] = replace(rule, settings=settings, min_confidence=confidence)
    return ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()), ensemble=ensemble, mode=mode)


async def a_run(core: ScriptedCore, *asked: Call, guess: float | None = None) -> None:
    turn = core.begin(history=SPOKEN)
    if guess is not None:
        core.propose(turn, "look", guess, seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, asked)
    for call in asked:
        await core.call(call)
    await core.coordinator.finish(turn.session, "", "run_ended")


def worth(ensemble: Ensemble, core: ScriptedCore) -> tuple[float, float]:
    """What 0.3 is worth for the next message, and in time."""
    scene = Scene(domain=kit_of(core.parts.registry), model="")
    said = {"scripted": 0.3}
    return (
        ensemble.probability("look", said, scene),
        ensemble.probability("look", said, scene, in_time=True),
    )


@scenario
async def test_a_guess_that_comes_true_a_run_later_was_right_in_time() -> None:
    ensemble = Ensemble()
    core = talk(ensemble)
    for _ in range(40):
        await a_run(core, guess=0.3)
        await a_run(core, LOOK)
        await asyncio.sleep(100.0)
    following, in_time = worth(ensemble, core)
    assert following < 0.3, "the next message never asked for it"
    assert in_time > 0.7
    await core.aclose()


@scenario
async def test_one_that_comes_true_too_late_was_wrong() -> None:
    ensemble = Ensemble()
    core = talk(ensemble, ttl=10.0)
    for _ in range(40):
        await a_run(core, guess=0.3)
        await asyncio.sleep(20.0)
        await a_run(core, LOOK)
        await asyncio.sleep(100.0)
    following, in_time = worth(ensemble, core)
    assert in_time < 0.3
    assert in_time >= following
    await core.aclose()


@scenario
async def test_another_conversation_does_not_make_it_right() -> None:
    ensemble = Ensemble()
    core = talk(ensemble)
    for number in range(40):
        await a_run(core.beside(f"mine {number}"), guess=0.3)
        await a_run(core.beside(f"yours {number}"), LOOK)
    await core.aclose()
    assert worth(ensemble, core)[1] < 0.3, "and what is open at the end has not come"


@scenario
async def test_where_a_result_ends_with_its_run_only_the_next_message_counts() -> None:
    ensemble = Ensemble()
    core = talk(ensemble, scope="session")
    for _ in range(40):
        await a_run(core, guess=0.3)
        await a_run(core, LOOK)
    following, in_time = worth(ensemble, core)
    assert following < in_time == 0.3, "nothing is learned of what cannot be"
    await core.aclose()


@scenario
async def test_what_is_likely_in_time_is_started_although_the_next_message_will_hardly_ask() -> None:
    ensemble = Ensemble()
    core = talk(ensemble, confidence=0.6)
    for _ in range(40):
        await a_run(core, guess=0.3)
        await a_run(core, LOOK)
        await asyncio.sleep(100.0)
    outcomes = [event.outcome for event in core.log.of(EventKind.CALL_ENDED)]
    assert outcomes[:3] == ["miss"] * 3, "first it has to be learned"
    assert outcomes[-10:] == ["hit"] * 10
    await core.aclose()


@scenario
async def test_in_shadow_mode_it_is_the_next_message_that_counts() -> None:
    ensemble = Ensemble()
    core = talk(ensemble, confidence=0.6, mode=Mode.SHADOW)
    for _ in range(40):
        await a_run(core, guess=0.3)
        await a_run(core, LOOK)
        await asyncio.sleep(100.0)
    assert worth(ensemble, core)[1] > 0.7, "it is learned"
    assert {event.cause for event in core.log.of(EventKind.WITHHELD)} == {"confidence"}
    await core.aclose()


@scenario
async def test_a_sure_guess_that_always_comes_true_in_time_stays_one() -> None:
    ensemble = Ensemble()
    core = talk(ensemble, confidence=0.9)
    for _ in range(40):
        await a_run(core, guess=0.95)
        await a_run(core, LOOK)
        await asyncio.sleep(100.0)
    outcomes = [event.outcome for event in core.log.of(EventKind.CALL_ENDED)]
    assert outcomes == ["hit"] * 40, "that the next message never asks for it does not count against it"
    await core.aclose()


@scenario
async def test_a_failed_model_teaches_nothing() -> None:
    ensemble = Ensemble()
    core = talk(ensemble)
    turn = core.begin(history=SPOKEN)
    core.propose(turn, "look", 0.3, seat="A1")
    core.end(turn, (), "model_error")
    await core.aclose()
    assert worth(ensemble, core) == (0.3, 0.3)


@scenario
async def test_what_is_waited_for_is_bounded_and_nothing_is_left_when_it_is_known() -> None:
    core = talk(Ensemble())
    waiting = core.coordinator.hopes
    before, hopes.MOST = hopes.MOST, 5
    try:
        for number in range(20):
            await a_run(core.beside(f"talk {number}"), guess=0.3)
            assert len(waiting._ends) <= 5
            assert sum(len(keys) for keys in waiting._open.values()) <= 5
    finally:
        hopes.MOST = before
    await asyncio.sleep(100.0)
    await a_run(core.beside("another"), LOOK)
    assert not waiting._open
    assert not waiting._ends
    await core.aclose()


@given(words=st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), max_size=80), asked=st.floats(0, 1))
def test_in_time_is_at_least_as_likely_as_next(words: list[tuple[float, bool]], asked: float) -> None:
    ensemble = Ensemble()
    for word, right in words:
        ensemble.learn_in_time(Guess("look", {"a": word, "b": word / 2}), SCENE, right=right)
    for said in ({"a": asked}, {"a": asked, "b": 0.5}):
        following = ensemble.probability("look", said, SCENE)
        assert following <= ensemble.probability("look", said, SCENE, in_time=True) <= 1.0


def test_what_other_tools_are_worth_in_time_lifts_none_that_nobody_has_called() -> None:
    """A tool that is never called is proposed with the same small word as others whose calls come later."""
    ensemble = Ensemble()
    for _ in range(60):
        ensemble.learn_in_time(Guess("look", {"a": 0.12}), SCENE, right=True)
    assert ensemble.probability("look", {"a": 0.12}, SCENE, in_time=True) > 0.5
    assert ensemble.probability("never", {"a": 0.12}, SCENE, in_time=True) <= 0.12
    assert ensemble.probability("never", {"a": 0.12, "b": 0.3}, SCENE, in_time=True) <= 0.3
    ensemble.learn_in_time(Guess("never", {"a": 0.12}), SCENE, right=False)
    assert ensemble.probability("never", {"a": 0.12}, SCENE, in_time=True) <= 0.12
    # One that came says a little, several that did what those of other tools say.
    ensemble.learn_in_time(Guess("never", {"a": 0.12}), SCENE, right=True)
    assert 0.12 < ensemble.probability("never", {"a": 0.12}, SCENE, in_time=True) < 0.5
    for _ in range(10):
        ensemble.learn_in_time(Guess("never", {"a": 0.12}), SCENE, right=True)
    assert ensemble.probability("never", {"a": 0.12}, SCENE, in_time=True) > 0.5


def test_nothing_is_believed_of_a_predictor_that_is_switched_off() -> None:
    ensemble = Ensemble()
    for _ in range(50):
        ensemble.learn_in_time(Guess("look", {"a": 0.3}), SCENE, right=True)
    ensemble.switch("a", on=False)
    assert ensemble.probability("look", {"a": 0.3}, SCENE, in_time=True) == 0.0


def test_a_wanted_precision_counts_in_time() -> None:
    ensemble = Ensemble(precision=0.8)
    for _ in range(200):
        ensemble.learn({"k": Guess("look", {"a": 0.3})}, {}, SCENE)
        ensemble.learn_in_time(Guess("look", {"a": 0.3}), SCENE, right=True)
    likely = ensemble.probability("look", {"a": 0.3}, SCENE, in_time=True)
    assert likely >= ensemble.needed("look", ["a"], SCENE, in_time=True)
    assert ensemble.probability("look", {"a": 0.3}, SCENE) < ensemble.needed("look", ["a"], SCENE)
