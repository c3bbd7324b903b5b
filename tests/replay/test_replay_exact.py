"""Replay on synthetic runs, where the saving can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.journal.event import EventKind
from specflow.policy.load import loads
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.replay.latency import latency
from specflow.replay.simulate import Played, Tools, play
from specflow.replay.steps import Step, steps_of, tools_of
from specflow.replay.summary import Summary, replay_run
from specflow.speculation.parts import Mode
from specflow.traces.recorded import RecordedRun


def replay(
    kit: Any, run: RecordedRun, guesses: Any, *, takes: str = "2s", speed: float | None = None
) -> Summary:
    return replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser(guesses)],
        latency=latency(takes),
        speed=speed,
    )


def played(policy: str, run: RecordedRun, predictor: Any, takes: str) -> tuple[tuple[Step, ...], Played]:
    steps = tuple(steps_of(run))
    bodies = Tools(steps, latency(takes))
    registry = tools_of(run, bodies)
    judge = loads(policy, tools=registry)
    return steps, play(steps, registry=registry, judge=judge, tools=bodies, predictors=[predictor])


@pytest.mark.parametrize("place", [0, 1, 3, 5])
@pytest.mark.parametrize("tool_seconds", [0.5, 2.0, 11.0])
def test_time_saved_is_that_of_the_formula(kit: Any, place: int, tool_seconds: float) -> None:
    """T_spec = a*N*max(G, g+T) + (1-a)*N*(G+T), with a = 3/4 of N = 4 steps guessed right at g."""
    model_seconds, steps = 10.0, 4
    run = kit.run(*(kit.answer(model_seconds, ("read", {"id": k})) for k in range(steps)))
    right = [[(place, Call(tool="read", args={"id": k}), 1.0)] for k in range(steps - 1)]
    first = next(iter(steps_of(run)))
    guess_seconds = first.pieces[place - 1][0] if place else 0.0
    one = replay(kit, run, [*right, []], takes=f"{tool_seconds}s")
    sequential = steps * (model_seconds + tool_seconds)
    formula = (steps - 1) * max(model_seconds, guess_seconds + tool_seconds) + model_seconds + tool_seconds
    assert one.sequential_seconds == pytest.approx(sequential, abs=1e-6)
    assert one.saved_seconds == pytest.approx(sequential - formula, abs=1e-6)
    oracle = steps * max(model_seconds, tool_seconds)
    assert one.oracle_seconds == pytest.approx(sequential - oracle, abs=1e-6)
    ideal = (steps - 1) * max(model_seconds, tool_seconds) + model_seconds + tool_seconds
    assert one.regret_seconds == pytest.approx(formula - ideal, abs=1e-6)
    hit = guess_seconds + tool_seconds < model_seconds
    assert one.outcomes["hit" if hit else "late"] == steps - 1
    assert one.outcomes["miss"] == 1


def test_a_guess_of_the_real_sniffer_saves_what_its_moment_allows(kit: Any) -> None:
    text = {"type": "string", "description": "Order number, such as A-1"}
    schema = {"type": "object", "properties": {"order_id": text}, "required": ["order_id"]}
    function = {"name": "look_up_order", "description": "Look up an order.", "parameters": schema}
    words = "I will look up order A-1007. " + "The weather is fine today. " * 40
    turn = kit.answer(20.0, ("look_up_order", {"order_id": "A-1007"}), reasoning=words)
    run = RecordedRun.model_validate(
        kit.record({"role": "user", "content": "Where is it?"}, turn, tools=[function])
    )
    allowed = "  look_up_order: {effect: read_only, speculate: now, destinations: {host: a.example}}\n"
    steps, done = played(kit.policy + allowed, run, ReasoningSniffer(), "18s")
    (launched,) = done.log.of(EventKind.LAUNCHED)
    assert launched.at in {due for due, _ in steps[0].pieces}
    assert 0 < launched.at < 2
    assert done.seconds == pytest.approx(max(20.0, launched.at + 18.0), abs=1e-6)
    steps, done = played(kit.policy + allowed, run, ReasoningSniffer(), "19.9s")
    assert done.seconds == pytest.approx(max(20.0, launched.at + 19.9), abs=1e-6)


def test_what_is_wasted_is_counted_in_calls_seconds_and_money(kit: Any) -> None:
    run = kit.run(kit.answer(10.0, ("other", {"id": 1})), kit.answer(1.0))
    wrong = [(0, Call(tool="other", args={"id": 2}), 1.0), (0, Call(tool="read", args={"id": 3}), 1.0)]
    unsure = (1, Call(tool="other", args={"id": 1}), 0.1)
    one = replay(kit, run, [[*wrong, unsure], []], takes="4s")
    assert (one.launched, one.wasted_calls, one.saved_seconds) == (2, 2, 0.0)
    assert one.wasted_seconds == pytest.approx(8.0)
    assert one.wasted_usd == pytest.approx(0.01)
    # The unsure guess was right: made at once and believed, it would have saved 4 s.
    assert one.regret_seconds == pytest.approx(4.0)
    assert one.outcomes == {**dict.fromkeys(one.outcomes, 0), "miss": 1, "cancelled": 2}


def test_calls_are_counted_by_what_became_of_them(kit: Any) -> None:
    calls = [("read", {"id": 1}), ("held", {"id": 1}), ("pay", {"id": 1}), ("banned", {}), ("nobody", {})]
    one = replay(kit, kit.run(kit.answer(3.0, *calls)), [[(0, Call(tool="read", args={"id": 1}), 1.0)]])
    assert (one.calls, one.held, one.refused, one.unknown) == (4, 2, 1, 1)
    assert one.outcomes["hit"] == 1
    # Refused and unknown calls take no time; the others run side by side.
    assert one.sequential_seconds == pytest.approx(5.0)
    assert one.saved_seconds == pytest.approx(0.0)


def test_of_two_equal_calls_one_is_adopted_and_one_is_made(kit: Any) -> None:
    twice = kit.run(kit.answer(5.0, ("read", {"id": 1}), ("read", {"id": 1})))
    guess = (0, Call(tool="read", args={"id": 1}), 1.0)
    one = replay(kit, twice, [[guess, guess]])
    assert (one.launched, one.outcomes["hit"], one.outcomes["miss"]) == (1, 1, 1)
    assert one.saved_seconds == one.oracle_seconds == 0.0


def test_a_real_write_makes_an_early_read_stale(kit: Any) -> None:
    """The write comes first in its step; the read that was kept for later has met it."""
    lasting = Call(tool="lasting", args={"id": 1})
    run = kit.run(kit.answer(1.0, ("pay", {"id": 1})), kit.answer(1.0, ("lasting", {"id": 1})))
    one = replay(kit, run, [[(0, lasting, 1.0)], []])
    assert one.outcomes["stale"] == 1
    assert one.saved_seconds == pytest.approx(0.0)


def test_a_call_that_fails_in_conflict_is_no_saving(kit: Any) -> None:
    """The early booking runs for 20 s, then it is undone; the real read waits for that 10 s and gives up."""
    run = kit.run(kit.answer(0.0, ("read", {"id": 1})))
    one = replay(kit, run, [[(0, Call(tool="book", args={"id": 1}), 1.0)]], takes="20s")
    assert one.conflicts == 1
    assert one.outcomes["compensated"] == 1
    # 10 s of waiting, and then the call has to be made all the same.
    assert one.saved_seconds == pytest.approx(-10.0)


def test_turns_that_take_no_time_and_runs_without_turns(kit: Any) -> None:
    run = kit.run(kit.answer(0.0, ("read", {"id": 1})), {"role": "assistant"})
    one = replay(kit, run, [[(0, Call(tool="read", args={"id": 1}), 1.0)]])
    assert one.sequential_seconds == pytest.approx(2.0)
    assert one.saved_seconds == pytest.approx(0.0)
    assert one.outcomes["late"] == 1
    nothing = replay(kit, kit.run({"role": "user", "content": "hello?"}), [])
    assert (nothing.runs, nothing.steps, nothing.sequential_seconds) == (1, 0, 0.0)


def test_steps_without_a_recorded_time_speak_fifty_tokens_a_second(kit: Any) -> None:
    turn = {**kit.answer(None), "completion_tokens": 100}
    one = replay(kit, kit.run(turn, kit.answer(3.0)), [])
    assert one.untimed_steps == 1
    assert one.sequential_steps == pytest.approx([2.0, 3.0])


def test_results_belong_to_calls_by_id_else_by_place(kit: Any) -> None:
    turn = kit.answer(1.0, ("read", {"id": 1}), ("other", {"id": 2}), ("read", {"id": 3}))
    turn["tool_results"] = [{"id": "c2", "content": "third"}, {"id": "c0", "content": "first"}]
    assert next(iter(steps_of(kit.run(turn)))).results == ("first", "", "third")
    turn["tool_results"] = [{"id": "x", "content": "a"}, {"id": "c0", "content": "b"}]
    assert next(iter(steps_of(kit.run(turn)))).results == ("a", "b", "")
    turn["tool_results"] = [{"id": "c0", "content": str(k)} for k in range(5)]
    assert next(iter(steps_of(kit.run(turn)))).results == ("0", "1", "2")


def test_a_replay_repeats_to_the_last_digit(kit: Any) -> None:
    run = kit.run(*(kit.answer(1.5, ("read", {"id": k}), ("other", {"id": k})) for k in range(5)))
    guesses = [[(2, Call(tool="read", args={"id": k}), 1.0)] for k in range(5)]
    takes = "lognormal:1.5,0.8"
    assert (
        replay(kit, run, guesses, takes=takes).as_json() == replay(kit, run, guesses, takes=takes).as_json()
    )


def test_mode_off_hears_nothing_and_takes_the_sum(kit: Any) -> None:
    run = kit.run(kit.answer(2.5, ("read", {"id": 1})), kit.answer(1.25))
    steps = tuple(steps_of(run))
    bodies = Tools(steps, latency("2s"))
    registry = tools_of(run, bodies)
    judge = loads(kit.policy, tools=registry)
    done = play(steps, registry=registry, judge=judge, tools=bodies, predictors=(), mode=Mode.OFF)
    assert done.steps == pytest.approx((4.5, 1.25))
    assert done.seconds == pytest.approx(5.75)
    assert not done.log.of(EventKind.PROPOSED)


@pytest.mark.slow
def test_the_wall_clock_agrees_with_virtual_time(kit: Any) -> None:
    """Generous: what is checked is that both loops play the same run, not how busy the machine is."""
    run = kit.run(*(kit.answer(4.0, ("read", {"id": k})) for k in range(5)))
    guesses = [[(1, Call(tool="read", args={"id": k}), 1.0)] for k in range(5)]
    virtual = replay(kit, run, guesses, takes="3s")
    real = replay(kit, run, guesses, takes="3s", speed=4.0)
    assert real.outcomes == virtual.outcomes
    assert real.launched == virtual.launched
    # Sleeps may end late but never early, so time by the wall clock is a little more.
    assert virtual.sequential_seconds - 0.1 <= real.sequential_seconds <= 1.25 * virtual.sequential_seconds
    assert real.saved_seconds == pytest.approx(virtual.saved_seconds, rel=0.35)
