"""What must hold for every policy and every call, whatever is in them."""

# ruff: noqa: E501 - tables of policies and calls read best with a case per line

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass, strictest
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import load, loads
from specflow.policy.explain import as_dict
from specflow.policy.policy import Policy
from specflow.policy.verdict import Speculate, Verdict

EFFECTS = [str(kind) for kind in EffectClass]
# True, false, missing field, wrong type, no bool, division by zero: over args that hold some of a, b, s.
CONDITIONS = [
    "true", "false", "args.a > 1", "args.a <= 1", "args.missing == 1", "args.s > 3", "args.a", "1 / args.zero > 1",
    'args.s == "x"', "context.role == 'agent'", "has(args.a) && args.a > 3", "args.missing || true",
]  # fmt: skip
TOOLS = ["book", "search", "mcp:x/one", "other"]
PATTERNS = ["book", "search", "mcp:x/*", "*", "b*"]

conditions = st.sampled_from(CONDITIONS)
requires = st.fixed_dictionaries(
    {},
    optional={
        "effect": st.sampled_from(EFFECTS),
        "speculate": st.sampled_from(["hold", "never"]),
        "min_confidence": st.sampled_from([0.1, 0.7, 0.95]),
        "confirm": st.just("ask"),
    },
).filter(bool)
allows = st.fixed_dictionaries(
    {"speculate": st.sampled_from(["now", "hold"])}, optional={"min_confidence": st.sampled_from([0.0, 0.8])}
)
rule_bodies = st.one_of(
    st.builds(lambda body: {"require": body}, requires), st.builds(lambda body: {"allow": body}, allows)
)


@st.composite
def rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    bodies = draw(st.lists(rule_bodies, max_size=5))
    made = []
    for index, body in enumerate(bodies):
        rule = {"id": f"r{index}", "when": draw(conditions), **body}
        if draw(st.booleans()):
            rule["unless"] = draw(conditions)
        made.append(rule)
    return made


entries = st.fixed_dictionaries(
    {"rules": rules()},
    optional={
        "effect": st.sampled_from(EFFECTS),
        "speculate": st.sampled_from(["now", "hold", "never"]),
        "confirm": st.sampled_from(["ask", "host"]),
        "status": st.just("proposed"),
        "min_confidence": st.sampled_from([0.2, 0.9]),
        "predictors": st.lists(st.sampled_from(["draft", "partial_call", "sniffer"]), unique=True),
        "compensate": st.just({"tool": "other", "with": {"a": "args.a"}}),
        "destinations": st.just({"host": "api.example"}),
    },
)
defaults = st.fixed_dictionaries(
    {},
    optional={
        "unlisted_tools": st.sampled_from(["deny", "confirmation_required"]),
        "confirm_unlisted": st.sampled_from(["ask", "host"]),
        "trust_annotations": st.booleans(),
        "speculation": st.fixed_dictionaries({}, optional={"min_confidence": st.sampled_from([0.3, 0.99])}),
    },
)
documents = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "defaults": defaults,
        "tools": st.dictionaries(st.sampled_from(PATTERNS), entries, max_size=4),
    }
)
calls = st.builds(
    Call,
    tool=st.sampled_from(TOOLS),
    args=st.fixed_dictionaries(
        {},
        optional={
            "a": st.sampled_from([0, 2, 5, "x", None]),
            "s": st.sampled_from(["x", "http://h.example/"]),
            "zero": st.just(0),
        },
    ),
)
contexts = st.sampled_from([{}, {"role": "agent"}, {"role": 3}])
annotations = st.sampled_from([None, *(Annotation(effect=kind) for kind in EffectClass)])


def text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1) + "\n"


def policy(document: dict[str, Any]) -> Policy:
    return loads(text(document))


def spec(call: Call, annotation: Annotation | None) -> ToolSpec:
    return ToolSpec(name=call.tool, annotation=annotation)


def meaning(verdict: Verdict) -> Any:
    """The verdict without positions, which are allowed to differ, and without the policy's hash."""
    reasons = frozenset((reason.code, reason.message) for reason in verdict.reasons)
    return replace(verdict, reasons=verdict.reasons[:1], policy_hash=""), reasons


def plain(verdict: Verdict) -> Any:
    found, reasons = meaning(verdict)
    return {
        **{
            name: getattr(found, name)
            for name in ("effect", "speculate", "min_confidence", "confirm", "predictors", "withheld")
        },
        "reasons": reasons,
    }


def tighter_or_equal(new: Verdict, old: Verdict) -> bool:
    return (
        new.effect.strictness >= old.effect.strictness
        and new.speculate.strictness >= old.speculate.strictness
        and (new.speculate is not Speculate.NOW or new.min_confidence >= old.min_confidence)
        and (old.confirm == "host" or new.confirm == "ask")
    )


def without(document: dict[str, Any], kind: str) -> dict[str, Any]:
    tools = {
        name: {**entry, "rules": [rule for rule in entry["rules"] if kind not in rule]}
        for name, entry in document["tools"].items()
    }
    return {**document, "tools": tools}


@given(documents, calls, contexts, annotations, st.booleans())
def test_never_looser_than_declared(
    document: Any, call: Call, context: Any, annotation: Any, tainted: bool
) -> None:
    found = policy(document)
    verdict = found.judge(spec(call, annotation), call, context=context, tainted=tainted)
    names = {entry.pattern for entry in found.compiled.entries_for(call.tool)}
    said = [
        EffectClass(document["tools"][name]["effect"])
        for name in names
        if "effect" in document["tools"][name]
    ]
    if annotation is not None and document["defaults"].get("trust_annotations", True):
        said.append(annotation.effect)
    assert verdict.effect.strictness >= strictest(*said).strictness
    if verdict.effect.strictness >= EffectClass.CONFIRMATION_REQUIRED.strictness:
        assert verdict.speculate is Speculate.NEVER
    assert verdict.reasons
    assert verdict.policy_hash == found.hash


@given(documents, calls, contexts)
def test_rule_order_is_irrelevant(document: Any, call: Call, context: Any) -> None:
    turned = {
        **document,
        "tools": {
            name: {**entry, "rules": entry["rules"][::-1]}
            for name, entry in reversed(document["tools"].items())
        },
    }
    one, other = policy(document), policy(turned)
    assert plain(one.judge(spec(call, None), call, context=context)) == plain(
        other.judge(spec(call, None), call, context=context)
    )
    assert one.hash == other.hash


@given(documents, documents, calls, annotations)
@settings(max_examples=60)
def test_file_order_is_irrelevant_and_no_file_loosens_another(
    tmp_path_factory: Any, one: Any, two: Any, call: Call, annotation: Any
) -> None:
    folder = tmp_path_factory.mktemp("files")
    first, second = folder / "a.yaml", folder / "b.yaml"
    first.write_text(text(one))
    second.write_text(text(two))
    tool = spec(call, annotation)
    context = {"role": "agent"}
    both, turned = load([first, second]), load([second, first])
    verdict = both.judge(tool, call, context=context)
    assert verdict == turned.judge(tool, call, context=context)
    assert both.hash == turned.hash
    # A file may class a tool that another leaves unlisted; it may not loosen what another says of a tool.
    for alone in (load(first), load(second)):
        if any(entry.effect or entry.proposed for entry in alone.compiled.entries_for(call.tool)):
            single = alone.judge(tool, call, context=context)
            assert verdict.effect.strictness >= single.effect.strictness
            if single.speculate is Speculate.NEVER:
                assert verdict.speculate is Speculate.NEVER


@given(documents, calls, contexts, annotations)
def test_adding_a_require_never_loosens(document: Any, call: Call, context: Any, annotation: Any) -> None:
    tool = spec(call, annotation)
    with_all = policy(document).judge(tool, call, context=context)
    without_requires = policy(without(document, "require")).judge(tool, call, context=context)
    assert tighter_or_equal(with_all, without_requires)


@given(documents, calls, contexts, annotations)
@example(  # a rule that loosens nothing asks for no more confidence either
    {
        "version": 1,
        "defaults": {},
        "tools": {
            "book": {"rules": [{"id": "r0", "when": "true", "allow": {"speculate": "now"}}]},
            "*": {"effect": "read_only", "min_confidence": 0.2, "rules": []},
        },
    },
    Call(tool="book"),
    {},
    None,
)
def test_adding_an_allow_never_changes_the_effect(
    document: Any, call: Call, context: Any, annotation: Any
) -> None:
    tool = spec(call, annotation)
    with_all = policy(document).judge(tool, call, context=context)
    without_allows = policy(without(document, "allow")).judge(tool, call, context=context)
    assert with_all.effect is without_allows.effect
    assert tighter_or_equal(without_allows, with_all)


@given(documents, calls, annotations)
def test_an_evaluation_error_never_widens(document: Any, call: Call, annotation: Any) -> None:
    """# INVARIANT: every condition failing gives no more than the strictest way they could have come out."""
    tool = spec(call, annotation)
    unreadable = Call(tool=call.tool, args={**call.args, "more": 2**70})
    broken = policy(document).judge(tool, unreadable, context={})
    tools = {
        name: {
            **entry,
            "rules": [
                {name: value for name, value in {**rule, "when": "true"}.items() if name != "unless"}
                for rule in entry["rules"]
                if "require" in rule
            ],
        }
        for name, entry in document["tools"].items()
    }
    strictest_of_all = policy({**document, "tools": tools}).judge(tool, call, context={})
    assert tighter_or_equal(broken, strictest_of_all)
    assert tighter_or_equal(strictest_of_all, broken)


@given(documents, calls, contexts, annotations, st.booleans())
def test_explain_reproduces_the_verdict(
    document: Any, call: Call, context: Any, annotation: Any, tainted: bool
) -> None:
    tool = spec(call, annotation)
    found = loads(text(document))
    verdict = found.judge(tool, call, context=context, tainted=tainted)
    again = loads(text(document)).explain(call, tool=tool, context=context, tainted=tainted)
    assert again == verdict
    assert json.loads(json.dumps(as_dict(call, verdict)))["effect"] == verdict.effect


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(), json_values, max_size=5), st.text(), st.dictionaries(st.text(), json_values)
)
def test_judging_is_total(args: Any, name: str, context: Any) -> None:
    found = loads(
        text(
            {
                "version": 1,
                "tools": {
                    "*": {
                        "effect": "read_only",
                        "rules": [{"id": "r", "when": "args.x > 1", "require": {"effect": "deny"}}],
                    }
                },
            }
        )
    )
    try:
        call = Call(tool=name, args=args)
    except Exception:
        return
    verdict = found.judge(ToolSpec(name=name), call, context=context)
    assert verdict.reasons
    assert found.judge(ToolSpec(name=name), call, context=context) == verdict


@given(documents, calls)
def test_what_is_not_registered_never_runs(document: Any, call: Call) -> None:
    found = loads(text(document), tools=None)
    verdict = found.judge(None, call, context={})
    assert verdict.effect.strictness >= EffectClass.CONFIRMATION_REQUIRED.strictness
    found.tools = ToolRegistry([])
    assert found.explain(call).speculate is Speculate.NEVER
