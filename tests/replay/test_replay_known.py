"""What could be saved by whoever guesses no results: calls begin when their values are known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.policy.load import loads
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.replay.latency import latency
from specflow.replay.simulate import Tools
from specflow.replay.sources import Sources, bare
from specflow.replay.steps import Step, steps_of, tools_of
from specflow.replay.summary import Summary, replay_run
from specflow.testing.foreseeing import Foreseeing

EPSILON = 1e-6
NAMES = ("read", "lasting", "kept")
KEPT = """
  kept: {effect: read_only, speculate: now, cache: {ttl: 60s, scope: thread}, destinations: {host: a.example}}
"""
SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "sort": {"type": "string", "enum": ["ascending", "falling"]}},
}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": SCHEMA}}
    for name in NAMES
]


def answer(kit: Any, seconds: float, *calls: tuple[str, Mapping[str, Any], str]) -> dict[str, Any]:
    """A turn with calls of (tool, arguments, result)."""
    turn: dict[str, Any] = kit.answer(seconds, *((name, args) for name, args, _ in calls))
    for result, (_, _, text) in zip(turn["tool_results"], calls, strict=True):
        result["content"] = text
    return turn


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def recorded(kit: Any, *turns: Mapping[str, Any]) -> Any:
    return kit.run().model_validate(kit.record(*turns, tools=TOOLS))


def policy(kit: Any) -> str:
    """That of the other tests, with room for every guess, and a read that outlives its run."""
    return str(kit.policy.replace("max_concurrent: 2", "max_concurrent: 9")).rstrip() + KEPT


def replayed(kit: Any, run: Any, takes: str = "5s", predictors: Sequence[Any] = ()) -> Summary:
    return replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(policy(kit), tools=registry),
        predictors=predictors or [Foreseeing(knowing(run), confidence=0.9)],
        latency=latency(takes),
    )


def texts(items: Sequence[HistoryItem]) -> Iterator[tuple[str, str]]:
    """Each message, and the texts in it."""
    for item in items:
        if item.call is None:
            yield item.role, bare(item.text)
        else:
            yield "args", bare(json.dumps(item.call.args))
            yield "result", bare(item.call.result)


def knowing(run: Any) -> Any:
    """Foresees every call to come of which nothing has to be guessed: each value has been said where it was
    said before the call in the record, too, or was said nowhere.
    """
    steps = tuple(steps_of(run))
    plan = [(call, set(texts(step.history))) for step in steps for call in step.calls]

    def may(call: Call, before: set[tuple[str, str]], now: set[tuple[str, str]]) -> bool:
        for name, value in call.args.items():
            holding = {text for text in before if bare(str(value)) in text[1]}
            if name != "sort" and holding and holding.isdisjoint(now):
                return False
        return True

    def step(context: TurnContext) -> list[Call]:
        now = set(texts(context.history))
        made = sum(item.call is not None for item in context.history)
        return [call for call, before in plan[made:] if may(call, before, now)]

    return step


def test_a_value_that_a_tool_answers_is_known_when_it_has(kit: Any) -> None:
    run = recorded(
        kit,
        user("Hello."),
        answer(kit, 1.0, ("read", {"id": "begin"}, "it is Q-777")),
        answer(kit, 9.0, ("read", {"id": "Q-777"}, "there")),
    )
    one = replayed(kit, run)
    # In sequence (1 + 5) + (9 + 5). Both at once: 5 + 9; the second at 5 s: the same.
    assert one.sequential_seconds == pytest.approx(20.0)
    assert one.chained_oracle_seconds == pytest.approx(6.0)
    assert one.known_oracle_seconds == pytest.approx(6.0)
    assert one.saved_seconds == pytest.approx(6.0)
    slow = replayed(kit, run, "8s")
    # In sequence 9 + 17; both at once 8 + 9; the second from 8 to 16 s, and the model is done at 17 s.
    assert slow.chained_oracle_seconds == pytest.approx(9.0)
    assert slow.known_oracle_seconds == pytest.approx(9.0)
    slower = replayed(kit, run, "12s")
    # In sequence 13 + 21; both at once 12 + 9; the second from 12 to 24 s.
    assert slower.chained_oracle_seconds == pytest.approx(13.0)
    assert slower.known_oracle_seconds == pytest.approx(10.0)
    assert slower.saved_seconds == pytest.approx(10.0)


@pytest.mark.parametrize(
    "said", ["Where is q 777?", "Q777", "It is (Q-777)."], ids=["case", "letters", "signs"]
)
def test_a_value_that_the_user_said_is_known_since_then(kit: Any, said: str) -> None:
    run = recorded(
        kit,
        user(said),
        answer(kit, 1.0, ("read", {"id": "begin"}, "it is Q-777")),
        answer(kit, 9.0, ("read", {"id": "Q-777"}, "there")),
    )
    one = replayed(kit, run, "12s")
    assert one.known_oracle_seconds == pytest.approx(13.0)
    assert one.known_oracle_seconds == one.chained_oracle_seconds


def test_what_outlives_its_run_begins_when_somebody_has_said_its_values(kit: Any) -> None:
    run = recorded(
        kit,
        user("Hello."),
        answer(kit, 10.0),
        user("It is Q-777."),
        answer(kit, 1.0, ("kept", {"id": "Q-777"}, "")),
    )
    one = replayed(kit, run)
    assert one.chained_oracle_seconds == pytest.approx(5.0)  # begun before anybody had said it
    assert one.known_oracle_seconds == pytest.approx(1.0)
    assert one.saved_seconds == pytest.approx(1.0)
    known = recorded(
        kit,
        user("It is Q-777."),
        answer(kit, 10.0),
        user("Well?"),
        answer(kit, 1.0, ("kept", {"id": "Q-777"}, "")),
    )
    assert replayed(kit, known).known_oracle_seconds == pytest.approx(5.0)
    assert replayed(kit, known).saved_seconds == pytest.approx(5.0)


@pytest.mark.parametrize(
    "args",
    [
        {"id": "2026-11-28"},
        {"id": "JFK"},
        {"id": "7"},
        {"sort": "ascending"},
        {},
    ],
    ids=["a date", "an airport", "too short", "listed", "no arguments"],
)
def test_what_may_have_been_known_anyway_is_known_from_the_beginning(kit: Any, args: dict[str, str]) -> None:
    told = " ".join(args.values())
    run = recorded(
        kit,
        answer(kit, 1.0, ("read", {"id": "begin"}, f"it is {told}")),
        answer(kit, 9.0, ("read", args, "there")),
    )
    one = replayed(kit, run, "12s")
    assert one.known_oracle_seconds == one.chained_oracle_seconds == pytest.approx(13.0)


def test_a_value_that_stood_nowhere_is_known_from_the_beginning(kit: Any) -> None:
    turns = (
        answer(kit, 1.0, ("read", {"id": "begin"}, "nothing of it")),
        answer(kit, 9.0, ("read", {"id": "Q-777"}, "there")),
    )
    assert replayed(kit, recorded(kit, *turns), "12s").known_oracle_seconds == pytest.approx(13.0)


def steps_and_sources(run: Any) -> tuple[Sequence[Step], Sources]:
    steps = tuple(steps_of(run))
    return steps, Sources(steps, tools_of(run, Tools(steps, latency("1s"))))


@pytest.mark.parametrize("text", ['{"a": "M\\u00fcller"}', '{"a": "one\\nM\\u00dcLLER"}', "Müller"])
def test_what_json_escapes_is_read_as_it_is(kit: Any, text: str) -> None:
    run = recorded(
        kit,
        answer(kit, 1.0, ("read", {"id": "begin"}, text)),
        answer(kit, 1.0, ("read", {"id": "Müller"}, "")),
    )
    steps, sources = steps_and_sources(run)
    assert list(sources.of(steps[1].calls[0], len(steps[1].history))) == [[1]]


def test_values_in_lists_and_objects_are_each_asked_for(kit: Any) -> None:
    run = recorded(
        kit,
        user("A-11 please"),
        answer(kit, 1.0, ("read", {"id": "B-22"}, "C-33")),
        answer(kit, 1.0, ("read", {"id": [{"x": "A-11"}, ["B-22", "C-33", None, True, "D-44"]]}, "")),
    )
    steps, sources = steps_and_sources(run)
    # The user has said the first, the tool the third; the second came from nowhere.
    assert list(sources.of(steps[1].calls[0], len(steps[1].history))) == [[0], [2]]


def test_what_a_call_took_from_nowhere_is_known_from_the_beginning(kit: Any) -> None:
    run = recorded(
        kit,
        answer(kit, 7.0),
        answer(kit, 1.0, ("kept", {"id": "Q-777"}, "Q-777 is there")),
        answer(kit, 1.0, ("kept", {"id": "Q-777"}, "Q-777 is there")),
    )
    one = replayed(kit, run)
    assert one.known_oracle_seconds == one.chained_oracle_seconds == pytest.approx(10.0)
    assert one.saved_seconds == pytest.approx(10.0)


WORDS = st.sampled_from(["P-11", "P-12", "P-13", "P-14", "nothing"])
CALLS = st.tuples(st.sampled_from(NAMES), st.fixed_dictionaries({"id": WORDS}), st.lists(WORDS, max_size=2))
ROWS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.3, 1.0, 7.0, 25.0]),
        st.lists(CALLS, max_size=3),
        st.none() | st.lists(WORDS, max_size=2),
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, takes=st.sampled_from(["0s", "1.2s", "5s", "20s", "lognormal:3,1.5"]))
def test_who_guesses_no_results_does_not_beat_the_bound(kit: Any, rows: list[Any], takes: str) -> None:
    """# INVARIANT: foreseen calls whose values are known save no more than `known_oracle_seconds`."""
    turns: list[Any] = []
    for number, (seconds, calls, says) in enumerate(rows):
        # No two messages are the same, so that each can be told from the others.
        made = [
            (name, args, f"result {number}.{at}: {' and '.join(result)}")
            for at, (name, args, result) in enumerate(calls)
        ]
        turns += [answer(kit, seconds, *made)]
        turns += [] if says is None else [user(f"message {number}: {' or '.join(says)}")]
    one = replayed(kit, recorded(kit, *turns), takes)
    assert one.saved_seconds <= one.known_oracle_seconds + EPSILON
    assert one.known_oracle_seconds <= one.chained_oracle_seconds + EPSILON
