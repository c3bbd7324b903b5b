"""What leaves the process: a hash always, text only on request and redacted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.telemetry import names
from specflow.telemetry.content import HIDDEN, LIMIT, Content, error_type, seconds

CARD = "4111-1111-1111-1111"
CALL = Call(
    tool="pay",
    args={
        "amount": 5,
        "api_key": "k-123",
        "card": {"number": CARD, "name": "Ada"},
        "lines": [{"sku": "a", "secret": "s1"}, {"sku": "b", "secret": "s2"}],
    },
)


def everything(spans: Any) -> str:
    return repr(spans)


def test_by_default_no_argument_leaves_the_process(
    traced: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(names.ENV_CAPTURE, raising=False)
    trace = traced()
    trace.story.turn()
    trace.story.launch("pay", {"card": CARD}, "spec_1")
    trace.story.run_over("spec_1", "error", error=f"ValueError: bad card {CARD}")
    trace.story.call("pay", {"card": CARD}, "call_1")
    trace.story.ask("pay", {"card": CARD}, "call_1")
    trace.story.answer("pay", {"card": CARD}, "call_1", "edit")
    trace.story.call_over("call_1", "miss", error=f"ValueError: bad card {CARD}", result={"card": CARD})
    trace.story.undo("unpay", {"card": CARD}, spec="spec_1")
    trace.story.undo_over("stuck", spec="spec_1", error=f"ValueError: bad card {CARD}")
    trace.story.resolve("spec_1", "stuck", f"retracted: not {CARD} after all", error=f"{CARD} was refused")
    trace.story.settle()
    sent = everything(trace.spans)
    assert CARD not in sent
    assert "secret" not in sent, "evidence and the policy's messages quote the user"
    assert trace.one("execute_tool pay").attributes["error.type"] == "ValueError"
    assert trace.one("specflow.speculate pay").attributes["error.type"] == "_OTHER"
    assert trace.one("specflow.speculate pay").attributes["specflow.cause"] == "retracted"


@pytest.mark.parametrize("value", ["true", "1", "SPAN_ONLY", "span_and_event"])
def test_the_variable_opts_in(
    traced: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(names.ENV_CAPTURE, value)
    trace = traced(redact=("args.card", "result.token"))
    trace.story.turn()
    trace.story.call("pay", {"card": CARD, "amount": 5}, "call_1")
    trace.story.call_over("call_1", "miss", result={"token": "t-9", "ok": True})
    trace.story.settle()
    call = trace.one("execute_tool pay")
    assert json.loads(str(call.attributes["gen_ai.tool.call.arguments"])) == {"amount": 5, "card": HIDDEN}
    assert json.loads(str(call.attributes["gen_ai.tool.call.result"])) == {"token": HIDDEN, "ok": True}
    assert CARD not in everything(trace.spans)


@pytest.mark.parametrize("value", ["", "false", "0", "NO_CONTENT", "event_only"])
def test_other_values_do_not_opt_in(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(names.ENV_CAPTURE, value)
    assert Content().arguments(CALL) is None
    assert Content().message("text") is None


@pytest.mark.parametrize(
    ("path", "gone", "stays"),
    [
        ("args.api_key", ["k-123"], [CARD, "s1"]),
        ("args.card.number", [CARD], ["Ada", "k-123"]),
        ("args.card", [CARD, "Ada"], ["k-123"]),
        ("args.lines.secret", ["s1", "s2"], ["sku"]),
        ("args.lines[*].secret", ["s1", "s2"], ["sku"]),
        ("args.lines[1].secret", ["s2"], ["s1"]),
        ("args.*", [CARD, "k-123", "s1"], ["api_key"]),
        ("args.*.number", [CARD], ["k-123"]),
        ("args", [CARD, "k-123", "s1", "amount"], []),
        ("args.nothing.there", [], [CARD]),
        ("result.card", [], [CARD]),
    ],
)
def test_redaction(path: str, gone: list[str], stays: list[str]) -> None:
    text = Content((path,), capture=True).arguments(CALL)
    assert text is not None
    assert not [word for word in gone if word in text]
    assert not [word for word in stays if word not in text]


@pytest.mark.parametrize("path", ["card.number", "$.card", "args..card", "args.card[", "", "arguments.card"])
def test_a_path_that_cannot_be_understood_hides_everything(path: str) -> None:
    assert Content((path,), capture=True).arguments(CALL) == HIDDEN


def test_redaction_by_tool_and_by_a_function_that_fails() -> None:
    def paths(tool: str) -> tuple[str, ...]:
        return {"pay": ("args.card",)}[tool]

    content = Content(paths, capture=True)
    assert CARD not in str(content.arguments(CALL))
    assert content.arguments(Call(tool="other", args={"card": CARD})) is None
    assert content.message(CARD) is None, "an error's text cannot be redacted, so it stays"


def test_long_text_is_cut_and_strange_results_are_left_out() -> None:
    content = Content(capture=True)
    assert len(str(content.arguments(Call(tool="t", args={"q": "x" * 100_000})))) <= LIMIT + 3
    assert content.result("t", object()) is None
    assert content.result("t", float("nan")) is None


words = st.text(st.characters(codec="utf-8"), max_size=8)


@given(st.dictionaries(words, st.integers() | words, max_size=4))
def test_the_hash_compares_arguments_and_needs_the_key(args: dict[str, Any]) -> None:
    call, same = Call(tool="t", args=args), Call(tool="other", args=dict(reversed(args.items())))
    one, two = Content(hash_key=b"one"), Content(hash_key=b"two")
    assert one.args_hash(call) == one.args_hash(same)
    assert one.args_hash(call) != two.args_hash(call)
    assert one.args_hash(call) != one.args_hash(Call(tool="t", args={**args, "another": 1}))


def test_the_key_comes_from_the_environment_or_from_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(names.ENV_HASH_KEY, raising=False)
    assert Content().args_hash(CALL) != Content().args_hash(CALL)
    monkeypatch.setenv(names.ENV_HASH_KEY, "shared by the fleet")
    assert Content().args_hash(CALL) == Content().args_hash(CALL)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ValueError: Lisbon", "ValueError"),
        ("ValueError('Lisbon')", "ValueError"),
        ("httpx.ConnectError: refused", "httpx.ConnectError"),
        ("ToolTimeoutError", "ToolTimeoutError"),
        (f"{CARD} was refused", "_OTHER"),
        ("secret", "_OTHER"),
        ("", "_OTHER"),
    ],
)
def test_error_types_hold_no_data(text: str, kind: str) -> None:
    assert error_type(text) == kind


@pytest.mark.parametrize("value", [None, True, "1", -1, float("nan"), float("inf"), 10**400, b"1"])
def test_facts_that_are_no_duration_are_ignored(value: object) -> None:
    assert seconds({"saved": value}, "saved") is None
