"""Claims: what a write keeps other sessions off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from specflow.effects.claim import DEEPEST, LONGEST, claim_key, claims, covering, meet, tool_claim
from specflow.effects.footprint import keys, overlap


@pytest.mark.parametrize(
    ("templates", "args", "expected"),
    [
        (None, {"seat": "A1"}, ()),
        ((), {}, ()),
        (("seat:{args.seat}",), {"seat": "A1"}, ("seat:A1",)),
        (("seat:{ args.seat }", "seat:{args.seat}"), {"seat": "A1"}, ("seat:A1",)),
        (("b:{args.b}", "a:{args.a}"), {"a": 1, "b": True}, ("a:1", "b:True")),
        (("seat:{args.flight}:{args.seat}",), {"flight": "TP1"}, ("seat:TP1:*",)),
        (("seat:{args.flight}:{args.seat}",), {"seat": "A1"}, ("seat:*",)),
        (("{args.key}",), {}, ("*",)),
        (("{args.key}",), {"key": ""}, ()),
        (("order:{result.id}", "cart:{args.cart}"), {"cart": 7}, ("cart:7",)),
        (("orders", "order:*"), {}, ("order:*", "orders")),
    ],
)
def test_what_is_claimed(
    templates: Sequence[str] | None, args: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert claims(templates, args) == expected


@pytest.mark.parametrize("secrets", [("args.card",), ("args",), ("args.card.number",), ("args.*",)])
def test_what_the_policy_redacts_is_in_no_claim(secrets: tuple[str, ...]) -> None:
    args = {"card": {"number": "4711-0815"}, "seat": "A1"}
    found = claims(("card:{args.card.number}", "seat:{args.seat}"), args, secrets)
    assert not any("4711" in one or "redacted" in one for one in found)
    assert found == (("seat:A1",) if "args.card" in secrets[0] else ())


def test_the_word_for_what_is_redacted_is_a_value_like_any_other() -> None:
    assert claims(("seat:{args.seat}",), {"seat": "[redacted]"}, ("args.card",)) == ("seat:[redacted]",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seat:A1", "seat:A1"),
        ("seat:A*", "seat:*"),
        ("seat:*:x", "seat:*"),
        ("seat*", "*"),
        ("*", "*"),
        ("a\x00b\n\ud800", "a%0000b%000A%D800"),
        (":" * 30 + "*", ":" * DEEPEST + "*"),
        ("db:" + "x" * 1000 + ":*", "db:*"),
    ],
)
def test_the_normal_form(text: str, expected: str) -> None:
    assert claim_key(text) == expected


def test_what_covers_a_key() -> None:
    assert covering("a:b:c") == ("*", "a:*", "a:b:*")
    assert covering("a:b:*") == ("*", "a:*")
    assert covering("a") == ("*",)
    assert covering("*") == ()
    assert len(covering(":" * 1000)) == DEEPEST + 1
    assert tool_claim("book") == "tool:book:*"
    assert tool_claim("mcp:*:book") == "tool:mcp:*"


PIECES = st.lists(st.sampled_from(["a", "b", ":", "*", "ab", "é", "\x00", "x" * 200]), max_size=12)
KEYS = PIECES.map("".join)


@given(text=st.text() | KEYS)
def test_the_normal_form_is_stable_bounded_and_storable(text: str) -> None:
    found = claim_key(text)
    assert claim_key(found) == found
    assert len(found) <= LONGEST
    assert found.encode().decode() == found
    assert "\x00" not in found
    assert found.count("*") == 0 or (found.count("*") == 1 and found.endswith("*"))


@given(one=KEYS, other=KEYS)
@example(one="a:b", other="a:*")
@example(one="a:" + "x" * 300, other="a:*")
@example(one="a:" + "x" * 300, other="a:" + "x" * 200 + "*")
@example(one=":" * 20 + "a", other=":" * 20 + "*")
def test_what_overlaps_as_a_footprint_meets_as_a_claim(one: str, other: str) -> None:
    """The normal form may see a conflict where there is none, and never misses one."""
    met = meet(claim_key(one), claim_key(other))
    assert met == meet(claim_key(other), claim_key(one))
    if overlap(frozenset([one]), frozenset([other])):
        assert met


@given(
    values=st.dictionaries(
        st.sampled_from(["a", "b"]), st.none() | st.text() | st.integers() | st.lists(st.none())
    )
)
def test_claims_cover_the_footprint(values: dict[str, Any]) -> None:
    templates = ("x:{args.a}", "{args.b}:{args.a}:y")
    found = claims(templates, values)
    for key in keys(templates, values) or ():
        assert key == "" or any(meet(claim_key(key), one) for one in found)
