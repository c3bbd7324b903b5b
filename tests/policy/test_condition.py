"""Conditions: what is refused at load, what is refused at run time, and what is never told."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

from typing import Any

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.policy.cel_scan import FUNCTIONS, MACROS, CelSyntaxError, scan
from specflow.policy.condition import MAX_DATA, Cel, ConditionError, Scope

ARGS = frozenset({"args", "context"})


def held(source: str, args: Any = None, context: Any = None) -> bool:
    return Cel(source, ARGS).test(Scope({"args": args or {}, "context": context or {}}))


@pytest.mark.parametrize("macro", sorted(MACROS))
@pytest.mark.parametrize(
    "shape",
    [
        "args.l.{m}(x, x)",
        "args.l.{m} (x, x)",
        "args.l.{m}\n(x, x)",
        "args.l.{m}\t\f\r\n (x, x)",
        "args.l.{m}// a comment\n(x, x)",
        "args.l.{m} // one\n // two (\n (x, x)",
        "args.l . {m} (args, true)",
        "args.l.{m}(args, true)",
        "[1].{m}(args, args == 1)",
        "'' == r'\\' || args.l.{m}(args, true)",
        'r"\\" == "" || args.l.{m}(args, true) || r"\\" == ""',
        "'''a'b''' == '' || args.l.{m}(args, true) || '''c'd''' == ''",
        '"""a"b""" == "" || args.l.{m}(args, true)',
        "'\\'' == '' || args.l.{m}(args, true) || '\\'' == ''",
        "\"\\\\\" == '' || args.l.{m}(args, true)",
        "b'\\'' == b'' || args.l.{m}(args, true)",
        "br'\\' == b'' || args.l.{m}(args, true)",
        "'' '' == '' || args.l.{m}(args, true)",
        "1.{m}(args, true)",
        "0x1F.{m}(args, true)",
        "(args.l).{m}(args, (((true))))",
        "{m}(args, true)",
    ],
)
def test_loops_are_refused(macro: str, shape: str) -> None:
    with pytest.raises(CelSyntaxError):
        Cel(shape.replace("{m}", macro), ARGS)


@pytest.mark.parametrize("macro", sorted(MACROS))
def test_words_of_macros_are_fine_inside_strings_and_as_fields(macro: str) -> None:
    assert held(f'args.{macro} == "{macro}(x, true)"', {macro: f"{macro}(x, true)"})
    assert held(f"args[r'{macro}'] == '''{macro}(x)'''", {macro: f"{macro}(x)"})
    assert held(f"true // {macro}(x, y)")


PIECES = ["'", '"', "'''", '"""', "r'", 'R"', "b'", 'bR"', "\\", "\\\\", "\\'", '\\"', "\n", "//", " ", "+", "||", "==", "a", "''", '""', "true", "[0].map(canary, canary) == []", "args.s"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@settings(max_examples=3000)
def test_no_quoting_trick_hides_a_loop(source: str) -> None:
    """The library says which names it reads: `canary` is among them only where the loop is code."""
    try:
        program = cel.compile(source)
    except ValueError:
        return
    if "canary" not in program.variables():
        return
    with pytest.raises(CelSyntaxError):
        scan(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "missing"),
        ("  // only a comment", "missing"),
        ("args.a ==", "at 1:10"),
        ("args.a >\n args.", "at 2:7"),
        ("foo.a == 1", "unknown name 'foo'"),
        ("arg.a == 1", "did you mean 'args'"),
        ("now() > 1", "unknown function 'now'"),
        ("args.s.startWith('a')", "did you mean 'startsWith'"),
        (".args.a == 1", "dot"),
        ("Foo{a: 1} == 1", "messages"),
        ("(" * 17 + "true" + ")" * 17, "nested"),
        ("args.a == '" + "x" * 2000 + "'", "longer"),
        ("args.s.matches(args.s)", "written out"),
        ("matches(args.s, 'a')", "written out"),
        ("args.s.matches('a' + args.s)", "written out"),
        ("args.s.matches", "not known"),
        ("args.s.matches('(')", "regular expression"),
        ("args.s.matches('(a{1,50}){1,50}')", "multiply"),
        ("args.s.matches('(a{ 1 , 50 }){50}')", "multiply"),
        ("args.s.matches('a\\x7b99}')", "codes"),
        ("args.s.matches('" + "a" * 300 + "')", "pattern longer"),
        ("args.a § 1", "unexpected"),
        ("'unclosed", "unexpected"),
        ("args.`a`", "unexpected"),
        ("if", "unknown name"),
        ("true ? " * 100 + "1" + ": 2" * 100, "expression"),
    ],
)
def test_what_is_refused_says_why(source: str, message: str) -> None:
    if source == "args.s.matches":
        with pytest.raises(ConditionError):
            held(source, {"s": "a"})
        return
    with pytest.raises(CelSyntaxError, match=message.replace("(", r"\(")):
        Cel(source, ARGS)


@pytest.mark.parametrize(
    ("source", "args", "message"),
    [
        ("args.amount > 1", {}, "the field 'amount' is missing"),
        ("args[args.s] == 1", {"s": "secret"}, "^a field is missing$"),
        ("args.amount > 1", {"amount": "5"}, "wrong type"),
        ("args.amount > 1", {"amount": None}, "wrong type"),
        ("args.amount", {"amount": 1}, "int, not true or false"),
        ("args.amount / 0 == 1", {"amount": 1}, "evaluation failed"),
        ("args.amount + 9223372036854775807 > 1", {"amount": 1}, "evaluation failed"),
        ("args.l[4] == 1", {"l": [1]}, "evaluation failed"),
        ("int(args.s) == 1", {"s": "secret"}, "evaluation failed"),
        ("args.s.size() == 1", {"s": True}, "does not take this type"),
        ("string(true) == 'true'", {}, "not known here"),
    ],
)
def test_what_cannot_be_evaluated_says_why_without_values(source: str, args: Any, message: str) -> None:
    with pytest.raises(ConditionError, match=message) as caught:
        held(source, args)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**63, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        (float("nan"), "not finite"),
        (float("inf"), "not finite"),
        ("\ud800", "Unicode"),
        ("x" * (MAX_DATA + 1), "larger"),
        ([0] * 5000, "more than"),
        ([[0] * 100] * 60, "larger"),
        ({1: 2}, "key"),
        ({1, 2}, "set"),
        (b"x", "bytes"),
    ],
)
def test_data_that_the_engine_would_twist_is_not_evaluated(value: Any, message: str) -> None:
    with pytest.raises(ConditionError, match=message):
        held("true", {"v": value})


def test_depth_and_cycles_do_not_end_the_process() -> None:
    deep: Any = 1
    for _ in range(60_000):
        deep = [deep]
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    for value in (deep, cyclic):
        with pytest.raises(ConditionError, match="nested"):
            held("true", {"v": value})
    while isinstance(deep, list):  # freed one level at a time, or the interpreter's own stack would end
        deep = deep[0]


@pytest.mark.parametrize(
    ("source", "args"),
    [
        ("args.amount <= 200", {"amount": 199.5}),
        ("args.amount == 1.0", {"amount": 1}),
        ('args.code.matches("^[A-Z]{3}$")', {"code": "OSL"}),
        ("size(args.l) == 2 && 'a' in args.l", {"l": ["a", "b"]}),
        ("has(args.a) && !has(args.b)", {"a": 1}),
        ("timestamp(args.t).getFullYear() == 2026", {"t": "2026-01-01T00:00:00Z"}),
        ("args.n > 9007199254740992", {"n": 9007199254740993}),
        ("args.x == 1 || args.y == 2", {"y": 2}),
        ("type(args.a) == int", {"a": 1}),
        ("true in [args.flag] && 1 in ([1])", {"flag": True}),
        ("duration('1h') > duration('1m')", {}),
    ],
)
def test_what_holds(source: str, args: Any) -> None:
    assert held(source, args) is True


@pytest.mark.parametrize("function", sorted(FUNCTIONS - {"has", "dyn", "type", "matches"}))
def test_every_allowed_function_exists(function: str) -> None:
    argument = {"timestamp": "'2026-01-01T00:00:00Z'", "duration": "'1s'"}.get(function, "'1'")
    free = {"size", "int", "uint", "double", "string", "bytes", "timestamp", "duration"}
    if function in free:
        source = f"{function}({argument})"
    elif function.startswith("get"):
        source = f"timestamp('2026-01-01T00:00:00Z').{function}()"
    else:
        source = f"'1'.{function}('1')"
    Cel(source, ARGS).run(Scope({"args": {}}))


def test_roots_and_paths() -> None:
    found = Cel(
        'args.a.b + args["c d"].e + string(args.l[0]) + args.f.size() + key', frozenset({"args", "key"})
    )
    assert found.roots == {"args", "key"}
    assert found.paths == {("args", "a", "b"), ("args", "c d", "e"), ("args", "l"), ("args", "f"), ("key",)}
    assert scan(r'args["a\\b"].c').paths == {("args",)}
    assert "Cel(" in repr(found)


def test_evaluate_gives_plain_data_only() -> None:
    names = {"result": {"id": 7, "n": 2**62}, "args": {}}
    allowed = frozenset({"args", "result", "key"})
    assert Cel("result.id", allowed).evaluate(names) == 7
    assert Cel("result.n", allowed).evaluate(names) == 2**62
    assert Cel('{"a": [result.id, "x"]}', allowed).evaluate(names) == {"a": [7, "x"]}
    for source in ("b'abc'", "duration('1h')", "1.0 / 0.0", "timestamp('2026-01-01T00:00:00Z')"):
        with pytest.raises(ConditionError):
            Cel(source, allowed).evaluate(names)


def test_a_panic_of_the_engine_is_an_error_and_an_interrupt_is_not() -> None:
    class PanicException(BaseException):
        pass

    condition = Cel("true", ARGS)
    for error, expected in ((PanicException(), ConditionError), (KeyboardInterrupt(), KeyboardInterrupt)):

        def fail(_: Any, error: BaseException = error) -> Any:
            raise error

        condition._execute = fail
        with pytest.raises(expected):
            condition.test(Scope({}))


@given(st.text(max_size=60))
def test_any_text_is_compiled_or_refused(source: str) -> None:
    try:
        Cel(source, ARGS)
    except CelSyntaxError:
        return


def test_a_name_that_only_the_library_sees_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second opinion, should the two ever read a text differently."""
    from specflow.policy import condition

    monkeypatch.setattr(condition, "scan", lambda _: scan("true"))
    with pytest.raises(CelSyntaxError, match="more plainly"):
        Cel("[1].map(x, x) == []", ARGS)


def test_a_complaint_without_a_place_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> Any:
        raise ValueError("no")

    monkeypatch.setattr(cel, "compile", fail)
    with pytest.raises(CelSyntaxError, match="the expression is not understood"):
        Cel("true", ARGS)


def test_an_interrupt_passes_through_mappings_too() -> None:
    def fail(_: Any) -> Any:
        raise KeyboardInterrupt

    mapping = Cel("args.a", ARGS)
    mapping._execute = fail
    with pytest.raises(KeyboardInterrupt):
        mapping.evaluate({"args": {}})
