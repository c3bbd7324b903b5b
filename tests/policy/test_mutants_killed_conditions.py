"""Each of these fails for a small fault in the conditions that no other test noticed."""

from __future__ import annotations

from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.effects.tool import ToolSpec
from specflow.policy import loads
from specflow.policy.cel_scan import CelSyntaxError
from specflow.policy.condition import MAX_DATA, MAX_ITEMS, MAX_LEVELS, Cel, ConditionError, Scope

LETTERS = "abcdefgh"


def nested(levels: int, *, lists: bool) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if lists else {"": value}
    return value


# The limits, to the last value: (what still fits, what no longer does). The name `a` is one character.
LIMITS = [
    ({"a": "x" * 16_383}, {"a": "x" * 16_384}),
    ({"a": "x" * 16_382, "b": 1}, {"a": "x" * 16_383, "b": 1}),
    ({"a": "x" * 16_382, "b": []}, {"a": "x" * 16_383, "b": []}),
    ({"a": "x" * 16_382, "b": {}}, {"a": "x" * 16_383, "b": {}}),
    ({"a": {"b" * 16_383: 1}}, {"a": {"b" * 16_384: 1}}),
    ({"a": [0] * 4_094}, {"a": [0] * 4_095}),
    ({"a": nested(32, lists=True)}, {"a": nested(33, lists=True)}),
    ({"a": nested(32, lists=False)}, {"a": nested(33, lists=False)}),
    ({"a": -(2**63)}, {"a": -(2**63) - 1}),
    ({"a": 2**63 - 1}, {"a": 2**63}),
]


@pytest.mark.parametrize(("fits", "too_much"), LIMITS)
def test_the_limits_hold_to_the_last_value(fits: Any, too_much: Any) -> None:
    assert (MAX_DATA, MAX_ITEMS, MAX_LEVELS) == (16_384, 4_096, 32)
    Scope(fits)
    with pytest.raises(ConditionError) as caught:
        Scope(too_much)
    assert caught.value.code == "condition"


def test_a_value_is_held_to_the_same_limit() -> None:
    same = Cel("args.a", frozenset({"args"}))
    # The name `result` counts, as the names of arguments do.
    assert same.evaluate({"args": {"a": "x" * 16_378}}) == "x" * 16_378
    with pytest.raises(ConditionError):
        same.evaluate({"args": {"a": "x" * 16_379}})


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("deep", [33, 40, 200])
def test_an_argument_that_no_condition_reads_is_still_too_deep(deep: int, lists: bool) -> None:
    rule = "{id: r, when: args.a == 1, require: {effect: deny}}"
    found = loads(f"version: 1\ntools: {{t: {{effect: read_only, rules: [{rule}]}}}}\n")
    call = Call(tool="t", args={"a": 2, "b": nested(deep, lists=lists)})
    assert found.judge(ToolSpec(name="t"), call, context={}).effect == "deny"
    flat = Call(tool="t", args={"a": 2, "b": nested(20, lists=lists)})
    assert found.judge(ToolSpec(name="t"), flat, context={}).effect == "read_only"


@pytest.mark.parametrize("reads_context", [True, False])
@pytest.mark.parametrize(
    "value",
    ["x" * 16_383, nested(32, lists=True), nested(32, lists=False), [0] * 4_094],
    ids=["text", "lists", "objects", "items"],
)
def test_what_just_fits_is_counted_once(value: Any, reads_context: bool) -> None:
    """Arguments and context each have the whole limit; their names in the scope take nothing of it."""
    source = "size(args.a) > 0" + (" && size(context.b) > 0" if reads_context else "")
    rule = f"{{id: r, when: '{source}', allow: {{speculate: now}}}}"
    found = loads(f"version: 1\ntools: {{t: {{effect: read_only, speculate: hold, rules: [{rule}]}}}}\n")
    seen = found.judge(ToolSpec(name="t"), Call(tool="t", args={"a": value}), context={"b": value})
    assert "r" in {reason.code for reason in seen.reasons}


def test_what_may_be_read_is_told_in_order() -> None:
    allowed = frozenset(f"may_{letter}" for letter in LETTERS)
    with pytest.raises(CelSyntaxError) as caught:
        Cel("other == 1", allowed)
    assert str(caught.value) == f"unknown name 'other': it may read {', '.join(sorted(allowed))}"


@pytest.mark.parametrize("prefix", ["no", "nor", "not", "nope", "never"])
def test_the_first_unknown_name_is_told(prefix: str) -> None:
    source = " + ".join(f"{prefix}_{letter}" for letter in reversed(LETTERS))
    with pytest.raises(CelSyntaxError, match=f"unknown name '{prefix}_a'"):
        Cel(source, frozenset({"args"}))


def test_a_condition_shows_its_source() -> None:
    assert repr(Cel("args.a == 1", frozenset({"args"}))) == "Cel('args.a == 1')"


def test_why_a_condition_has_no_value_is_told_without_values() -> None:
    def why(source: str, **args: Any) -> str:
        with pytest.raises(ConditionError) as caught:
            Cel(source, frozenset({"args"})).test(Scope({"args": args}))
        return caught.value.message

    assert why("1 / args.zero > 1", zero=0) == "evaluation failed (ZeroDivisionError)"
    # Names that come from data are not told, an empty one among them.
    assert why("args[args.k] == 1", k="") == "a field is missing"
    assert why("args[args.k] == 1", k="secret") == "a field is missing"
    assert why("args.gone == 1") == "the field 'gone' is missing"
