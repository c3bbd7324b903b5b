"""`version` and `verify_sample` in a policy: what is read, what is refused, and what is held."""

# ruff: noqa: E501 - tables of policies read best with a case per line

from __future__ import annotations

import pytest

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import PolicyError
from specflow.policy import Policy, loads
from specflow.policy.verdict import Speculate, Verdict


def tool(name: str, *parameters: str) -> ToolSpec:
    properties = {parameter: {"type": "string"} for parameter in parameters}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return ToolSpec(name=name, parameters=schema, annotation=Annotation(effect=EffectClass.READ_ONLY))


TOOLS = ToolRegistry([tool("look", "id"), tool("etag", "id"), tool("stamp", "row")])


def policy(entry: str, others: str = "", top: str = "", *, tools: ToolRegistry | None = TOOLS) -> Policy:
    text = f"version: 1\n{top}\ntools:\n  look: {{effect: read_only, {entry}}}\n  etag: {{effect: read_only}}\n{others}\n"
    return loads(text, tools=tools)


def verdict(found: Policy, **args: object) -> Verdict:
    return found.judge(TOOLS.require("look"), Call(tool="look", args=args), context={})


def test_it_is_asked_by_identical_name_or_as_written() -> None:
    derived = policy("version: {tool: etag}").settings(TOOLS.require("look")).version
    assert derived is not None
    assert derived.tool == "etag"
    assert derived.arguments["id"].evaluate({"args": {"id": "7"}}) == "7"
    written = policy("version: {tool: etag, with: {id: '\"v\" + args.id'}}")
    found = written.settings(TOOLS.require("look")).version
    assert found is not None
    assert found.arguments["id"].evaluate({"args": {"id": "7"}}) == "v7"
    assert verdict(written, id="7").speculate is Speculate.NOW


@pytest.mark.parametrize(
    ("entry", "others", "why"),
    [
        ("version: {tool: stamp}", "  stamp: {effect: read_only}", "nothing is called row"),
        ("version: {tool: etag, with: {id: args.id, x: args.id}}", "", "has no parameter"),
        ("version: {tool: stamp, with: {row: args.id}}", "  stamp: {effect: compensatable}", "not read_only"),
        ("version: {tool: stamp, with: {row: args.id}}", "  stamp: {effect: read_only, speculate: never}", "would not run early itself"),
        ("version: {tool: etag, with: {id: args.other}}", "", "look has no argument"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_early_holds_the_read(entry: str, others: str, why: str) -> None:
    found = verdict(policy(entry, others), id="7")
    assert found.speculate is Speculate.HOLD
    (reason,) = [reason for reason in found.reasons if reason.code == "no_version"]
    assert why in reason.message


def test_an_argument_that_cannot_be_formed_holds_the_call() -> None:
    found = policy("version: {tool: etag, with: {id: args.id.inner}}")
    assert verdict(found, id="7").speculate is Speculate.HOLD
    assert "cannot be formed" in verdict(found, id="7").why


def test_the_version_of_a_private_argument_is_not_asked_early() -> None:
    found = policy("destinations: {host: '*'}, version: {tool: etag}")
    judged = verdict(found, id="https://evil.example/x")
    assert judged.speculate is Speculate.HOLD
    assert judged.withheld


def test_a_tool_that_is_not_there_is_an_error() -> None:
    with pytest.raises(PolicyError, match="unknown tool 'etga'"):
        policy("version: {tool: etga}")


def test_without_tools_nothing_is_checked_but_the_mapping_must_be_written() -> None:
    found = policy("version: {tool: etag}", tools=None)
    assert verdict(found, id="7").speculate is Speculate.HOLD
    assert (
        verdict(policy("version: {tool: etag, with: {id: args.id}}", tools=None), id="7").speculate
        is Speculate.NOW
    )


def test_it_may_read_arguments_only() -> None:
    with pytest.raises(PolicyError, match="result"):
        policy("version: {tool: etag, with: {id: result.id}}")


def test_the_share_is_that_of_the_tool_or_else_the_default() -> None:
    top = "defaults: {speculation: {verify_sample: 0.5}}"
    look = TOOLS.require("look")
    assert policy("timeout: 1s").settings(look).verify_sample == 0.0
    assert policy("timeout: 1s", top=top).settings(look).verify_sample == 0.5
    assert policy("verify_sample: 0", top=top).settings(look).verify_sample == 0.0
    assert policy("timeout: 1s", top=top).hash != policy("timeout: 1s").hash


def test_the_scope_is_the_narrowest_that_is_written() -> None:
    look = TOOLS.require("look")
    assert policy("timeout: 1s").settings(look).scope == "session"
    assert policy("cache: {ttl: 1s, scope: public}").settings(look).scope == "public"
    wild = "  'lo*': {cache: {ttl: 1s, scope: tenant}}\n  '*ok': {cache: {ttl: 1s, scope: public}}"
    assert policy("timeout: 1s", wild).settings(look).scope == "tenant"
    wild = "  'lo*': {cache: {ttl: 1s, scope: thread}}\n  '*ok': {cache: {ttl: 1s, scope: tenant}}"
    assert policy("timeout: 1s", wild).settings(look).scope == "thread"
    assert policy("cache: {ttl: 1s}", wild).settings(look).scope == "session"
