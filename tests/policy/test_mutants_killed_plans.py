"""Each of these fails for a small fault in planning a tool that no other test noticed."""

from __future__ import annotations

from pathlib import Path

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import Policy, load, loads
from specflow.policy.condition import Cel
from specflow.policy.plan import plan

NAMES = [f"n{letter}" for letter in "hgfedcba"]


def policy(tools: str, registry: ToolRegistry | None = None) -> Policy:
    return loads(f"version: 1\ntools:\n{tools}\n", tools=registry)


def spec(name: str, *needs: str, annotation: Annotation | None = None) -> ToolSpec:
    schema = {"type": "object", "properties": {need: {} for need in needs}, "required": list(needs)}
    return ToolSpec(name=name, parameters=schema, annotation=annotation)


def test_what_a_compensator_lacks_is_told_in_order() -> None:
    book = spec("book")
    registry = ToolRegistry([book, spec("cancel", *NAMES)])
    plan = policy("  book: {effect: compensatable, compensate: {tool: cancel}}", registry).plan("book", book)
    assert f"nothing is called {', '.join(sorted(NAMES))}" in plan.no_undo


def test_an_undo_is_not_derived_for_a_tool_that_is_not_known() -> None:
    found = policy(
        "  book: {effect: compensatable, compensate: {tool: cancel}}", ToolRegistry([spec("cancel", "id")])
    )
    assert "the tools are not known" in found.plan("book", None).no_undo


def test_templates_of_several_entries_come_in_order() -> None:
    halves = (NAMES[:4], NAMES[4:])
    texts = ["[" + ", ".join(f"'{name}:1'" for name in half) + "]" for half in halves]
    found = policy(f"  'ab*': {{reads: {texts[0]}}}\n  '*bc': {{reads: {texts[1]}}}")
    assert found.plan("abc", None).settings.reads == tuple(f"{name}:1" for name in sorted(NAMES))


def test_a_result_that_is_not_stored_keeps_a_write_from_running_early() -> None:
    hidden = "redact: [result.token]"
    write = spec("t", annotation=Annotation(effect=EffectClass.COMPENSATABLE, undo="u"))
    read = spec("t", annotation=Annotation(effect=EffectClass.READ_ONLY))
    assert policy(f"  t: {{effect: read_only, {hidden}}}").plan("t", read).redaction == ""
    # One that says it writes is enough; and what nobody classes may write.
    assert policy(f"  t: {{effect: read_only, {hidden}}}").plan("t", write).redaction
    both = policy(f"  t: {{effect: read_only, {hidden}}}\n  '*': {{effect: compensatable}}")
    assert both.plan("t", spec("t")).redaction
    assert policy(f"  t: {{{hidden}}}").plan("t", spec("t")).redaction


def test_a_verifier_takes_what_has_the_same_name() -> None:
    pay = spec("pay", "id")
    registry = ToolRegistry([pay, spec("find", "id")])
    verify = policy("  pay: {verify: {tool: find}}", registry).settings(pay).verify
    assert verify is not None
    assert {name: made.source for name, made in verify.arguments.items() if isinstance(made, Cel)} == {
        "id": 'args["id"]'
    }


def test_the_policy_chooses_the_verifier_before_the_annotation() -> None:
    annotation = Annotation(effect=EffectClass.CONFIRMATION_REQUIRED, verify="other")
    pay = spec("pay", "id", annotation=annotation)
    registry = ToolRegistry([pay, spec("find", "id"), spec("other", "id")])
    verify = policy("  pay: {verify: {tool: find}}", registry).settings(pay).verify
    assert verify is not None
    assert verify.tool == "find"
    plain = policy("  find: {effect: read_only}", registry).settings(pay).verify
    assert plain is not None
    assert plain.tool == "other"


def test_an_annotation_without_an_undo_is_none() -> None:
    tool = spec("t", annotation=Annotation(effect=EffectClass.READ_ONLY))
    plan = policy("  t: {effect: compensatable}").plan("t", tool)
    assert plan.no_undo == "nothing says how it is undone: add `compensate`"


READ_FIRST = """
  get: {effect: read_only}
  put:
    effect: compensatable
    compensate: {tool: put, before: {tool: get}, with: {id: args.id, text: before.text}}
"""


def test_arguments_of_a_read_are_not_derived_for_a_tool_that_is_not_known() -> None:
    told = "the arguments of get are not known (the tools are not known): add `before.with`"
    put = spec("put", "id", "text")
    assert policy(READ_FIRST).plan("put", put).no_undo == told
    both = policy(READ_FIRST, ToolRegistry([spec("get", "id"), put]))
    assert both.plan("put", None).no_undo == told
    assert both.plan("put", put).no_undo == ""


def test_what_a_read_lacks_is_told_in_order() -> None:
    put = spec("put", "id", "text")
    registry = ToolRegistry([spec("get", *NAMES), put])
    assert policy(READ_FIRST, registry).plan("put", put).no_undo == (
        f"nothing is called {', '.join(sorted(NAMES))}, as get needs: add `before.with`"
    )


SECRET = """version: 1
tools:
  t:
    effect: compensatable
    speculate: now
    redact: [args.id]
    compensate: {tool: u, with: {id: args.id}}
"""


def test_only_a_journal_that_keeps_secrets_lets_a_redacted_undo_run_early(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(SECRET)
    call = Call(tool="t", args={"id": "1"})
    for read in (lambda **more: loads(SECRET, **more), lambda **more: load(path, **more)):
        assert read(keeps_secrets=True).explain(call).speculate == "now"
        assert read(keeps_secrets=False).explain(call).speculate == "never"
        # Whoever says nothing has no key.
        assert read().explain(call).speculate == "never"
    compiled = loads(SECRET).compiled
    assert plan(compiled, "t", None, None, registered=True).redaction
    assert not plan(compiled, "t", None, None, registered=True, keeps_secrets=True).redaction


def test_a_redacted_field_called_result_is_told_by_its_name() -> None:
    text = READ_FIRST.replace("read_only}", "read_only, redact: [result.result]}")
    text = text.replace("tool: get}", "tool: get, with: {}}").replace("before.text", "before.result")
    put = spec("put", "id", "text")
    assert policy(text).plan("put", put).redaction.startswith("its undo needs before.result, ")
