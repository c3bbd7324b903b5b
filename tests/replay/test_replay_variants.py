"""Sweeps, shuffled words and money, on runs where they can be worked out by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.policy.load import loads
from specflow.replay.cast import Cast
from specflow.replay.latency import latency
from specflow.replay.shuffled import shuffled
from specflow.replay.steps import steps_of
from specflow.replay.summary import Summary, replay_run
from specflow.replay.threshold import AtThreshold
from specflow.replay.variant import Variant, swept
from specflow.replay.variants import Replays

BASE = Variant(predictors=("sniffer",), takes="2s")


def replay(kit: Any, run: Any, guesses: Any, policy: str = "", **options: Any) -> Summary:
    return replay_run(
        run,
        Summary(),
        judge_for=lambda registry: loads(policy or kit.policy, tools=registry),
        predictors=[kit.guesser(guesses)],
        **{"latency": latency("2s"), **options},
    )


def test_a_sweep_names_its_values() -> None:
    found = list(swept(BASE, ["threshold=0.3, 0.5", "tool-latency=1s,lognormal:2,0.5", "threshold=0.3"]))
    assert [(one.sweep, one.value, one.threshold, one.takes) for one in found] == [
        ("threshold", "0.3", 0.3, "2s"),
        ("threshold", "0.5", 0.5, "2s"),
        ("tool-latency", "1s", None, "1s"),
        ("tool-latency", "lognormal:2,0.5", None, "lognormal:2,0.5"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("threshold", "threshold=", "threshold=,", "depth=3", "threshold=1.5", "threshold=nan"),
        *("threshold=high", "tool-latency=soon", "tool-latency=-1s"),
        "threshold=" + ",".join(f"0.{number:03}" for number in range(60)),
    ],
    ids=range(10),
)
def test_what_is_no_sweep_is_said(text: str) -> None:
    with pytest.raises(ConfigurationError):
        list(swept(BASE, [text]))


def test_a_threshold_takes_the_place_of_the_policys(kit: Any) -> None:
    run = kit.run(kit.answer(10.0, ("read", {"id": 1})), kit.answer(10.0, ("read", {"id": 2})))
    guesses = [[(0, Call(tool="read", args={"id": number}), sure)] for number, sure in ((1, 0.4), (2, 0.9))]
    # The policy's own threshold is 0.5.
    by = {least: replay(kit, run, guesses, threshold=least) for least in (None, 0.0, 0.5, 0.95, 1.0)}
    assert {least: one.launched for least, one in by.items()} == {None: 1, 0.0: 2, 0.5: 1, 0.95: 0, 1.0: 0}
    assert {least: one.saved_seconds for least, one in by.items()} == pytest.approx(
        {None: 2.0, 0.0: 4.0, 0.5: 2.0, 0.95: 0.0, 1.0: 0.0}
    )
    assert len({round(one.oracle_seconds, 6) for one in by.values()}) == 1, "the oracle is sure"
    rows = {least: one.as_json()["predictors"]["guesser"]["recall"] for least, one in by.items()}
    assert (rows[0.0], rows[0.5], rows[0.95]) == (1.0, 0.5, 0.0)


def test_a_threshold_permits_nothing_that_the_policy_does_not(kit: Any) -> None:
    run = kit.run(kit.answer(10.0, ("held", {"id": 1}), ("pay", {"id": 1}), ("banned", {"id": 1})))
    guesses = [[(0, Call(tool=name, args={"id": 1}), 1.0) for name in ("held", "pay", "banned")]]
    assert replay(kit, run, guesses, threshold=0.0).launched == 0
    judge = loads(kit.policy)
    assert AtThreshold(of=judge, threshold=0.1).hash == judge.hash


WORDS = st.text(alphabet=st.sampled_from("ab \n\t.é"), max_size=60)


@given(reasoning=WORDS, content=WORDS, seed=st.integers(0, 5))
def test_shuffling_keeps_the_words_and_the_spaces(kit: Any, reasoning: str, content: str, seed: int) -> None:
    turn = {**kit.answer(4.0, ("read", {"id": 1}), reasoning=reasoning), "content": content}
    run = kit.run({"role": "user", "content": content}, turn)
    mixed = shuffled(run, seed)
    assert mixed == shuffled(run, seed)
    assert mixed.turns[0] == run.turns[0], "what the user said is not the model's"
    before, after = run.turns[1], mixed.turns[1]
    for part in ("reasoning", "content"):
        was, now = getattr(before, part), getattr(after, part)
        assert Counter(was.split()) == Counter(now.split())
        assert len(was) == len(now)
    assert after.model_copy(update={"reasoning": before.reasoning, "content": before.content}) == before


def test_shuffled_words_are_heard_and_not_remembered(kit: Any) -> None:
    """The history that predictors see is what was said; only what is spoken now is out of order."""
    words = "one two three four five six seven eight"
    run = kit.run(kit.answer(4.0, reasoning=words), {**kit.answer(1.0), "content": words}, kit.answer(1.0))
    own, mixed = tuple(steps_of(run)), tuple(steps_of(run, spoken=shuffled(run, 1)))
    assert [step.history for step in own] == [step.history for step in mixed]
    assert [step.seconds for step in own] == [step.seconds for step in mixed]

    def said(step: Any) -> str:
        return "".join(chunk.text for _, chunk in step.pieces)

    assert said(own[0]) != said(mixed[0])
    assert sorted(said(own[0]).split()) == sorted(said(mixed[0]).split())


SHOP = """version: 1
defaults: {speculation: {min_confidence: 0.5}}
tools:
  look_up_order: {effect: read_only, speculate: now, destinations: {host: shop.example}}
"""


def test_every_variant_is_played_and_shown(kit: Any) -> None:
    text = {"type": "string", "description": "Order number, such as A-1"}
    schema = {"type": "object", "properties": {"order_id": text}, "required": ["order_id"]}
    function = {"name": "look_up_order", "description": "Look up an order.", "parameters": schema}
    words = "I will look up order A-1007. " + "The weather is fine today. " * 40
    turn = kit.answer(20.0, ("look_up_order", {"order_id": "A-1007"}), reasoning=words)
    record = kit.record({"role": "user", "content": "Where is it?"}, turn, tools=[function])
    run = kit.run().__class__.model_validate(record)
    variants = [
        BASE,
        *swept(BASE, ["threshold=0.1,1", "tool-latency=4s"]),
        Variant(predictors=("sniffer",), takes="2s", shuffle=3),
    ]
    replays = Replays(judge_for=lambda tools: loads(SHOP, tools=tools), variants=variants)
    replays.add(run, Cast(), place="here")
    found = replays.as_json()
    assert found["saved_seconds"] == 2.0
    rows = [(row["sweep"], row["value"], row["hits"], row["launched"]) for row in found["sweep"]]
    assert rows == [
        ("threshold", "0.1", 1, 1),
        ("threshold", "1", 0, 0),
        ("tool-latency", "4s", 1, 1),
    ]
    assert [row["saved_seconds"] for row in found["sweep"]] == [2.0, 0.0, 4.0]
    assert [(row["precision"], row["recall"]) for row in found["sweep"]] == [
        (1.0, 1.0),
        (0.0, 0.0),
        (1.0, 1.0),
    ]
    assert found["shuffled"]["seed"] == 3
    assert found["shuffled"]["saved_seconds"] < found["saved_seconds"], "a sniffer reads sentences, not words"


def test_money_stands_beside_time(kit: Any) -> None:
    prices = kit.policy.replace(
        "max_concurrent: 2", "max_concurrent: 8, usd_per_second: 5, max_wasted_usd: 9"
    )
    prices = prices.replace(
        "    predictors: [guesser]\n",
        "    predictors: [guesser]\n    limits: {cost_usd: 0.1, undo_usd: 0.2}\n",
    )
    prices = prices.replace(
        'reads: ["thing:{args.id}"],', 'reads: ["thing:{args.id}"], limits: {cost_usd: 0.01},'
    )
    run = kit.run(
        kit.answer(10.0, ("read", {"id": 1}), ("read", {"id": 5})),
        # How long a booking takes is known: otherwise an early one would not be worth its price.
        kit.answer(1.0, ("book", {"id": 9})),
    )
    guesses = [
        [
            (0, Call(tool="book", args={"id": 3}), 1.0),
            (1, Call(tool="read", args={"id": 1}), 1.0),
            (1, Call(tool="read", args={"id": 2}), 1.0),
        ]
    ]
    found = replay(kit, run, guesses, prices).as_json()
    assert found["by_tool"]["read"] == {
        "launched": 2,
        "adopted": 1,
        "wasted_calls": 1,
        "hidden_seconds": 2.0,
        "wasted_seconds": 2.0,
        "wasted_usd": 0.01,
    }
    # A lost booking costs its price and that of the undoing.
    assert found["by_tool"]["book"]["wasted_usd"] == pytest.approx(0.3)
    whole = found["by_predictor"]["guesser"]
    assert (whole["launched"], whole["adopted"], whole["wasted_calls"]) == (3, 1, 2)
    assert whole["wasted_usd"] == pytest.approx(0.31) == found["wasted_usd"]
    # `read` of 5 was not foreseen and takes its 2 s: nothing is saved, whatever was hidden.
    assert (found["saved_seconds"], found["money"]["saved_usd"]) == (0.0, 0.0)
    assert found["money"] == {"calls_usd": 0.12, "saved_usd": 0.0, "wasted_usd": 0.31, "net_usd": -0.31}
