"""`compensate.before`: what may be written, what a plan makes of it, and when a call may run early."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolOrigin, ToolSpec
from specflow.errors import PolicyError
from specflow.policy import load, loads
from specflow.policy.diff.compare import compare
from specflow.policy.hints import floor
from specflow.policy.judge import decide
from specflow.policy.policy import Policy
from specflow.policy.schema import json_schema

GOOD = """
version: 1
tools:
  get_user: {effect: read_only}
  set_address:
    effect: compensatable
    speculate: now
    min_confidence: 0.9
    compensate:
      before: {tool: get_user, with: {user_id: args.user_id}}
      tool: set_address
      with: {user_id: args.user_id, street: before.address.street}
"""
CALL = Call(tool="set_address", args={"user_id": "u1", "street": "Elm"})


def parameters(*required: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    names = (*required, *optional)
    return {"type": "object", "properties": {name: {} for name in names}, "required": list(required)}


GET = ToolSpec(name="get_user", parameters=parameters("user_id"))
SET = ToolSpec(name="set_address", parameters=parameters("user_id", "street"))


def tools(*others: ToolSpec) -> ToolRegistry:
    found = {tool.name: tool for tool in (GET, SET, *others)}
    return ToolRegistry(found.values())


def verdict(policy: Policy, call: Call = CALL, **options: Any) -> tuple[str, str]:
    found = policy.explain(call, **options)
    return str(found.speculate), found.reasons[-1].message


def test_what_is_written_arrives() -> None:
    undo = loads(GOOD, tools=tools()).settings(SET).undo
    assert undo is not None
    assert undo.before is not None
    assert (undo.tool, undo.before.tool) == ("set_address", "get_user")
    names = {"args": {"user_id": "u1"}, "before": {"address": {"street": "Oak"}}}
    assert undo.before.arguments["user_id"].evaluate({"args": {"user_id": "u1"}}) == "u1"
    assert {name: made.evaluate(names) for name, made in undo.arguments.items()} == {
        "user_id": "u1",
        "street": "Oak",
    }
    assert undo.before_paths == {("before", "address", "street")}
    assert not undo.needs_result


@pytest.mark.parametrize("known", [True, False])
def test_a_tool_that_writes_back_runs_early(known: bool) -> None:
    policy = loads(GOOD, tools=tools() if known else None)
    assert verdict(policy)[0] == "now"
    assert policy.compensates("set_address", "set_address", SET)


def test_arguments_of_the_read_by_identical_name() -> None:
    text = GOOD.replace(", with: {user_id: args.user_id}}\n", "}\n")
    undo = loads(text, tools=tools()).settings(SET).undo
    assert undo is not None
    assert undo.before is not None
    assert {name: made.source for name, made in undo.before.arguments.items()} == {
        "user_id": 'args["user_id"]'
    }
    assert verdict(loads(text)) == (
        "hold",
        "the arguments of get_user are not known (the tools are not known): add `before.with`",
    )
    other = ToolSpec(name="get_user", parameters=parameters("user_id", "tenant"))
    assert verdict(loads(text, tools=tools(other))) == (
        "hold",
        "nothing is called tenant, as get_user needs: add `before.with`",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("get_user: {effect: read_only}", "get_user: {effect: compensatable}", "<text>:10:22 tools.set_address.compensate.before.tool: 'get_user' is compensatable; what reads the value from before must be read_only"),
        ("get_user: {effect: read_only}", "get_user: {effect: deny}", "'get_user' is deny; what reads"),
        ("get_user: {effect: read_only}", '"get_*": {effect: read_only}\n  "*_user": {effect: confirmation_required}', "'get_user' is confirmation_required"),
        ("before: {tool: get_user,", "before: {tool: set_address,", "'set_address' is compensatable; what reads"),
        ("args.user_id}}", "key}}", "tools.set_address.compensate.before.with.user_id: unknown name 'key': it may read args"),
        ("args.user_id}}", "result.id}}", "unknown name 'result': it may read args"),
        ("args.user_id}}", "before.id}}", "unknown name 'before': it may read args"),
        ("before.address.street", "args.street", "<text>:10:15 tools.set_address.compensate.before: nothing reads it"),
        ("      with: {user_id: args.user_id, street: before.address.street}\n", "", "<text>:10:15 tools.set_address.compensate.before: with `before`, write `with` out"),
        ("      before: {tool: get_user, with: {user_id: args.user_id}}\n", "", "tools.set_address.compensate.with.street: it reads `before`, and nothing says what that is"),
        ("before: {tool: get_user, with: {user_id: args.user_id}}", "succeeded_when: before.x == 1", "tools.set_address.compensate.succeeded_when: it reads `before`, and nothing says"),
        ("before: {tool: get_user,", "before: {tol: get_user,", "unknown field 'tol' (did you mean 'tool'?)"),
        ("before.address.street}", "before.address.street}\n    patch: {tool: p, fields: [street], with: {x: before.x}}", "tools.set_address.patch.with.x: unknown name 'before': it may read args, key, result"),
        ("before.address.street}", "before.address.street}\n    verify: {tool: get_user, with: {x: before.x}}", "unknown name 'before': it may read args, key"),
        ("before.address.street}", "before.address.street}\n    rules: [{id: r, when: before.x == 1, allow: {speculate: now}}]", "unknown name 'before': it may read args, context"),
    ],
)  # fmt: skip
def test_what_does_not_load(old: str, new: str, message: str) -> None:
    assert GOOD.count(old) == 1 or old == "args.user_id}}"
    with pytest.raises(PolicyError) as caught:
        loads(GOOD.replace(old, new))
    assert message in str(caught.value)


def test_what_only_the_tools_can_tell() -> None:
    with pytest.raises(
        PolicyError, match=r"compensate\.before\.tool: unknown tool 'get_usr' \(did you mean 'get_user'\?\)"
    ):
        loads(GOOD.replace("tool: get_user", "tool: get_usr"), tools=tools())
    unlisted = GOOD.replace("  get_user: {effect: read_only}\n", "")
    with pytest.raises(
        PolicyError, match=r"nothing says what 'get_user' may do; .* must be read_only: list it"
    ):
        loads(unlisted, tools=tools())
    assert verdict(loads(unlisted))[0] == "hold", "perhaps the Python source says so: but nobody knows here"
    for effect, message in (
        (EffectClass.READ_ONLY, ""),
        (EffectClass.COMPENSATABLE, "'get_user' is compensatable"),
    ):
        annotated = ToolSpec(name="get_user", parameters=GET.parameters, annotation=Annotation(effect=effect))
        if not message:
            assert verdict(loads(unlisted, tools=tools(annotated)))[0] == "now"
            continue
        with pytest.raises(PolicyError, match=message):
            loads(unlisted, tools=tools(annotated))
    untrusted = unlisted + "defaults: {trust_annotations: false}\n"
    with pytest.raises(PolicyError, match="nothing says what 'get_user' may do"):
        loads(
            untrusted,
            tools=tools(ToolSpec(name="get_user", annotation=Annotation(effect=EffectClass.READ_ONLY))),
        )


def test_a_trusted_server_may_say_that_the_read_only_reads() -> None:
    origin = ToolOrigin(server="users", tool="get_user", at="https://mcp.example/users")
    said = ToolSpec(name="get_user", parameters=GET.parameters, hints={"readOnlyHint": True}, origin=origin)
    unlisted = GOOD.replace("  get_user: {effect: read_only}\n", "")
    trust = (
        "trusted_mcp_servers:\n  - {name: users, at: https://mcp.example/users, "
        f"schemas: {{get_user: {said.schema_hash}}}}}\n"
    )
    assert verdict(loads(unlisted + trust, tools=tools(said)))[0] == "now"
    with pytest.raises(PolicyError, match="nothing says what 'get_user' may do"):
        loads(unlisted, tools=tools(said))


@pytest.mark.parametrize(
    ("hints", "annotated", "least", "whose"),
    [
        (
            {"readOnlyHint": False},
            EffectClass.CONFIRMATION_REQUIRED,
            "confirmation_required",
            "Python source",
        ),
        ({"readOnlyHint": False}, EffectClass.READ_ONLY, "compensatable", "readOnlyHint: false"),
        ({"destructiveHint": True}, EffectClass.COMPENSATABLE, "confirmation_required", "destructiveHint"),
        ({"readOnlyHint": True}, EffectClass.COMPENSATABLE, "compensatable", "Python source"),
    ],
)
def test_the_stricter_of_source_and_server_is_the_floor(
    hints: dict[str, bool], annotated: EffectClass, least: str, whose: str
) -> None:
    effect, who = floor(ToolSpec(name="x", annotation=Annotation(effect=annotated), hints=hints))
    assert (effect, whose in who) == (EffectClass(least), True)


def test_every_problem_is_told_at_once() -> None:
    text = GOOD.replace("read_only", "compensatable").replace(
        "before.address.street}",
        "before.address.street}\n  b: {effect: compensatable, compensate: {tool: b, before: {tool: set_address}}}",
    )
    with pytest.raises(PolicyError) as caught:
        loads(text)
    assert [finding.path for finding in caught.value.facts["findings"]] == ["tools.b.compensate.before"]  # type: ignore[attr-defined]  # facts are objects


@pytest.mark.parametrize(
    ("read", "why"),
    [
        ("{effect: read_only, status: proposed}", "'get_user', which reads what was there before, is confirmation_required and not read_only"),
        (f"{{effect: read_only, reviewed: {'0' * 64}}}", "'get_user', which reads what was there before, is confirmation_required and not read_only"),
        ("{effect: read_only, speculate: hold}", "get_user reads what was there before, and would not run early itself (declared: declared read_only; speculate: speculate: hold)"),
        ("{effect: read_only, rules: [{id: r, when: args.user_id == \"u1\", require: {effect: confirmation_required}}]}", "get_user reads what was there before, and would not run early itself (declared: declared read_only; r: requires confirmation_required; never_early: confirmation_required never runs early)"),
        ("{effect: read_only, rules: [{id: r, when: args.nothing == 1, require: {speculate: hold}}]}", "get_user reads what was there before, and would not run early itself (declared: declared read_only; r: requires hold, because its condition cannot be evaluated: the field 'nothing' is missing; default: now where speculate is not written)"),
        ("{effect: read_only, rules: [{id: r, when: context.night == true, require: {speculate: never}}]}", "get_user reads what was there before, and would not run early itself (declared: declared read_only; r: requires never; default: now where speculate is not written)"),
    ],
)  # fmt: skip
def test_a_read_that_may_not_run_early_holds_the_write(read: str, why: str) -> None:
    policy = loads(GOOD.replace("get_user: {effect: read_only}", f"get_user: {read}"), tools=tools())
    assert verdict(policy, context={"night": True}) == ("hold", why)
    assert policy.explain(CALL, context={"night": True}).reasons[-1].code == "no_undo"


def test_a_write_that_nobody_guesses_is_not_asked_about_its_read() -> None:
    text = GOOD.replace("speculate: now", "speculate: hold").replace(
        "get_user: {effect: read_only}", "get_user: {effect: read_only, speculate: hold}"
    )
    assert verdict(loads(text, tools=tools()))[1] == "speculate: hold"


def test_the_read_is_not_sent_where_a_guess_may_not_go() -> None:
    text = GOOD.replace(
        "with: {user_id: args.user_id}}",
        'with: {user_id: "\\"https://elsewhere.example/\\" + args.user_id"}}',
    )
    found = loads(text, tools=tools()).explain(CALL)
    assert (str(found.speculate), found.withheld) == ("hold", ("args.user_id: URL",))
    declared = text.replace(
        "get_user: {effect: read_only}",
        "get_user: {effect: read_only, destinations: {host: elsewhere.example}}",
    )
    assert verdict(loads(declared, tools=tools()))[0] == "now"
    assert verdict(loads(GOOD), tainted=True)[0] == "hold"
    both = GOOD.replace("speculate: now", "speculate: now\n    destinations: {host: desk.example}")
    assert "get_user reads what was there before" in verdict(loads(both), tainted=True)[1]


def test_a_call_that_does_not_say_what_the_read_needs() -> None:
    policy = loads(GOOD)
    why = "the argument 'user_id' of get_user cannot be formed: the field 'user_id' is missing"
    assert verdict(policy, Call(tool="set_address", args={"street": "Elm"})) == ("hold", why)


@pytest.mark.parametrize(
    ("text", "others", "why"),
    [
        (GOOD, [ToolSpec(name="get_user", parameters=parameters("id"))], "get_user, which reads what was there before, cannot be called: get_user requires 'id', which is not mapped"),
        (GOOD, [ToolSpec(name="get_user", parameters=GET.parameters, injected=frozenset({"state"}))], "get_user reads what was there before, and would not run early itself (declared: declared read_only; default: now where speculate is not written; injected: it takes state of the real run (state))"),
        (GOOD.replace("      before: {tool: get_user, with: {user_id: args.user_id}}\n", "").replace("      with: {user_id: args.user_id, street: before.address.street}\n", ""), [], "set_address cannot undo itself with its own arguments: add `compensate.with`"),
    ],
)  # fmt: skip
def test_an_undo_that_could_not_be_called(text: str, others: list[ToolSpec], why: str) -> None:
    assert verdict(loads(text, tools=tools(*others))) == ("hold", why)


def test_a_read_that_goes_missing_after_loading() -> None:
    found = loads(GOOD)
    registry = ToolRegistry([SET])
    policy = Policy(found.compiled, tools=registry)
    assert verdict(policy) == (
        "hold",
        "'get_user', which reads what was there before, is not a registered tool",
    )


@pytest.mark.parametrize(
    ("redact", "why"),
    [
        ("  get_user: {effect: read_only, redact: [result.address.street]}", "its undo needs before.address.street, which is redacted and so not stored"),
        ("  get_user: {effect: read_only, redact: [result.address]}", "its undo needs before.address, which is redacted and so not stored"),
        ("  get_user: {effect: read_only}\ndefaults: {redact: [result.*.street]}", "its result holds result.*.street, which is redacted and so not stored"),
        ("  get_user: {effect: read_only, redact: [result.name]}", ""),
        ("  get_user: {effect: read_only, redact: [args.user_id]}", ""),
        ("  get_user: {effect: read_only}\n  set_*: {redact: [args.street]}", "its undo gives set_address args.street, which is redacted and so not stored"),
        ("  get_user: {effect: read_only}\n  set_*: {redact: [args.user_id]}", "its undo needs args.user_id, which is redacted and so not stored"),
    ],
)  # fmt: skip
def test_what_is_redacted_is_never_stored_to_be_written_back(redact: str, why: str) -> None:
    before, _, after = redact.partition("\ndefaults")
    text = GOOD.replace("  get_user: {effect: read_only}", before) + (f"defaults{after}\n" if after else "")
    policy = loads(text, tools=tools())
    told = why and f"{why} (with SPECFLOW_JOURNAL_KEY set it would be, encrypted)"
    assert verdict(policy) == (("never", told) if why else ("now", "speculate: now"))
    kept = loads(text, tools=tools(), keeps_secrets=True)
    assert verdict(kept) == ("now", "speculate: now"), "who can keep secrets can write them back"


def test_success_that_is_told_by_a_redacted_value() -> None:
    text = GOOD.replace(
        "before.address.street}", "before.address.street}\n      succeeded_when: result.token == before.token"
    )
    text = text.replace(
        "get_user: {effect: read_only}", "get_user: {effect: read_only, redact: [result.token]}"
    )
    assert verdict(loads(text)) == (
        "never",
        (
            "its undo needs before.token, which is redacted and so not stored "
            "(with SPECFLOW_JOURNAL_KEY set it would be, encrypted)"
        ),
    )


def test_an_argument_that_needs_the_old_value_is_not_formed_too_soon() -> None:
    text = GOOD.replace("street: before.address.street}", "street: before.address.street, x: args.x}")
    assert (
        verdict(loads(text))[1]
        == "the argument 'x' of set_address cannot be formed: the field 'x' is missing"
    )


def test_the_read_costs_too() -> None:
    text = GOOD.replace("effect: read_only", "effect: read_only, limits: {cost_usd: 0.25}").replace(
        "speculate: now", "speculate: now\n    limits: {cost_usd: 0.5}"
    )
    policy = loads(text)
    assert policy.settings(SET).cost_usd == 0.75
    assert policy.settings(GET).cost_usd == 0.25


def test_a_read_does_not_read_first_itself() -> None:
    text = GOOD.replace(
        "get_user: {effect: read_only}",
        "get_user: {effect: read_only, compensate: {tool: set_address, before: {tool: get_user}, with: {street: before.x}}}",
    )
    policy = loads(text, tools=tools())
    plan = policy.plan("set_address", SET)
    assert plan.before is not None
    assert plan.before.before is None
    assert verdict(policy)[0] == "now"


def test_a_judgement_stays_total(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = loads(GOOD).plan("set_address", SET)
    assert decide(plan, CALL, context={}).speculate == "now"
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    found = decide(plan, Call(tool="set_address", args={"user_id": deep}), context={})
    assert (str(found.speculate), found.reasons[-1].code) == ("hold", "no_undo")


def test_the_hash_changes_with_it_and_stays_without_it() -> None:
    plain = GOOD.replace("      before: {tool: get_user, with: {user_id: args.user_id}}\n", "").replace(
        "before.address.street", "args.street"
    )
    hashes = [
        loads(text).hash
        for text in (
            GOOD,
            GOOD.replace("{user_id: args.user_id}}", "{user_id: string(args.user_id)}}"),
            plain,
        )
    ]
    assert len(set(hashes)) == 3
    assert hashes[2] == "d975190e57667bc7f7a62138e7544e6b876890d2f75a36ab6b42c603b00ef6ec", (
        "a policy that was there before `before` keeps its hash"
    )


def test_two_files_that_read_different_things_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(
        GOOD.replace("{user_id: args.user_id}}", "{user_id: string(args.user_id)}}")
    )
    with pytest.raises(PolicyError, match=r"tools\.set_address\.compensate: another file says otherwise"):
        load(tmp_path)
    (tmp_path / "b.yaml").write_text("version: 1\ntools: {get_user: {effect: confirmation_required}}\n")
    with pytest.raises(PolicyError, match=r"a\.yaml:10:22 .*'get_user' is confirmation_required"):
        load(tmp_path)


def test_the_schema_for_editors_knows_it() -> None:
    definitions = json_schema()["$defs"]
    assert set(definitions["BeforePart"]["properties"]) == {"tool", "with"}
    assert definitions["BeforePart"]["required"] == ["tool"]
    assert "before" in definitions["CompensatePart"]["properties"]


def test_diff_tells_a_changed_read() -> None:
    new = GOOD.replace("{user_id: args.user_id}}", "{user_id: string(args.user_id)}}")
    report = compare(loads(GOOD), loads(new), calls=50)
    (change,) = [change for change in report.changes if change.tool == "set_address"]
    assert (change.setting, change.direction) == ("compensate", "changed")
    assert "before get_user(user_id: args.user_id)" in change.old
    assert "before get_user(user_id: string(args.user_id))" in change.new


def test_diff_finds_calls_that_a_rule_of_the_read_lets_through() -> None:
    old = GOOD.replace(
        "get_user: {effect: read_only}",
        'get_user: {effect: read_only, rules: [{id: vip, when: args.user_id == "vip-4711", require: {speculate: hold}}, {id: other, when: "has(args.x) && args.x == 1", require: {speculate: hold}}]}',
    )
    report = compare(loads(old), loads(GOOD), calls=300)
    (loose,) = [item for item in report.looser if item.tool == "set_address"]
    assert loose.asked.call.args == {"user_id": "vip-4711"}
