"""LangGraph's ToolNode beside specflow's, agents with and without the middleware: nothing is different."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.prebuilt import ToolNode

import specflow as sf
from specflow.graph.fork.forking import forking


def _load(name: str) -> Any:
    """A file beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trial, kinds = _load("parity_trial"), _load("parity_tools")
Case = trial.Case
KINDS = {
    "read only": "read_only, speculate: now",
    "journaled": "confirmation_required, confirm: host",
}
FAMILIES = {
    family: {getattr(item, "name", None) or item.__name__: item for item in getattr(kinds, family)()}
    for family in ("failing", "answering", "steering", "injected", "made")
}
TOOLS = {name: item for family in FAMILIES.values() for name, item in family.items()}
Runtimes = dict[str, sf.Runtime]


@pytest.fixture(scope="module")
def rts(tmp_path_factory: Any) -> Iterator[Runtimes]:
    """Two that know all the tools; what is journaled runs through the intent, the body and the outcome."""
    made: Runtimes = {}
    with ExitStack() as open_ones:
        for name, kind in KINDS.items():
            folder = tmp_path_factory.mktemp(name)
            rows = [f"  {tool}: {{effect: {kind}}}" for tool in TOOLS]
            policy = folder / "policy.yaml"
            policy.write_text("version: 1\ntools:\n" + "\n".join(rows) + "\n", encoding="utf-8")
            url = f"sqlite:///{folder / 'journal.db'}"
            rt = sf.Runtime(policy, tools=TOOLS.values(), journal=url, telemetry=False, durability="process")
            made[name] = open_ones.enter_context(rt)
        yield made


def wrapped(tools: Any, **options: Any) -> ToolNode:
    """ToolNode as any wrapper makes it: with one that does nothing."""

    def wrap(request: Any, handler: Any) -> Any:
        return handler(request)

    async def awrap(request: Any, handler: Any) -> Any:
        return await handler(request)

    return ToolNode(tools, wrap_tool_call=wrap, awrap_tool_call=awrap, **options)


def same(rts: Runtimes, case: Any, *, nested: bool = False, agent: bool = False, around: bool = True) -> None:
    """In both colours, in every way into LangGraph: as without specflow."""
    for colour in trial.COLOURS:
        bare = trial.playing(case, colour, ToolNode, nested=nested)
        any_wrapper = trial.playing(case, colour, wrapped, nested=nested) if around else None
        bare_agent = trial.agent_plays(case, colour, []) if agent else None
        for kind, rt in rts.items():
            found = trial.playing(case, colour, rt.tool_node, nested=nested)
            assert trial.difference(found, bare) == "", f"rt.tool_node, {kind}, {colour}"
            if around:
                found = trial.playing(case, colour, partial(trial.around, rt), nested=nested)
                assert trial.difference(found, any_wrapper) == "", f"a ToolNode of the user, {kind}, {colour}"
            if agent:
                found = trial.agent_plays(case, colour, [rt.middleware()])
                assert trial.difference(found, bare_agent) == "", f"create_agent, {kind}, {colour}"


def typed(error: ValueError) -> str:
    return f"typed {error}"


def either(error: ValueError | LookupError) -> str:
    return f"either {error!r}"


def untyped(error):  # type: ignore[no-untyped-def]  # as users write it
    return f"untyped {error!r}"


class Handler:
    def method(self, error: KeyError) -> str:
        return f"method {error}"


HANDLERS: dict[str, Any] = {
    "default": None,
    "True": True,
    "False": False,
    "text": "something went wrong",
    "class": ValueError,
    "tuple": (ValueError, OSError),
    "empty tuple": (),
    "typed": typed,
    "either": either,
    "untyped": untyped,
    "method": Handler().method,
    "lambda": lambda error: f"lambda {type(error).__name__}",
}
CATCH_ALL = ("True", "text", "untyped", "lambda")
BAD_ARGUMENTS: list[dict[str, Any]] = [{"x": "three"}, {}, {"x": 3}]


@pytest.mark.parametrize("handler", CATCH_ALL)
def test_errors_are_told_to_the_model_as_the_user_said(rts: Runtimes, handler: str) -> None:
    names = FAMILIES["failing"]
    calls = [(name, args) for name in names for args in BAD_ARGUMENTS]
    same(
        rts, Case(tools=list(names.values()), calls=calls, options={"handle_tool_errors": HANDLERS[handler]})
    )


@pytest.mark.parametrize("handler", sorted(HANDLERS.keys() - set(CATCH_ALL)))
@pytest.mark.parametrize("name", ["value_error", "key_error"])
def test_errors_that_are_not_handled_end_the_run(rts: Runtimes, name: str, handler: str) -> None:
    options = {} if handler == "default" else {"handle_tool_errors": HANDLERS[handler]}
    same(rts, Case(tools=[TOOLS[name]], calls=[(name, {"x": 3})], options=options))
    same(rts, Case(tools=[TOOLS[name]], calls=[(name, {})], options=options), around=False)


@pytest.mark.parametrize("name", FAMILIES["failing"])
def test_the_exception_of_a_tool_is_the_exception_of_the_run(rts: Runtimes, name: str) -> None:
    same(rts, Case(tools=[TOOLS[name]], calls=[(name, {"x": 3})]), agent=True, around=False)


@pytest.mark.parametrize("family", ["answering", "made"])
def test_every_kind_of_tool_answers_the_same(rts: Runtimes, family: str) -> None:
    names = FAMILIES[family]
    given: list[dict[str, Any]] = [{"x": 3}, {"x": "4"}, {}, {"x": 1, "more": 2}]
    calls = [(name, args) for name in names for args in given]
    same(rts, Case(tools=list(names.values()), calls=calls, options={"handle_tool_errors": True}))


@pytest.mark.parametrize("name", [*FAMILIES["answering"], *FAMILIES["made"]])
def test_agents_with_every_kind_of_tool_answer_the_same(rts: Runtimes, name: str) -> None:
    same(rts, Case(tools=[TOOLS[name]], calls=[(name, {"x": 3})]), agent=True, around=False)


def test_arguments_reach_the_body_as_they_would(rts: Runtimes) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("rich", {"x": 1, "size": "small", "when": "2026-03-04", "stays": [{"city": "Rome", "nights": "2"}]}),
        ("rich", {"x": -1}),
        ("rich", {"x": 1, "size": "huge"}),
        ("greedy", {"x": 1, "many": [1, 2]}),
        ("single", {"__arg1": "one"}),
        ("single", {"text": "one"}),
        ("single", {"a": "one", "b": "two"}),
        ("variadic", {"x": 1, "rest": [2], "more": {"y": 3}}),
    ]
    tools = [TOOLS[name] for name in ("rich", "greedy", "single", "variadic")]
    same(rts, Case(tools=tools, calls=calls, options={"handle_tool_errors": True}))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", FAMILIES["steering"])
def test_commands_steer_the_graph_the_same(rts: Runtimes, name: str, nested: bool) -> None:
    same(
        rts,
        Case(tools=[TOOLS[name]], calls=[(name, {"x": 1})]),
        nested=nested,
        around=nested,
        agent=not nested,
    )


def test_commands_of_several_tools_are_combined_the_same(rts: Runtimes) -> None:
    names = ["update", "text", "several", "goto", "parent_send"]
    case = Case(tools=[TOOLS[name] for name in names], calls=[(name, {"x": 1}) for name in names])
    same(rts, case, nested=True)
    case.calls = [("parent_send", {"x": 1}), ("parent_send", {"x": 2})]
    same(rts, case, nested=True)


@pytest.mark.parametrize("name", FAMILIES["injected"])
def test_what_a_tool_is_given_beside_its_arguments(rts: Runtimes, name: str) -> None:
    forged = {
        "x": 1,
        "state": {},
        "mood": "forged",
        "store": 1,
        "runtime": 2,
        "tool_call_id": "x",
        "config": 3,
    }
    same(rts, Case(tools=[TOOLS[name]], calls=[(name, {"x": 1})], state={"mood": "fine"}))
    same(rts, Case(tools=[TOOLS[name]], calls=[(name, {"x": 1})], store=False), around=False)
    same(rts, Case(tools=[TOOLS[name]], calls=[(name, forged)]), around=False, agent=True)


def test_calls_side_by_side_keep_their_order(rts: Runtimes) -> None:
    names = ["text", "coroutine_only", "pair", "identified", "both", "text"]
    calls = [(name, {"x": at}) for at, name in enumerate(names)]
    case = Case(tools=[TOOLS[name] for name in names], calls=calls, options={"handle_tool_errors": True})
    same(rts, case)


@pytest.mark.parametrize("name", ["teleport", "", "text ", "TEXT"])
def test_a_tool_that_nobody_registered(rts: Runtimes, name: str) -> None:
    same(rts, Case(tools=[TOOLS["text"]], calls=[(name, {"x": 1}), ("text", {"x": 1})]))


def failing(times: int) -> tuple[Any, list[str]]:
    tried: list[str] = []

    @tool
    def text(x: int) -> str:
        """Text, after a few failures."""
        tried.append(f"body {x}")
        if len(tried) <= times:
            raise OSError("down")
        return f"text {x}"

    return text, tried


@pytest.mark.parametrize("given", ["both", "sync only", "async only"])
@pytest.mark.parametrize("kind", KINDS)
def test_wrappers_of_the_user_stand_about_ours(rts: Runtimes, kind: str, given: str) -> None:
    """They change calls and make them again; a write that failed may have happened, and is not made again."""
    times = 2 if kind == "read only" else 0

    def again(request: Any, handler: Any) -> Any:
        changed = request.override(tool_call={**request.tool_call, "args": {"x": 5}})
        for _ in range(2):
            with suppress(OSError):
                return handler(changed)
        return handler(changed)

    async def aagain(request: Any, handler: Any) -> Any:
        changed = request.override(tool_call={**request.tool_call, "args": {"x": 6}})
        for _ in range(2):
            with suppress(OSError):
                return await handler(changed)
        return await handler(changed)

    wrappers = {"wrap_tool_call": again, "awrap_tool_call": aagain}
    if given != "both":
        del wrappers["awrap_tool_call" if given == "sync only" else "wrap_tool_call"]
    for colour in trial.COLOURS:
        seen = []
        for make in (ToolNode, rts[kind].tool_node):
            text, tried = failing(times)
            case = Case(tools=[text], calls=[("text", {"x": 1})], options=wrappers)
            (ended, _spied) = trial.playing(case, colour, make)
            seen.append((ended, tried))
        assert trial.difference(seen[1], seen[0]) == "", colour


def test_a_fork_does_not_run_wrappers_of_the_user(rts: Runtimes) -> None:
    rt = rts["read only"]
    plain = trial.graph_of(rt.tool_node([TOOLS["text"]]))
    wrapped = trial.graph_of(rt.tool_node([TOOLS["text"]], wrap_tool_call=lambda request, go: go(request)))
    rt.attach(plain)
    rt.attach(wrapped)
    attachments = forking(rt.host).attachments
    assert "tools" not in attachments.of(plain).stops  # type: ignore[union-attr]  # it is attached
    assert "tools" in attachments.of(wrapped).stops  # type: ignore[union-attr]  # it is attached


@pytest.mark.parametrize("colour", trial.COLOURS)
def test_what_may_have_happened_is_not_made_again_by_a_wrapper(rts: Runtimes, colour: str) -> None:
    """The one difference, on purpose: nobody knows whether a write that failed has happened."""

    def again(request: Any, handler: Any) -> Any:
        with suppress(OSError):
            return handler(request)
        return handler(request)

    text, tried = failing(2)
    case = Case(tools=[text], calls=[("text", {"x": 1})], options={"wrap_tool_call": again})
    (_seen, ended), _spied = trial.playing(case, colour, rts["journaled"].tool_node)
    assert ended[1] is sf.ConflictError
    assert "journal resolve" in ended[2]
    assert tried == ["body 1"]
