"""What counts as a destination or as free text, and what a declaration covers."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.policy.compiled import Destinations
from specflow.policy.privacy import MAX_CODED, MAX_VALUES, Kind, Trace, covers, traces, withheld

HARMLESS = [
    "OSL", "LIS", "SK1475", "2026-05-20", "2026/05/20", "21/11/2026", "12:30", "12:30:45", "2026-05-20T12:30:00Z",
    "Ada Lovelace", "Maria del Carmen García", "Ho Chi Minh City", "booking_0000001", "gift_card_0000000", "#W0000000",
    "6f1c2c1e-8d54-4f9e-9d3b-2f8a7e4f1a11", "a" * 64, "refundable", "n/a", "EUR/USD", "1/2", "12.50", "1.2.3", "€ 12",
    "+47 22 33 44 55", "4111 1111 1111 1111", "O'Brien", "Anne-Marie", "", " ", "...", "!", "a:b", "seat:12A", "東京",
    "10.30am", "U.S.A.", "100%", "v1.2",
]  # fmt: skip

FOUND = [
    ("https://evil.example/x", Kind.URL), ("HTTPS://EVIL.EXAMPLE", Kind.URL), ("see http://evil.example now", Kind.URL),
    ("//evil.example/x", Kind.URL), ("\\\\evil\\share", Kind.URL), ("mailto:a@b.example", Kind.URL), ("data:text/html,x", Kind.URL),
    ("javascript:alert(1)", Kind.URL), ("http:/evil.example", Kind.URL), ("https%3A%2F%2Fevil.example", Kind.URL),
    ("https%253A%252F%252Fevil.example", Kind.URL), ("(https://evil.example)", Kind.URL), ("ftp://1.2.3.4", Kind.URL),
    ("evil.example", Kind.HOST), ("evil.example:8080", Kind.HOST), ("evil.example/path", Kind.HOST), ("go to evil.example!", Kind.HOST),
    ("localhost", Kind.HOST), ("localhost:80", Kind.HOST), ("10.0.0.1", Kind.HOST), ("::1", Kind.HOST), ("[fe80::1]", Kind.HOST),
    ("bücher.example", Kind.HOST), ("xn--bcher-kva.example", Kind.HOST), ("evil。example", Kind.HOST), ("\uff45\uff56\uff49\uff4c\uff0eexample", Kind.HOST),
    ("q=evil.example", Kind.HOST), ("a.xn--p1ai", Kind.HOST), ("169.254.169.254", Kind.HOST),
    ("ada@mail.example", Kind.EMAIL), ("Ada <ada@mail.example>", Kind.EMAIL), ("x@localhost", Kind.EMAIL), ("(ada@mail.example)", Kind.EMAIL),
    ("/etc/passwd", Kind.PATH), ("../secret", Kind.PATH), ("..", Kind.PATH), ("~/.ssh/id_rsa", Kind.PATH), ("~", Kind.PATH),
    ("C:\\Windows", Kind.PATH), ("docs/report.pdf", Kind.PATH), ("report.pdf", Kind.PATH), (".env", Kind.PATH), ("a/b/c", Kind.PATH),
    ("etc/passwd", Kind.PATH), ("%2e%2e%2fsecret", Kind.PATH), ("a/../b", Kind.PATH), ("./x", Kind.PATH),
    ("please tell everybody the secret word", Kind.TEXT), ("x" * 65, Kind.TEXT), ("the-secret-word-that-nobody-should-ever-know-is", Kind.TEXT),
    ("the\u00a0secret\u00a0word\u00a0is\u00a0swordfish", Kind.TEXT), ("密码是剑鱼请不要告诉任何其他的人", Kind.TEXT),
    ("the%20secret%20word%20is%20swordfish", Kind.TEXT),
]  # fmt: skip


DISGUISED = [
    ("evil\u200bhost.example", Kind.HOST), ("evil\u00adhost.example", Kind.HOST), ("\u202eevil.example", Kind.HOST),
    ("evil.\nexample", Kind.HOST), ("evil\u2024example", Kind.HOST), ("evil%25252eexample", Kind.HOST),
    ("evil%EF%BC%8Eexample", Kind.HOST), ("evil&#46;example", Kind.HOST), ("evil&#x2e;example", Kind.HOST),
    ("ZXZpbC5leGFtcGxl", Kind.HOST), ("aHR0cHM6Ly9ldmlsLmV4YW1wbGU", Kind.URL), ("6576696c2e6578616d706c65", Kind.HOST),
    ("ZXZpb\nC5leGFtcGxl", Kind.HOST), ('{"u": "ev\\til.example"}', Kind.HOST), ('["evil.example"]', Kind.HOST),
    ("https:evil.example", Kind.URL), ("site:evil.example", Kind.HOST), ("x//evil.example", Kind.HOST),
    ("a%evil.example", Kind.HOST), ("fetch('//evil.example')", Kind.URL), ("x@evil.example//y", Kind.URL), ("evil.example#@api.example", Kind.URL), ("x'@intranet", Kind.EMAIL),
    ("%" + "25" * 20 + "2eevil", Kind.URL), ("a//b", Kind.PATH),
    ("%2f%65vil%68ost.exam%70%6c%65", Kind.HOST), ("/evil.example", Kind.HOST), ("/evil.example/x", Kind.HOST), ("\\evil.example", Kind.HOST),
    ("/%65tc", Kind.PATH), ("/s%72v/a%2dfile", Kind.PATH),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind"), DISGUISED)
def test_a_disguise_is_taken_off_and_covered_by_no_declaration(value: str, kind: Kind) -> None:
    found = traces({"x": value})
    assert kind in {trace.kind for trace in found}
    if value not in {"a//b", "evil.example", "x'@intranet"}:
        assert withheld(found, [HOST]) != []


@pytest.mark.parametrize(
    "value", ["SK1475AB", "aGVsbG8x", "ABCDEFGHIJ", "deadbeefcafe", "A0B1C2D3E4F5", "{not json", "[1, 2]", "x&y", "8F-AA",
     "AAECAwQFBgcICQ", "0001020304050607", "%e1x"]
)  # fmt: skip
def test_codes_that_decode_to_nothing_are_harmless(value: str) -> None:
    assert traces({"x": value}) == []


@pytest.mark.parametrize(
    ("name", "value", "kind", "target"),
    [
        ("host", "intranet", Kind.HOST, "intranet"),
        ("callbackUrl", "Vault", Kind.HOST, "vault"),
        ("base_uri", "db 1", Kind.HOST, ""),
        ("webhooks", "hook", Kind.HOST, "hook"),
        ("API_URL", "one", Kind.HOST, "one"),
        ("file_path", "secrets", Kind.PATH, "secrets"),
    ],
)
def test_a_parameter_that_is_named_for_a_place_holds_one(
    name: str, value: str, kind: Kind, target: str
) -> None:
    assert traces({name: value}) == [Trace(f"args.{name}", kind, target)]
    assert traces({name: [value]}) == [Trace(f"args.{name}", kind, target)]
    assert traces({name: ""}) == []
    assert traces({name: "https://api.example/"}) == [Trace(f"args.{name}", Kind.URL, "api.example")]


@pytest.mark.parametrize("name", ["origin", "ghost", "curly", "hosting", "x", "seats"])
def test_other_parameters_hold_what_they_hold(name: str) -> None:
    assert traces({name: "intranet"}) == []


def test_codes_within_codes_are_looked_into_so_far_and_no_further() -> None:
    text = "evil.example"
    for layers in range(1, 6):
        text = base64.b64encode(text.encode()).decode()
        assert (traces({"x": text[:64]}) != []) is (layers <= MAX_CODED)


def test_json_with_more_values_than_are_looked_at_is_not_sent() -> None:
    text = "[" + ", ".join(['"a"'] * (MAX_VALUES + 1)) + "]"
    assert Trace("args.x", Kind.URL, "") in traces({"x": text})
    assert traces({"x": '["a", "b"]'}) == []


@pytest.mark.parametrize("value", HARMLESS)
def test_codes_dates_ids_and_names_are_harmless(value: str) -> None:
    assert traces({"x": value}) == []


@pytest.mark.parametrize(("value", "kind"), FOUND)
def test_destinations_and_text_are_found_wherever_they_stand(value: str, kind: Kind) -> None:
    for args in ({"x": value}, {"x": {"y": [value]}}, {"x": [{"y": value}]}, {"x": {value: 1}}):
        assert kind in {trace.kind for trace in traces(args)}, args


def test_numbers_and_flags_are_harmless() -> None:
    assert traces({"a": 1, "b": 2.5, "c": True, "d": None, "e": [1, [2]], "f": {}}) == []


def test_text_in_pieces_and_in_names_is_found() -> None:
    words = ["please", "tell", "everybody", "that", "the", "secret", "word", "of", "today", "is", "swordfish"]
    assert Trace("args.x", Kind.TEXT, "") in traces({"x": words})
    assert traces({"x": ["OSL"] * 30}) != []
    assert traces({"x": ["1008292230"] * 30}) == []
    assert Trace("args", Kind.URL, "evil.example") in traces({"https://evil.example": 1})
    assert Trace("args", Kind.TEXT, "") in traces({"secret_word " * 10: 1})
    assert traces({"x": list(range(3))}) == []
    assert Trace("args", Kind.TEXT, "") in traces({"x": [["a"]] * (MAX_VALUES + 1)})


HOST = Destinations(host=("api.example", "*.flights.example"))


@pytest.mark.parametrize(
    ("value", "covered"),
    [
        ("https://api.example/search?q=1", True),
        ("https://API.EXAMPLE./x", True),
        ("https://api.example:8443/x", True),
        ("https://user:pw@api.example/x", True),
        ("api.example", True),
        ("https://a.b.flights.example/x", True),
        ("https://flights.example/x", False),
        ("https://evilflights.example/x", False),
        ("https://evil.example/api.example", False),
        ("https://api.example.evil.example/", False),
        ("https://api.example@evil.example/", False),
        ("https://evil.example\\@api.example/", False),
        ("//api.example/x\\y", False),
        ("https:\\\\api.example/", False),
        ("https://api.example\t.evil.example/", False),
        ("https://api.example\n-evil/", False),
        ("https://api.example%2eevil.example/", False),
        ("https://api.example%00.evil.example/", False),
        ("https:////evil.example/", False),
        ("https://api.example/ https://evil.example/", False),
        ("https://[::1]/", False),
        ("mailto:ada@evil.example", False),
        ("file:/etc/passwd", False),
        ("//evil.example", False),
        ("//api.example/x", True),
        ("10.0.0.1", False),
        ("ada@evil.example", True),
        ("evil.example#@api.example", False),
        ("evil.example?@api.example", False),
        ("/etc/passwd", True),
        ("/evil.example/x", False),
        ("/index.html", True),
        ("/a%20b/c", True),
        ("/%61/b", False),
        ("please tell everybody the secret word", True),
    ],
)
def test_a_declared_host_covers_that_host_and_what_is_sent_to_it(value: str, covered: bool) -> None:
    assert (withheld(traces({"x": value}), [HOST]) == []) is covered


@pytest.mark.parametrize(
    ("value", "covered"),
    [
        ("/srv/public/a.txt", True),
        ("/srv/public", True),
        ("/srv//public/./a.txt", True),
        ("/SRV/public/a.txt", True),
        ("/srv/publicity/a.txt", False),
        ("/srv/public/../secret", False),
        ("/srv/public/%2e%2e/secret", False),
        ("/srv/public/..\\secret", False),
        ("/srv/public/x\0", False),
        ("/etc/passwd", False),
        ("report.pdf", False),
    ],
)
def test_a_declared_path_covers_what_is_below_it(value: str, covered: bool) -> None:
    declared = Destinations(path=("/srv/public/*",))
    assert (withheld(traces({"x": value}), [declared]) == []) is covered


def test_what_is_particular_about_addresses_covers_only_those() -> None:
    declared = Destinations(email=("*@ours.example", "boss@theirs.example"))
    for address, covered in (
        ("ada@ours.example", True),
        ("boss@theirs.example", True),
        ("x@theirs.example", False),
        ("@ours.example", False),
    ):
        assert (withheld(traces({"x": address}), [declared]) == []) is covered
    assert not covers(declared, Trace("x", Kind.HOST, "ours.example"))
    assert not covers(declared, Trace("x", Kind.PATH, "/etc/passwd"))


def test_a_star_covers_anything_that_has_a_name() -> None:
    every = Destinations(host=("*",), email=("*",), path=("*",))
    for value in ("https://evil.example", "a@b.example", "/etc/passwd", "../x"):
        assert withheld(traces({"x": value}), [every]) == []
    assert withheld(traces({"x": "https:////"}), [every]) != []


def test_all_declarations_must_cover() -> None:
    found = traces({"x": "https://api.example"})
    assert withheld(found, [HOST]) == []
    assert withheld(found, [HOST, Destinations(host=("other.example",))]) == found
    assert withheld(found, []) == found


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())))
def test_any_text_is_classified(args: dict[str, Any]) -> None:
    for trace in traces(args):
        assert trace.kind in Kind
        assert trace.where.startswith("args")
