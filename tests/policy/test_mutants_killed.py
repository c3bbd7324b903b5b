"""Each of these fails for a small fault in the judge that no other test noticed (`tests/nightly/mutate.py`)."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

from typing import Any

import pytest

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.policy import Policy, judge, loads
from specflow.policy.load import survey
from specflow.policy.verdict import Verdict

WRONG_HASH = "0" * 64


def policy(tools: str, top: str = "") -> Policy:
    return loads(f"version: 1\n{top}\ntools:\n{tools}\n")


def ask(found: Policy, name: str = "t", args: Any = None, **options: Any) -> Verdict:
    tool = options.pop("tool", ToolSpec(name=name))
    return found.judge(tool, Call(tool=name, args=args or {}), context=options.pop("context", {}), **options)


def messages(verdict: Verdict) -> dict[str, str]:
    return {reason.code: reason.message for reason in verdict.reasons}


def places(verdict: Verdict) -> dict[str, str]:
    return {reason.code: reason.where for reason in verdict.reasons}


def annotated(effect: EffectClass, **more: Any) -> ToolSpec:
    return ToolSpec(name="t", annotation=Annotation(effect=effect), **more)


# Who asks


def test_a_tool_that_says_ask_is_asked_about() -> None:
    assert ask(policy("  t: {effect: confirmation_required, confirm: ask}")).confirm == "ask"
    both = policy("  t: {effect: confirmation_required, confirm: ask}\n  '*': {confirm: host}")
    assert ask(both).confirm == "ask"


@pytest.mark.parametrize("entry", ["{status: proposed}", f"{{reviewed: '{WRONG_HASH}'}}"])
def test_a_tool_that_somebody_looked_at_is_not_unlisted(entry: str) -> None:
    assert ask(policy(f"  t: {entry}")).confirm == "ask"
    assert ask(policy("  t: {timeout: 1s}")).confirm == "host"


def test_a_rule_that_raises_the_effect_of_an_unlisted_tool_asks() -> None:
    rule = "{id: r, when: 'true', require: {effect: confirmation_required}}"
    assert ask(policy(f"  '*': {{rules: [{rule}]}}")).confirm == "ask"
    assert (
        ask(policy("  '*': {rules: [{id: r, when: 'true', require: {speculate: never}}]}")).confirm == "host"
    )


# What is declared


def test_a_floor_counts_where_annotations_are_not_trusted() -> None:
    found = policy("  t: {effect: read_only}", "defaults: {trust_annotations: false}")
    verdict = ask(found, tool=annotated(EffectClass.COMPENSATABLE))
    assert verdict.effect == "compensatable"
    tool = annotated(EffectClass.COMPENSATABLE)
    assert messages(verdict)["annotation_floor"] == (
        "the policy says read_only, the Python source compensatable; to loosen it, add "
        f"`reviewed: {tool.schema_hash}`"
    )
    assert places(verdict)["annotation_floor"] == "<text>:4:3"


def test_what_equals_the_floor_is_simply_declared() -> None:
    verdict = ask(policy("  t: {effect: read_only}"), tool=annotated(EffectClass.READ_ONLY))
    assert messages(verdict)["declared"] == "declared read_only"
    assert "annotation_floor" not in messages(verdict)


def test_a_proposal_is_no_review_when_the_tool_is_not_known() -> None:
    verdict = policy("  t: {effect: read_only, status: proposed}").explain(Call(tool="t"))
    assert verdict.effect == "confirmation_required"
    assert messages(verdict)["proposed"] == "it is proposed, nobody has reviewed it"


def test_a_review_of_another_schema_says_so() -> None:
    verdict = ask(policy(f"  t: {{effect: read_only, reviewed: '{WRONG_HASH}'}}"))
    assert messages(verdict)["schema_changed"] == "its schema changed after it was reviewed"
    assert places(verdict)["schema_changed"] == "<text>:4:3"


def test_long_names_are_cut_where_they_are_told() -> None:
    name = "n" * 100
    cut = "n" * 80
    assert messages(ask(policy("  x: {effect: deny}"), name))["unlisted"] == (
        f"nothing says what '{cut}' may do, so it is confirmation_required"
    )
    found = policy("  '*': {effect: read_only}")
    assert messages(ask(found, name, {"u": "http://a.example"}))["private"].endswith(f" to tools.{cut}")
    assert messages(ask(found, name, tainted=True))["tainted"].endswith(f" to tools.{cut}")


# Rules


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{effect: deny, min_confidence: 0.5, confirm: ask}", "requires deny, confidence 0.5, asking"),
        ("{speculate: hold}", "requires hold"),
        ("{confirm: ask}", "requires asking"),
        ("{min_confidence: 0}", "requires nothing"),
    ],
)
def test_what_a_rule_requires_is_told(body: str, told: str) -> None:
    found = policy(f"  t: {{effect: read_only, rules: [{{id: r, when: args.a == 1, require: {body}}}]}}")
    assert messages(ask(found, args={"a": 1}))["r"] == told
    assert messages(ask(found))["r"] == (
        f"{told}, because its condition cannot be evaluated: the field 'a' is missing"
    )


@pytest.mark.parametrize(("said", "required"), [("hold", "never"), ("never", "hold"), ("now", "hold")])
def test_the_stricter_of_what_is_said_and_required(said: str, required: str) -> None:
    rule = f"{{id: r, when: 'true', require: {{speculate: {required}}}}}"
    verdict = ask(policy(f"  t: {{effect: read_only, speculate: {said}, rules: [{rule}]}}"))
    assert verdict.speculate == max(said, required, key=["now", "hold", "never"].index)


@pytest.mark.parametrize("word", ["now", "hold"])
def test_an_allow_that_loosens_nothing_asks_for_nothing(word: str) -> None:
    rule = f"{{id: r, when: 'true', allow: {{speculate: {word}, min_confidence: 0.95}}}}"
    verdict = ask(policy(f"  t: {{effect: read_only, speculate: {word}, rules: [{rule}]}}"))
    assert (verdict.speculate, verdict.min_confidence) == (word, 0.6)
    assert "r" not in messages(verdict)


# Several entries


def test_the_highest_confidence_of_several_entries_is_needed() -> None:
    found = policy("  t: {effect: read_only, min_confidence: 0.2}\n  '*': {min_confidence: 0.9}")
    assert ask(found).min_confidence == 0.9


def test_a_pattern_that_classes_a_tool_has_the_usual_opinion_about_when() -> None:
    undo = "compensate: {tool: x, with: {id: args.id}}"
    found = policy(
        f"  t: {{effect: compensatable, speculate: now, {undo}}}\n  '*': {{effect: compensatable}}"
    )
    assert ask(found, args={"id": 1}).speculate == "hold"
    alone = policy(f"  t: {{effect: compensatable, speculate: now, {undo}}}\n  '*': {{timeout: 1s}}")
    assert ask(alone, args={"id": 1}).speculate == "now"


def test_an_entry_that_only_allows_is_heard() -> None:
    rule = "{id: r, when: 'true', allow: {speculate: now}}"
    tool = annotated(EffectClass.COMPENSATABLE)
    undo = "compensate: {tool: x, with: {id: args.id}}"
    verdict = ask(policy(f"  t: {{{undo}, rules: [{rule}]}}"), args={"id": 1}, tool=tool)
    assert (verdict.speculate, messages(verdict)["r"]) == ("now", "allows now")
    assert ask(policy(f"  t: {{{undo}}}"), args={"id": 1}, tool=tool).speculate == "hold"


def test_an_entry_that_only_asks_for_confidence_is_heard() -> None:
    verdict = ask(policy("  t: {min_confidence: 0.9}"), tool=annotated(EffectClass.READ_ONLY))
    assert verdict.min_confidence == 0.9


def test_where_no_entry_says_when_the_default_is_told() -> None:
    verdict = ask(policy("  t: {timeout: 1s}"), tool=annotated(EffectClass.READ_ONLY))
    assert messages(verdict)["default"] == "read_only is now where nothing else is said"


def test_every_declaration_must_name_where_tainted_values_may_go() -> None:
    named = "effect: read_only, destinations: {host: a.example}"
    found = policy(f"  t: {{{named}}}\n  '*': {{destinations: {{host: '*'}}}}")
    assert ask(found, tainted=True).speculate == "hold"
    assert ask(policy(f"  t: {{{named}}}"), tainted=True).speculate == "now"


# What keeps a call from running early


def test_a_redacted_undo_says_so() -> None:
    entry = (
        "effect: compensatable, speculate: now, redact: [args.id], compensate: {tool: x, with: {id: args.id}}"
    )
    verdict = ask(policy(f"  t: {{{entry}}}"), args={"id": 1})
    assert verdict.speculate == "never"
    assert messages(verdict)["redacted"]


def test_injected_parameters_are_told_in_order() -> None:
    names = frozenset(f"state_{letter}" for letter in "abcdefgh")
    verdict = ask(policy("  t: {effect: read_only}"), tool=ToolSpec(name="t", injected=names))
    assert messages(verdict)["injected"] == f"it takes state of the real run ({', '.join(sorted(names))})"


def test_no_more_than_twenty_places_are_told() -> None:
    args = {f"a{index}": f"http://h{index}.example/" for index in range(30)}
    verdict = ask(policy("  t: {effect: read_only}"), args=args)
    assert len(verdict.withheld) == 20


# When judging itself fails


def test_a_judge_that_fails_is_as_strict_as_for_an_unlisted_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object) -> Verdict:
        raise RuntimeError("secret")

    monkeypatch.setattr(judge._Judgement, "verdict", broken)
    found = policy("  t: {effect: read_only}", "defaults: {unlisted_tools: deny}")
    verdict = ask(found)
    assert (verdict.effect, verdict.speculate, verdict.min_confidence) == ("deny", "never", 1.0)
    assert verdict.confirm == "ask"
    # A replay has to know what was judged, also when judging failed.
    assert (verdict.policy_hash, verdict.schema_hash) == (found.hash, ToolSpec(name="t").schema_hash)
    assert messages(verdict) == {"error": "the call cannot be judged (RuntimeError)"}
    assert ask(policy("  t: {effect: read_only}")).effect == "confirmation_required"


def test_no_file_at_all_is_a_finding_without_a_place() -> None:
    (finding,) = survey([]).findings
    assert (finding.file, finding.line, finding.column) == ("<none>", 0, 0)
