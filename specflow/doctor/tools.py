"""Each tool: its class, early or held, why, in words, and the line that would change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.graph.remark import Level, Remark
from specflow.policy.settings import Judge
from specflow.policy.verdict import Asking, Speculate, Verdict

AREA = "tool"
_UNSAID = "default"
_BY_DESIGN = frozenset({"declared", "annotated", "hinted", "never_early", "speculate", _UNSAID})
"""Reasons that are somebody's word about the tool, and nothing to mend."""

_PLAIN = _BY_DESIGN - {"speculate"}
"""Of these, what the class says already."""

_OF_TYPE: Mapping[str, Any] = {
    "string": "x",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
}


def of_tool(tool: ToolSpec, judge: Judge, context: Mapping[str, Any]) -> Remark:
    """The verdict on an ordinary call of it, in words."""
    call = tool.call(_usual(tool))
    verdict = judge.judge(tool, call, context=context)
    said = {reason.code: reason.message for reason in verdict.reasons}
    found = f"{verdict.effect}, {_when(verdict)}"
    if verdict.speculate is Speculate.NOW:
        tainted = judge.judge(tool, call, context=context, tainted=True)
        if tainted.speculate is not Speculate.NOW:
            return _remark(
                tool,
                Level.OK,
                f"{found}; not with arguments out of a tool's result: nothing says where they may go",
                f"tools: {{{tool.name}: {{destinations: {{host: [api.example.com]}}}}}}",
            )
        return _remark(tool, Level.OK, found, "")
    mend = _mend(tool, said, verdict)
    why = "; ".join(
        message for code, message in said.items() if code not in {"declared", "annotated", _UNSAID}
    )
    level = Level.OK if set(said) <= _BY_DESIGN or not mend else Level.WARNING
    if level is Level.OK and verdict.effect is EffectClass.COMPENSATABLE and _UNSAID in said:
        mend = (
            f"tools: {{{tool.name}: {{speculate: now, min_confidence: 0.9}}}}, if an early call may be undone"
        )
    return _remark(tool, level, f"{found}{f' ({why})' if why else ''}", mend)


def _when(verdict: Verdict) -> str:
    if verdict.speculate is Speculate.NOW:
        who = (
            "" if verdict.predictors is None else f", by {', '.join(sorted(verdict.predictors)) or 'nobody'}"
        )
        return f"early from confidence {verdict.min_confidence:g}{who}"
    if verdict.effect is EffectClass.DENY:
        return "refused"
    if verdict.effect is EffectClass.CONFIRMATION_REQUIRED:
        asks = verdict.confirm is Asking.ASK
        return "held: a person is asked first" if asks else "held: runs when the real run calls it"
    return "prepared, and held until the real run calls it" if verdict.effect.writes else "held"


def _mend(tool: ToolSpec, said: Mapping[str, str], verdict: Verdict) -> str:
    """What would let it run early, where that is for somebody to say; empty where it is as it was meant."""
    name = tool.name if tool.origin is None else f'"{tool.origin}"'
    lines = {
        "unlisted": f"tools: {{{name}: {{effect: read_only}}}} if it changes nothing; if it does, "
        "compensatable with its undo, or confirmation_required",
        "proposed": f"look at it, then tools: {{{name}: {{reviewed: {tool.schema_hash}}}}}",
        "schema_changed": f"look at it again, then tools: {{{name}: {{reviewed: {tool.schema_hash}}}}}",
        "annotation_floor": f"tools: {{{name}: {{reviewed: {tool.schema_hash}}}}}, or change the annotation",
        "hint_floor": f"tools: {{{name}: {{reviewed: {tool.schema_hash}}}}}, if its server is wrong about it",
        "injected": "let it take what it needs as ordinary arguments",
        "redacted": "set SPECFLOW_JOURNAL_KEY (specflow db new-key), or redact less",
        "no_undo": f"tools: {{{name}: {{compensate: {{tool: ..., with: {{...: result...}}}}}}}}",
        "no_version": f"class the tool that tells versions of {name} as read_only",
        "private": f"tools: {{{name}: {{destinations: {{host: [api.example.com]}}}}}}",
        "unregistered": f"give {name} to Runtime(tools=[...])",
        "error": "see the policy's conditions: specflow policy explain",
    }
    found = next((line for code, line in lines.items() if code in said), "")
    if found:
        return found
    rules = sorted(set(said) - _BY_DESIGN)
    if rules and verdict.effect.strictness < EffectClass.CONFIRMATION_REQUIRED.strictness:
        return f"it depends on the arguments ({', '.join(rules)}): specflow policy explain FILE --call ..."
    return ""


def _usual(tool: ToolSpec) -> dict[str, Any]:
    """Arguments as they might be: without any, conditions and undos would lack what they read."""
    made = {}
    for name, schema in tool.properties.items():
        if "default" in schema:
            made[name] = schema["default"]
        elif schema.get("enum"):
            made[name] = schema["enum"][0]
        else:
            kinds = [schema, *schema.get("anyOf", ())]
            kind = next((one["type"] for one in kinds if isinstance(one.get("type"), str)), "string")
            made[name] = _OF_TYPE.get(kind)
    return made


def _remark(tool: ToolSpec, level: Level, found: str, mend: str) -> Remark:
    return Remark(area=AREA, subject=tool.name, level=level, found=found, mend=mend)
