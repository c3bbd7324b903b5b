"""What the sniffer proposes, and what it must not, for texts fed whole, by character and in random pieces."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.effects.annotate import Annotation
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.sniffer import MAX_CANDIDATES, ReasoningSniffer

S: dict[str, Any] = {"type": "string"}


def tool(name: str, description: str = "", effect: EffectClass | None = None, **properties: Any) -> ToolSpec:
    return ToolSpec(
        name=name,
        description=description,
        parameters={"type": "object", "properties": properties, "required": list(properties)},
        annotation=Annotation(effect=effect) if effect else None,
    )


RESERVATION = {"type": "string", "description": "The reservation id, such as '8JX2WO'."}
TRAVEL = ToolRegistry(
    [
        tool("search_flights", "Search flights between two airports.", origin=S, destination=S, date=S),
        tool("weather", "The weather of a city.", city=S),
        tool("book_flight", "Book a flight.", EffectClass.COMPENSATABLE, flight_id=S, passenger=S),
        tool(
            "charge_card",
            "Charge.",
            EffectClass.CONFIRMATION_REQUIRED,
            booking_id=S,
            amount={"type": "number"},
        ),
        tool("get_reservation_details", "Get the details of a reservation.", reservation_id=RESERVATION),
        tool(
            "get_user_details",
            "Get the details of a user.",
            user_id={"type": "string", "description": "The user id, such as 'sara_doe_496'."},
        ),
        tool("web_search", "Search the web.", query=S),
    ]
)
OSL_LIS = 'search_flights({"date":"2026-12-12","destination":"LIS","origin":"OSL"})'
LISBON = 'weather({"city":"Lisbon"})'
ADA = 'book_flight({"flight_id":"TP351","passenger":"Ada Lovelace"})'


def hear(
    pieces: Sequence[str], history: Sequence[HistoryItem] = (), tools: ToolRegistry = TRAVEL
) -> list[Proposal]:
    ear = ReasoningSniffer().listen(TurnContext(tools=tools, history=history))
    said = [p for piece in pieces for p in ear.hear(Chunk(kind=ChunkKind.REASONING, text=piece, stream="1"))]
    return [*said, *ear.hear(Chunk(kind=ChunkKind.TOOL_CALL, stream="1"))]


def live(proposals: Sequence[Proposal]) -> list[str]:
    calls: list[str] = []
    for proposal in proposals:
        if isinstance(proposal, Candidate):
            assert repr(proposal.call) not in calls, "proposed twice"
            assert 0.0 < proposal.confidence <= 1.0
            calls.append(repr(proposal.call))
        else:
            calls.remove(repr(proposal.call))
    return calls


def cuts(text: str, seed: int) -> list[str]:
    chance = random.Random(seed)
    places = sorted(chance.randrange(len(text) + 1) for _ in range(len(text) // 5))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


WANTED = [
    ("I'll search flights from OSL to LIS on 2026-12-12 ...", [OSL_LIS]),
    ("I\u2019ll search flights from OSL to LIS on 2026-12-12.", [OSL_LIS]),
    ("Next step: look for flights to LIS from OSL on 2026-12-12.", [OSL_LIS]),
    ("I need to find flights departing from OSL to LIS on December 12, 2026.", [OSL_LIS]),
    ('I should call search_flights with origin="OSL", destination="LIS", date="2026-12-12".', [OSL_LIS]),
    ("So: search_flights(origin='OSL', destination='LIS', date='2026-12-12')", [OSL_LIS]),
    ("Let me call search_flights:\n- origin: OSL\n- destination: LIS\n- date: 2026-12-12\n", []),
    ("Let me check the weather in Lisbon", [LISBON]),
    ("Let me check the weather in Rio de Janeiro first.", ['weather({"city":"Rio de Janeiro"})']),
    ("So I will book TP351 for Ada Lovelace", [ADA]),
    ("Good. Going to book flight TP351 for Ada Lovelace now.", [ADA]),
    ("I need the reservation details for 5RJ7UH", ['get_reservation_details({"reservation_id":"5RJ7UH"})']),
    ("I'll search the web for Python tutorials.", ['web_search({"query":"Python tutorials"})']),
    (
        "I'll check the weather in Lisbon and then search flights from OSL to LIS on 2026-12-12.",
        [LISBON, OSL_LIS],
    ),
    (
        "Let me get the details of JMO1MG and ZFA04Y.",
        [
            'get_reservation_details({"reservation_id":"JMO1MG"})',
            'get_reservation_details({"reservation_id":"ZFA04Y"})',
        ],
    ),
    ("Let me check the weather in Lisbon. Then I'll check the weather in Lisbon.", [LISBON]),
]
UNWANTED = [
    "I should not search flights from OSL to LIS on 2026-12-12.",
    "I don't think I should search flights from OSL to LIS on 2026-12-12.",
    "I won't check the weather in Lisbon.",
    "There is no need to book TP351 for Ada Lovelace.",
    "I cannot book TP351 for Ada Lovelace.",
    "Rather than search flights from OSL to LIS on 2026-12-12, nothing is done.",
    "If the user wants, I could book TP351 for Ada Lovelace.",
    "If they agree I will book TP351 for Ada Lovelace.",
    "I'll book TP351 for Ada Lovelace once you confirm.",
    "Would you like me to book TP351 for Ada Lovelace?",
    "Should I search flights from OSL to LIS on 2026-12-12?",
    "Research shows that flights from OSL to LIS on 2026-12-12 are cheap.",
    "The user will book TP351 for Ada Lovelace.",
    "The agent should search flights from OSL to LIS on 2026-12-12.",
    'The user said: "I need to book TP351 for Ada Lovelace".',
    "I have searched flights from OSL to LIS on 2026-12-12.",
    "Earlier I called search_flights with OSL, LIS and 2026-12-12.",
    "Let me search flights from OSL to LIS.",
    "I need to book a flight for Ada Lovelace.",
    "Let me think about the weather in Lisbon.",
    "I will ask the user whether to book TP351 for Ada Lovelace.",
    "I might book TP351 for Ada Lovelace.",
    "Tomorrow would be a good day. TP351 is cheap. Lisbon is warm.",
    "Ich werde nicht buchen.",
]


@pytest.mark.parametrize(("text", "expected"), [*WANTED, *((text, []) for text in UNWANTED)])
def test_corpus_whole_by_character_and_in_pieces(text: str, expected: list[str]) -> None:
    if "- origin" in text:
        expected = [OSL_LIS]  # the arguments come in the lines after the announcement
    assert live(hear([text])) == expected
    assert live(hear(list(text))) == expected
    for seed in range(5):
        assert live(hear(cuts(text, seed))) == expected


def test_the_same_is_said_in_the_same_order_however_the_text_is_cut() -> None:
    text = "\n".join([text for text, _ in WANTED] + UNWANTED)
    whole = [(type(p), p.call) for p in hear([text])]
    assert len(whole) > 8
    assert [(type(p), p.call) for p in hear(list(text))] == whole
    for seed in range(10):
        assert [(type(p), p.call) for p in hear(cuts(text, seed))] == whole


AMENDED = [
    (
        (
            "I'll book SK 101 for Ada Lovelace ... wait, no, that fare is not refundable; "
            "I'll book SK1475 for Ada Lovelace instead."
        ),
        "SK101",
        ['book_flight({"flight_id":"SK1475","passenger":"Ada Lovelace"})'],
    ),
    (
        "I'll check the weather in Oslo. Actually, let me check the weather in Lisbon.",
        "Oslo",
        [LISBON],
    ),
    ("I'll check the weather in Lisbon. Scratch that.", "Lisbon", []),
    ("I will book TP351 for Ada Lovelace. Hmm, I should not book TP351.", "TP351", []),
    ("I will book TP351 for Ada Lovelace. Before that I should ask for confirmation.", "TP351", []),
]


@pytest.mark.parametrize(("text", "first", "expected"), AMENDED)
def test_amendments_take_the_first_back(text: str, first: str, expected: list[str]) -> None:
    for pieces in ([text], list(text), cuts(text, 1)):
        proposals = hear(pieces)
        assert isinstance(proposals[0], Candidate)
        assert first in repr(proposals[0].call)
        assert live(proposals) == expected


@pytest.mark.parametrize(
    "text",
    ["Let me check the weather in Lis", "I'll search the web for Pyth", "I'll book TP351 for Ada Love"],
)
def test_an_unfinished_argument_is_not_proposed(text: str) -> None:
    ear = ReasoningSniffer().listen(TurnContext(tools=TRAVEL))
    for letter in text:
        assert not list(ear.hear(Chunk(kind=ChunkKind.TEXT, text=letter)))


def test_a_read_is_proposed_before_its_sentence_ends() -> None:
    ear = ReasoningSniffer().listen(TurnContext(tools=TRAVEL))
    early = list(
        ear.hear(
            Chunk(kind=ChunkKind.TEXT, text="I'll search flights from OSL to LIS on 2026-12-12, so that")
        )
    )
    assert [repr(p.call) for p in early] == [OSL_LIS]
    more = list(ear.hear(Chunk(kind=ChunkKind.TEXT, text=" we can book once you confirm.\n")))
    assert [repr(p.call) for p in more] == [OSL_LIS]
    assert not isinstance(more[0], Candidate)


def user(text: str) -> HistoryItem:
    return HistoryItem(role="user", text=text)


def past(name: str, args: dict[str, Any], result: object) -> HistoryItem:
    return HistoryItem(role="tool", call=PastCall(tool=name, args=args, result=json.dumps(result)))


PROFILE = past(
    "get_user_details",
    {"user_id": "mia_li_3668"},
    {"user_id": "mia_li_3668", "name": "Mia Li", "reservations": ["NO6JO3", "AIXC49", "HKEG34"]},
)


def test_arguments_come_from_the_user() -> None:
    out = hear(["Let me look up the user details."], [user("Hi, my user ID is mia_li_3668.")])
    assert live(out) == ['get_user_details({"user_id":"mia_li_3668"})']
    assert isinstance(out[0], Candidate)
    assert not out[0].tainted


def test_arguments_only_a_result_holds_are_tainted() -> None:
    out = hear(["Now let me check the second reservation."], [user("My id is mia_li_3668"), PROFILE])
    assert live(out) == ['get_reservation_details({"reservation_id":"AIXC49"})']
    assert isinstance(out[0], Candidate)
    assert out[0].tainted


def test_each_of_a_list() -> None:
    out = hear(["Let me check each reservation."], [user("I am mia_li_3668"), PROFILE])
    assert [p.call.args["reservation_id"] for p in out] == ["NO6JO3", "AIXC49", "HKEG34"]


def test_words_of_the_turn_itself_count_and_are_not_tainted() -> None:
    out = hear(["The user gave reservation JMO1MG. Let me get the reservation details."])
    assert live(out) == ['get_reservation_details({"reservation_id":"JMO1MG"})']
    assert isinstance(out[0], Candidate)
    assert not out[0].tainted


def test_a_call_already_answered_is_not_proposed_again() -> None:
    assert live(hear(["Let me check the user details."], [user("I am mia_li_3668"), PROFILE])) == []


def test_the_schemas_own_example_is_never_an_argument() -> None:
    assert live(hear(["Let me get the reservation details for 8JX2WO."])) == []


def test_a_write_is_never_filled_from_results() -> None:
    tools = ToolRegistry(
        [
            tool("cancel_reservation", "Cancel.", EffectClass.COMPENSATABLE, reservation_id=RESERVATION),
            *TRAVEL,
        ]
    )
    one = past("get_user_details", {"user_id": "mia_li_3668"}, {"reservations": ["NO6JO3"]})
    assert live(hear(["I will cancel the reservation."], [user("I am mia_li_3668"), one], tools)) == []
    said = hear(["I will cancel the reservation."], [user("Cancel my reservation NO6JO3."), one], tools)
    assert live(said) == ['cancel_reservation({"reservation_id":"NO6JO3"})']


def test_confidence_grows_with_evidence() -> None:
    def confidence(text: str, history: Sequence[HistoryItem] = ()) -> float:
        (only,) = hear([text], history)
        assert isinstance(only, Candidate)
        return only.confidence

    literal = confidence('I should call get_reservation_details(reservation_id="JMO1MG").')
    explicit = confidence("I should get the reservation details of JMO1MG.")
    remembered = confidence("I should get the reservation details.", [user("My reservation is JMO1MG.")])
    possible = confidence("I can get the reservation details.", [user("My reservation is JMO1MG.")])
    assert literal > explicit > remembered > possible


def test_a_retry_takes_everything_back_and_starts_anew() -> None:
    ear = ReasoningSniffer().listen(TurnContext(tools=TRAVEL))

    def piece(text: str, stream: str) -> list[Proposal]:
        return list(ear.hear(Chunk(kind=ChunkKind.TEXT, text=text, stream=stream)))

    assert live(piece("Let me check the weather in Lisbon. Let me check the weather in Os", "a")) == [LISBON]
    (back,) = piece("Hello. ", "b")
    assert not isinstance(back, Candidate)
    assert piece("lo. ", "a") == []
    assert live(piece("Let me check the weather in Lisbon.\n", "b")) == [LISBON]


@pytest.mark.parametrize(
    ("name", "described", "parameters", "text", "args"),
    [
        (
            "suche_flug",
            "Sucht einen Flug",
            ["von", "nach"],
            "Ich suche einen Flug von OSL nach LIS.",
            ["OSL", "LIS"],
        ),
        (
            "buscar_voos",
            "Busca voos",
            ["origem", "destino"],
            "Vou buscar voos de OSL para LIS.",
            ["OSL", "LIS"],
        ),
        ("查询天气", "查询城市天气", ["city"], "让我查询天气 Lisbon。", ["Lisbon"]),
    ],
)
def test_vocabulary_of_other_languages(
    name: str, described: str, parameters: list[str], text: str, args: list[str]
) -> None:
    tools = ToolRegistry([tool(name, described, EffectClass.READ_ONLY, **dict.fromkeys(parameters, S))])
    (only,) = hear([text], tools=tools)
    assert dict(only.call.args) == dict(zip(parameters, args, strict=True))


def test_a_text_that_asks_for_thousands_of_calls_gets_a_few() -> None:
    text = "".join(
        f"I will check the weather in Town{chr(97 + n % 26)}{chr(97 + n // 26)}. " for n in range(600)
    )
    out = hear([text])
    assert 0 < len([p for p in out if isinstance(p, Candidate)]) <= MAX_CANDIDATES
    text = "".join(f"I'll check the weather in Oslo{chr(97 + n % 26)}. Scratch that. " for n in range(600))
    assert len([p for p in hear([text]) if isinstance(p, Candidate)]) <= MAX_CANDIDATES


def test_a_call_is_taken_back_also_when_no_other_may_be_said_any_more() -> None:
    towns = [f"Town{chr(97 + n % 26)}" for n in range(MAX_CANDIDATES + 4)]
    text = "".join(f"I will check the weather in {town}. " for town in towns)
    said = live(hear([text]))
    assert said == [f'weather({{"city":"{town}"}})' for town in towns[:MAX_CANDIDATES]]
    # More names that nobody will ask about, and then it does not want two of them, and not the last of all.
    text += "".join(f"I will check the weather in More{chr(97 + n % 26)}. " for n in range(70))
    text += f"I will not check the weather in {towns[3]}. Scratch that. "
    rest = live(hear([text]))
    assert rest == [call for call in said if towns[3] not in call][:-1]
    assert live(hear(list(text))) == rest


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "I'll search " * 80_000,
        "." * 300_000,
        "?!" * 150_000,
        ", to " * 60_000,
        '"' * 300_000,
        "I will book_" + "_" * 300_000,
        "I'll check 1,000,000,000" + ",000" * 70_000,
        "let me check " + "Aa " * 100_000,
        "\u3000。" * 100_000,
        "I need to get <" * 20_000,
    ],
)
@pytest.mark.timeout(600)
def test_floods_are_survived(text: str) -> None:
    out = hear([text[at : at + 5000] for at in range(0, len(text), 5000)])
    assert len(out) <= 2 * MAX_CANDIDATES


def test_work_per_character_does_not_grow_with_the_text() -> None:
    """Counts calls, not seconds: the same on every machine."""

    def work(length: int) -> int:
        prose = "Flights are costly in winter. I should look at the dates. Let me check the weather of it. "
        text = (prose * (length // len(prose) + 1))[:length]
        counted = 0

        def count(*_: object) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count)
        try:
            hear([text[at : at + 50] for at in range(0, length, 50)])
        finally:
            sys.setprofile(None)
        return counted

    work(2_000)  # fills the caches of stems
    assert work(80_000) < 11 * work(8_000)
    assert work(80_000) < 17 * 80_000  # calls and returns, in every third sentence an announcement


def test_hostile_results_in_the_history_are_survived() -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    history = [
        past("t", {"a": float("nan")}, deep),
        HistoryItem(role="tool", call=PastCall(tool="t", args={"a": {"b": object()}}, result="[" * 50_000)),
        HistoryItem(role="tool", call=PastCall(tool="t", args={}, result="{" + '"a":1,' * 100_000)),
        past("t", {}, {str(n): f"value{n}" for n in range(20_000)}),
        user("A1" * 100_000),
    ]
    assert live(hear(["Let me check the weather in Lisbon."], history)) == [LISBON]


VOCABULARY = """I'll I will let me not if you wait, no instead search check book flights weather details
reservation for from to on in OSL LIS 2026-12-12 TP351 Ada Lovelace Lisbon . , ; : ? ! ... \\n ( ) " ' =
search_flights book_flight each SK 101 May 5 the third http://a.b/c x@y.z 1,000 €5 查 。 - * ` and then
already confirm"""
words = st.sampled_from(VOCABULARY.split()).map(lambda word: word.replace("\\n", "\n"))


@settings(max_examples=150, deadline=None)
@given(st.lists(words, max_size=60), st.integers(0, 2**16))
def test_any_text_in_any_pieces_gives_the_same_and_only_calls_that_fit(parts: list[str], seed: int) -> None:
    text = " ".join(parts)
    whole = hear([text])
    live(whole)
    assert [(type(p), p.call) for p in hear(cuts(text, seed))] == [(type(p), p.call) for p in whole]
    for proposal in whole:
        assert not TRAVEL.require(proposal.call.tool).problems(dict(proposal.call.args))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_arbitrary_text_never_breaks_the_listener(text: str) -> None:
    assert live(hear([text])) == live(hear(list(text)))
