"""What must hold for every pair of policy and call."""

from __future__ import annotations

import json
from typing import Any

from policy_variants import Variants
from policy_world import EFFECTS, SPECULATE, UNREADABLE_ARGS, Question, World, expected, matching

from specflow.effects.call import Call
from specflow.policy.explain import as_dict
from specflow.policy.policy import Policy
from specflow.policy.verdict import Verdict


class ViolationError(AssertionError):
    """A property does not hold; says which."""


def check(found: bool, what: str) -> None:
    if not found:
        raise ViolationError(what)


def looser(new: Verdict, old: Verdict) -> str:
    """In what `new` permits more than `old`, or nothing."""
    if new.effect.strictness < old.effect.strictness:
        return f"effect {old.effect} became {new.effect}"
    if new.speculate.strictness < old.speculate.strictness:
        return f"speculate {old.speculate} became {new.speculate}"
    if new.speculate == "now" and new.min_confidence < old.min_confidence:
        return f"confidence {old.min_confidence} became {new.min_confidence}"
    if old.confirm == "ask" and new.confirm != "ask":
        return "nobody asks any more"
    fewer = old.predictors is None or (new.predictors is not None and new.predictors <= old.predictors)
    return "" if fewer or new.speculate != "now" else f"predictors {old.predictors} became {new.predictors}"


def plain(verdict: Verdict) -> Any:
    """Everything about the verdict except positions in files and the order of reasons."""
    reasons = frozenset((reason.code, reason.message) for reason in verdict.reasons)
    return (
        verdict.effect, verdict.speculate, verdict.min_confidence, verdict.confirm, verdict.predictors,
        frozenset(verdict.withheld), verdict.policy_hash, verdict.schema_hash, reasons,
    )  # fmt: skip


def check_pair(world: World, by: Variants, question: Question) -> None:
    """Every property on one policy and one call.

    Raises:
        ViolationError: naming the property that does not hold.
    """
    call, tool = question.call, world.tools[question.call.tool]

    def ask(policy: Policy) -> Verdict:
        return policy.judge(tool, call, context=question.context, tainted=question.tainted)

    verdict = ask(by.whole)
    _check_alone(world, by, question, verdict)
    check(plain(ask(by.shuffled)) == plain(verdict), "order of rules, entries and keys is irrelevant")
    divided = ask(by.divided)
    check(divided == ask(by.divided_turned), "order of files is irrelevant")
    check(not looser(divided, verdict), f"dividing a policy never loosens: {looser(divided, verdict)}")
    required = ask(by.more_require)
    check(not looser(required, verdict), f"adding a require never loosens: {looser(required, verdict)}")
    allowed = ask(by.more_allow)
    check(allowed.effect is verdict.effect, "adding an allow never changes the effect")
    check(allowed.confirm is verdict.confirm, "adding an allow never changes who asks")
    if not by.allow_is_new_opinion:
        check(not looser(verdict, allowed), "adding an allow never tightens")
    broken = ask(by.unreadable_rule)
    check(not looser(broken, verdict), f"a rule that cannot be read never widens: {looser(broken, verdict)}")
    _check_unreadable(world, by, question)


def _check_alone(world: World, by: Variants, question: Question, verdict: Verdict) -> None:
    call, tool = question.call, world.tools[question.call.tool]
    wanted = expected(world, question)
    level = verdict.effect.strictness
    check(level >= wanted.declared, f"never looser than declared {EFFECTS[wanted.declared]}")
    check(level == wanted.effect, f"the effect is {EFFECTS[wanted.effect]}, not {verdict.effect}")
    check(
        verdict.speculate.strictness >= wanted.speculate,
        f"speculate is no looser than {SPECULATE[wanted.speculate]}, and was {verdict.speculate}",
    )
    if verdict.speculate == "now":
        check(verdict.min_confidence == wanted.confidence, f"the confidence is {wanted.confidence}")
        check(not tool.injected, "a tool that takes state of the real run is never early")
        check(
            verdict.effect.writes is False or by.whole.settings(tool).undo is not None,
            "an early write can be undone",
        )
    if level >= EFFECTS.index("confirmation_required"):
        check(verdict.speculate == "never", f"{verdict.effect} is never early")
    check(
        bool(verdict.reasons) and all(reason.code and reason.message for reason in verdict.reasons), "reasons"
    )
    check(_who(verdict, world, call.tool), "every entry agrees with who may start it early")
    check(verdict.policy_hash == by.whole.hash, "the verdict names its policy")
    explained = by.again.explain(call, tool=tool, context=question.context, tainted=question.tainted)
    check(explained == verdict, "explain reproduces the verdict")
    told = json.loads(json.dumps(as_dict(call, explained)))
    check(
        (told["effect"], told["speculate"]) == (verdict.effect, verdict.speculate),
        "explain tells the verdict",
    )
    unknown = by.whole.judge(None, call, context=question.context)
    check(unknown.speculate == "never", "what is not registered is never early")


def _who(verdict: Verdict, world: World, name: str) -> bool:
    said = [world.entries[pattern].get("predictors") for pattern in matching(world, name)]
    lists = [set(predictors) for predictors in said if predictors is not None]
    if not lists:
        return verdict.predictors == (frozenset({"partial_call"}) if verdict.effect.writes else None)
    return verdict.predictors == set.intersection(*lists)


def _check_unreadable(world: World, by: Variants, question: Question) -> None:
    """# INVARIANT: when nothing can be evaluated, the verdict is that of every require and no allow."""
    tool = world.tools[question.call.tool]
    unreadable = Call(tool=question.call.tool, args={**question.call.args, **UNREADABLE_ARGS})
    broken = by.whole.judge(tool, unreadable, context=question.context, tainted=question.tainted)
    least = by.strictest.judge(tool, question.call, context=question.context, tainted=question.tainted)
    check(not looser(broken, least), f"an evaluation error never widens: {looser(broken, least)}")
    wanted = expected(world, question, readable=False)
    check(broken.effect.strictness == wanted.effect, f"with errors everywhere it is {EFFECTS[wanted.effect]}")
    check(broken.speculate.strictness >= wanted.speculate, "an error never makes a call early")
