"""What comes out of a result is tainted; of a foreseen call also what may have, spelt otherwise."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import HistoryItem, PastCall
from specflow.speculation.taint import perhaps_from_results, taken_from_results

SEARCH = ToolSpec(
    name="search",
    description="Search, in economy or in business.",
    parameters={"type": "object", "properties": {"q": {"type": "string", "enum": ["cheapest", "nearest"]}}},
)


def result(text: str) -> HistoryItem:
    return HistoryItem(role="tool", text=text, call=PastCall(tool="read", args={}, result=text))


def search(value: object) -> Candidate:
    return Candidate(call=Call(tool="search", args={"q": value}), confidence=0.9, predictor="draft")


ASKED = HistoryItem(role="user", text="A flight to Rome, please.")
SECRETS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=6, max_size=20)
SPELLINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    lambda text: text[::-1],
    "-".join,
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: text.encode().hex(),
]


@given(SECRETS, st.sampled_from(SPELLINGS))
def test_however_a_foreseen_call_spells_what_a_result_said_it_is_tainted(
    secret: str, spell: Callable[[str], str]
) -> None:
    # By chance it may be a word of the schema, "string" say.
    known = f"{ASKED.text} {SEARCH.description} {SEARCH.parameters}".casefold()
    assume(spell(secret).casefold() not in known)
    history = [ASKED, result(f"the code is {secret}")]
    assert perhaps_from_results(search(spell(secret)), history, SEARCH).tainted
    assert perhaps_from_results(search({"deep": [spell(secret)]}), history, None).tainted


@pytest.mark.parametrize("value", ["Rome", "rome", "economy", "cheapest", "be brief", "ab", True, 7])
def test_what_the_user_the_instructions_or_the_schema_say_is_not(value: object) -> None:
    history = [HistoryItem(role="system", text="Always be brief."), ASKED, result("Rome, economy, 7 euro")]
    assert not perhaps_from_results(search(value), history, SEARCH).tainted


def test_before_there_are_results_nothing_is() -> None:
    assert not perhaps_from_results(search("anything at all"), [ASKED], SEARCH).tainted


def test_the_models_own_words_are_tainted_where_they_repeat_a_result_alone() -> None:
    history = [ASKED, result("code 4711-B")]
    assert taken_from_results(search("4711-B"), history).tainted
    assert not taken_from_results(search("Rome"), history).tainted
    assert not taken_from_results(search("its own words"), history).tainted


def test_who_says_so_itself_is_believed() -> None:
    said = Candidate(call=Call(tool="search", args={}), confidence=0.5, predictor="draft", tainted=True)
    assert perhaps_from_results(said, [], None).tainted
    assert taken_from_results(said, []).tainted
