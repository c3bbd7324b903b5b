"""Misfires in replays: one class for each early call that nobody adopted, whatever happens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.policy.load import loads
from specflow.prediction.candidate import Candidate, Proposal, Retraction
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import TurnContext
from specflow.replay.latency import latency
from specflow.replay.summary import Summary, replay_run

NAMES = ("read", "other", "quick", "lasting", "loose", "held", "book", "pay", "banned", "nobody")
ARGS = st.fixed_dictionaries({"id": st.integers(0, 2)}, optional={"note": st.sampled_from(["a", "b"])})
CALLS = st.tuples(st.sampled_from(NAMES), ARGS)
SECONDS = st.sampled_from([0.0, 0.3, 1.0, 2.5, 40.0])
TURNS = st.lists(st.tuples(SECONDS, st.lists(CALLS, max_size=4), st.booleans()), max_size=6)
SAID = st.tuples(st.integers(0, 4), CALLS, st.booleans())
GUESSES = st.lists(st.lists(SAID, max_size=6), max_size=6)


@dataclass(slots=True)
class Fickle:
    """Proposes a call at one piece and, for some, takes it back at the next."""

    guesses: list[list[tuple[int, tuple[str, Any], bool]]]
    name: str = "guesser"
    turn: int = -1
    heard: int = -1

    def listen(self, context: TurnContext) -> Fickle:
        self.turn, self.heard = self.turn + 1, -1
        return self

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        self.heard += 1
        for place, (name, args), back in self.guesses[self.turn] if self.turn < len(self.guesses) else ():
            call = Call(tool=name, args=args)
            if place == self.heard:
                yield Candidate(call=call, confidence=0.9, predictor=self.name)
            elif back and place + 1 == self.heard:
                yield Retraction(call=call, predictor=self.name, reason="thought better of it")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns=TURNS, guesses=GUESSES, takes=st.sampled_from(["0s", "0.5s", "20s", "lognormal:1,1.5"]))
def test_every_early_call_that_nobody_adopted_has_one_class(
    kit: Any, turns: list[Any], guesses: list[Any], takes: str
) -> None:
    spoken: list[Any] = []
    for seconds, calls, user_spoke in turns:
        spoken += [{"role": "user", "content": "go on"}] if user_spoke else []
        spoken.append(kit.answer(seconds, *calls))
    one = replay_run(
        kit.run(*spoken),
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[Fickle(guesses)],
        latency=latency(takes),
    )
    found = one.as_json()
    assert sum(found["misfires"].values()) == one.wasted_calls
    assert sum(sum(row.values()) for row in found["misfires_by_predictor"].values()) == one.wasted_calls


def replay(kit: Any, guesses: Any, *turns: Any) -> dict[str, Any]:
    one = replay_run(
        kit.run(*turns),
        Summary(),
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser(guesses)],
        latency=latency("1s"),
    )
    return {name: count for name, count in one.as_json()["misfires"].items() if count}


def test_classes_by_hand(kit: Any) -> None:
    def guess(tool: str, number: int) -> list[tuple[int, Call, float]]:
        return [(0, Call(tool=tool, args={"id": number}), 0.9)]

    one, two = ("read", {"id": 1}), ("read", {"id": 2})
    answer, user = kit.answer, {"role": "user", "content": "and now?"}
    assert replay(kit, [guess("read", 1)], answer(2.0, ("other", {"id": 1}))) == {"wrong_tool": 1}
    assert replay(kit, [guess("read", 2)], answer(2.0, one)) == {"wrong_argument": 1}
    assert replay(kit, [guess("read", 2)], answer(2.0, one), answer(2.0, two)) == {"too_early": 1}
    # The user speaks in between: another session, and the same conversation.
    assert replay(kit, [guess("read", 2)], answer(2.0, one), user, answer(2.0, two)) == {"too_early": 1}
    assert replay(kit, [[], guess("read", 1)], answer(2.0, one), answer(2.0, two)) == {"duplicate": 1}
    assert replay(kit, [guess("read", 1)], answer(2.0, one)) == {}


def test_what_counts_as_the_same_call_is_the_policys_word(kit: Any) -> None:
    early = [[(0, Call(tool="loose", args={"id": 1, "note": "a"}), 0.9)]]
    later = kit.answer(2.0, ("loose", {"id": 1, "note": "b"}))
    assert replay(kit, early, kit.answer(2.0, ("read", {"id": 1})), later) == {"too_early": 1}
