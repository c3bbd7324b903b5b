"""What a span says about a call, a candidate or a verdict: attributes, built only for spans that record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from specflow.effects.call import Call
from specflow.journal.event import CallEvent
from specflow.policy.verdict import Verdict
from specflow.prediction.candidate import Candidate
from specflow.telemetry import names
from specflow.telemetry.content import Content, error_type, seconds

Attributes = dict[str, AttributeValue]
_TIMES = {"saved": names.SAVED, "wasted": names.WASTED, "runway": names.RUNWAY}


def of_call(call: Call, content: Content) -> Attributes:
    """The tool's name, the keyed hash of the arguments, and the arguments if they may be shown."""
    found: Attributes = {names.TOOL: names.shown(call.tool), names.ARGS_HASH: content.args_hash(call)}
    text = content.arguments(call)
    if text is not None:
        found[names.GEN_AI_TOOL_CALL_ARGUMENTS] = text
    return found


def of_candidate(candidate: Candidate) -> Attributes:
    """Who guessed, and how sure it was. The evidence quotes the user and is never exported."""
    found: Attributes = {
        names.PREDICTOR: names.shown(candidate.predictor),
        names.CONFIDENCE: candidate.confidence,
    }
    if candidate.tainted:
        found[names.TAINTED] = True
    return found


def of_branch(event: CallEvent) -> Attributes:
    """What was presumed when it was started, and how likely that was; nothing for the message itself.

    Hypotheses name tools and predictors, never values.
    """
    if not event.parent_id:
        return {}
    odds, depth = event.facts.get("odds"), event.facts.get("depth")
    found: Attributes = {names.BRANCH_ID: event.branch_id, names.BRANCH_PARENT: event.parent_id}
    if isinstance(odds, float) and isinstance(depth, int):
        found[names.BRANCH_ODDS], found[names.BRANCH_DEPTH] = odds, depth
        found[names.BRANCH_PRESUMED] = names.shown(str(event.facts.get("presumed", "")), 256)
    return found


def of_verdict(verdict: Verdict) -> Attributes:
    """What the policy said, and which rules made it say so. Messages may quote arguments: codes only."""
    return {
        names.EFFECT_CLASS: str(verdict.effect),
        names.POLICY_REASONS: [names.shown(reason.code) for reason in verdict.reasons[:16]],
        names.POLICY_HASH: verdict.policy_hash[:12],
    }


def of_ending(event: CallEvent) -> Attributes:
    """Outcome, cause, kind of misfire and times of whatever ended."""
    found: Attributes = {}
    if event.outcome:
        found[names.OUTCOME] = names.shown(event.outcome)
    if event.cause:
        # "retracted: ..." goes on in words, which may quote the model.
        found[names.CAUSE] = names.shown(event.cause.partition(":")[0])
    if event.misfire:
        found[names.MISFIRE] = event.misfire
    for fact, attribute in _TIMES.items():
        value = seconds(event.facts, fact)
        # The core says 0 where there was nothing to save or waste; a runway of 0 says something.
        if value or (value is not None and fact == "runway"):
            found[attribute] = value
    if event.facts.get("patched") or event.cause == "patched":
        found[names.PATCHED] = True
    if event.error:
        found[names.ERROR_TYPE] = error_type(event.error)
    return found


def of_ids(event: CallEvent) -> Attributes:
    """The ids that join spans with each other and with the journal's rows."""
    pairs = {
        names.TURN_ID: event.turn_id,
        names.SPECULATION_ID: event.speculation_id,
        names.CALL_ID: event.call_id,
        names.EFFECT_ID: event.effect_id,
    }
    return of_place(event) | _shown(pairs)


def of_place(event: CallEvent) -> Attributes:
    """The session and the conversation."""
    pairs = {names.SESSION_ID: event.session_id, names.GEN_AI_CONVERSATION_ID: event.thread}
    return _shown(pairs)


def _shown(pairs: Mapping[str, str]) -> Attributes:
    # A lone surrogate cannot be encoded: the exporter would drop the attribute, with a traceback each time.
    return {name: names.shown(value, 256) for name, value in pairs.items() if value}


def of_facts(facts: Mapping[str, Any], wanted: Mapping[str, str]) -> Attributes:
    """Counts and short names among the facts, under the attribute names of `wanted`."""
    found: Attributes = {}
    for fact, attribute in wanted.items():
        value = facts.get(fact)
        if isinstance(value, str) and value:
            found[attribute] = names.shown(value, 128)
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            found[attribute] = value
    return found


def describe(span: Span | None, *parts: Attributes) -> None:
    """Put the attributes on the span."""
    if span is not None:
        for attributes in parts:
            span.set_attributes(attributes)
