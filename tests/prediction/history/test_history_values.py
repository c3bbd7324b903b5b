"""Where values are found: on which path of a result, in which words of a person."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from specflow.prediction.history import mentions
from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.ftrl import Ftrl
from specflow.prediction.history.mentions import mentions_in
from specflow.prediction.history.results import values_in
from specflow.prediction.history.seen import text_of, typed
from specflow.prediction.predictor import HistoryItem, PastCall


def paths(result: object) -> dict[str, str]:
    return {seen.path: seen.value for seen in values_in("t", json.dumps(result))}


def test_keys_that_are_data_are_no_part_of_a_path() -> None:
    found = paths({"cards": {"card_8812": {"brand": "visa"}}, "JFK": "New York", "two words": 1})
    assert found["t:$.cards.*key"] in {"card_8812"}
    assert found["t:$.cards.*.brand"] == "visa"
    assert not any("8812" in path or "JFK" in path or "two" in path for path in found)


def test_an_object_that_is_a_table_has_its_keys_as_values() -> None:
    found = values_in(
        "t",
        json.dumps(
            {"Kettle": "1234567890", "Lamp": "2234567890", "Sofa": "3234567890", "Tent": "4234567890"}
        ),
    )
    assert {seen.path for seen in found} == {"t:$.*key", "t:$.*"}
    lamp = next(seen for seen in found if seen.value == "2234567890")
    assert lamp.record is not None
    assert lamp.record.title == {"lamp"}


def test_values_of_one_object_share_a_record() -> None:
    found = values_in(
        "t", json.dumps([{"number": "HAT1", "date": "2024-05-01"}, {"number": "HAT2", "date": "x"}])
    )
    first, second = (next(seen for seen in found if seen.value == number) for number in ("HAT1", "HAT2"))
    assert first.record is not None
    assert first.record.fields == {"t:$[*].number": "HAT1", "t:$[*].date": "2024-05-01"}
    assert second.record is not first.record


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000, "\ud800", "", "nope"])
def test_results_that_are_strange_hurt_nobody(text: str) -> None:
    assert len(values_in("t", text)) <= 701


def test_a_huge_result_is_cut() -> None:
    assert len(values_in("t", json.dumps({f"k{at}": at for at in range(5_000)}))) <= 1_402
    assert values_in("t", "x" * 300_000) == ()


def test_what_a_value_is_called_is_part_of_its_path_only_where_a_parameter_is_called_so() -> None:
    text = "My name is Yusuf Taylor and my zip code is 95154, United States."
    found = {(seen.path, seen.value) for seen in mentions_in("user", text, year=None)}
    assert ("user~name.first@nam", "Yusuf") in found
    assert ("user~9{5}@cod", "95154") in found or ("user~9{5}@zip", "95154") in found
    plain, told = Dialogue(), Dialogue(cues=frozenset({"nam"}))
    for dialogue in (plain, told):
        dialogue.take(HistoryItem(role="user", text=text))
    assert "user~name.first@nam" not in plain.at
    assert list(told.at["user~name.first@nam"]) == ["Yusuf"]


def test_cities_are_known_by_their_airports_and_dates_by_the_year_of_the_conversation() -> None:
    dialogue = Dialogue(year=2024)
    dialogue.take(HistoryItem(role="user", text="I want to fly from New York to Seattle on May 20th."))
    assert next(iter(dialogue.at["user~place.from"])) == "JFK"
    assert list(dialogue.at["user~place.to"]) == ["SEA"]
    assert list(dialogue.at["user~date"]) == ["2024-05-20"]


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("From Seattle (SEA) to Boston.", {("SEA", "BOS")}),
        ("New York (JFK) to Boston, then Miami", {("JFK", "BOS"), ("BOS", "MIA")}),
        ("Houston to Denver", {("IAH", "DEN"), ("HOU", "DEN")}),
        ("Houston", set()),
    ],
)
def test_one_gets_from_each_place_to_the_next_and_not_within_a_place(
    text: str, ways: set[tuple[str, str]]
) -> None:
    records = [seen.record for seen in mentions_in("user", text, year=None) if seen.path == "user~first"]
    assert {tuple(record.fields.values()) for record in records if record} == ways


WORDS = """
Denver New York Houston denver JFK jfk US St Louis São Paulo Rio de Janeiro Seoul's from to in and the flight
is I I'll Yes May May, 20th 5 on Ada A-10432 2024-05-20 x@y.z "Denver" (Denver) *Rome* 3 ... Salt Lake City
İstanbul Milan/Rome it. there! Can you?
"""
TEXTS = st.lists(
    st.tuples(st.sampled_from(WORDS.split()), st.sampled_from([" ", " ", " ", ". ", "\n", "  ", ""])),
    max_size=16,
).map(lambda parts: "".join(word + space for word, space in parts))


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from([None, 2024]))
@example("Denver is nice. São Paulo too. Salt Lake City", None)
@example("US format is fine.", 2024)
def test_what_is_passed_over_mentions_nothing(text: str, year: int | None) -> None:
    quick = mentions_in("user", text, year=year)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mentions, "may_hold_values", lambda _sentence: True)
        # Not what is kept of the text already.
        whole = mentions._mentions.__wrapped__("user", text, year)
    assert quick == whole


def test_the_usual_codes_behind_from_and_to_go_together() -> None:
    text = "From New York to Houston, and from Denver to Seattle."
    found = [seen for seen in mentions_in("user", text, year=None) if seen.path == "user~place.to"]
    assert [(seen.value, seen.record and seen.record.fields["user~place.from"]) for seen in found] == [
        ("IAH", "JFK"),
        ("HOU", None),
        ("SEA", "DEN"),
    ]


def test_births_do_not_move_the_year() -> None:
    dialogue = Dialogue(year=2024)
    call = PastCall(tool="t", args={}, result='{"dob": "1990-04-05", "born": "1990-04-05"}')
    dialogue.take(HistoryItem(role="tool", text=call.result, call=call))
    dialogue.take(HistoryItem(role="user", text="May 20th"))
    assert list(dialogue.at["user~date"]) == ["2024-05-20"]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("a", "string", "a"),
        ("5", "string", "5"),
        (5, "integer", "5"),
        (5.0, "number", "5"),
        (True, "boolean", "true"),
        (["a", 1], "array", '["a", 1]'),
    ],
)
def test_a_value_survives_as_text(value: object, kind: str, text: str) -> None:
    assert text_of(value) == text
    assert typed(text, kind) == value
    assert type(typed(text, kind)) is type(value)


def test_weights_stay_zero_until_there_is_reason_and_are_restored_exactly() -> None:
    one = Ftrl(rate=0.1, l1=0.5, l2=1.0)
    seldom, often = one.new(), one.new()
    one.step({seldom: 0.4})
    for _ in range(5):
        one.step({often: 0.4})
    assert one.values[seldom] == 0.0
    assert one.values[often] < 0.0
    other = Ftrl(rate=0.1, l1=0.5, l2=1.0)
    at = other.restore(one.values[often], one.squares[often])
    for ftrl, index in ((one, often), (other, at)):
        ftrl.step({index: -0.9})
    assert other.values[at] == pytest.approx(one.values[often])


def test_the_memory_of_a_conversation_is_bounded() -> None:
    dialogue = Dialogue()
    for at in range(80):
        result = json.dumps({f"k{at}_{n}": f"v{at}_{n}" for n in range(200)})
        call = PastCall(tool=f"t{at}", args={"n": at}, result=result)
        dialogue.take(HistoryItem(role="tool", text=result, call=call))
    assert len(dialogue.known) <= 5_000
    assert len(dialogue.at) <= 600
    assert max(map(len, dialogue.at.values())) <= 80
