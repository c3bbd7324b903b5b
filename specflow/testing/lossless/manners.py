"""The policy of a generated run: the real settings of every tool, as its manner says."""

from __future__ import annotations

from collections.abc import Mapping

from specflow.effects.annotate import Annotation
from specflow.effects.kind import EffectClass
from specflow.policy.settings import Before, Budgets, Expression, Match, ToolSettings, Undo, Verify
from specflow.policy.verdict import Asking, Speculate
from specflow.settlement.stored import compile_stored
from specflow.testing.lossless.case import Case, Manner
from specflow.testing.lossless.kinds import KINDS, Kind
from specflow.testing.static_judge import Rule, StaticJudge

TTLESS = Manner()
LOOSE = Match(mode="normalised", fields={"cell": "upper"}, ignore=frozenset({"note"}))
KEY = "request"
"""The parameter that takes the idempotency key, where the manner says that there is one."""


def policy(case: Case) -> StaticJudge:
    """The policy that the case's manners make."""
    rules = {name: rule(kind, case.manners.get(name, TTLESS)) for name, kind in KINDS.items()}
    return StaticJudge(rules, budgets=Budgets(max_concurrent=case.at_once))


def rule(kind: Kind, manner: Manner) -> Rule:
    """What the policy says about one tool."""
    effect = kind.effect
    if manner.strict:
        effect = EffectClass.DENY if manner.strict == "deny" else EffectClass.CONFIRMATION_REQUIRED
    allowed = effect in {EffectClass.READ_ONLY, EffectClass.COMPENSATABLE}
    early = Speculate.NOW if manner.early else Speculate.HOLD
    return Rule(
        effect=effect,
        speculate=early if allowed else Speculate.NEVER,
        min_confidence=manner.min_confidence,
        predictors=manner.predictors,
        confirm=Asking.ASK,
        settings=settings(kind, manner),
    )


def settings(kind: Kind, manner: Manner) -> ToolSettings:
    """How the core runs one tool."""
    reads, writes = _footprint(kind.reads, manner), _footprint(kind.writes, manner)
    if kind.writes and not kind.effect.writes:
        writes = kind.writes  # hidden state is declared, or nobody can know of it
        # What declares only what it writes is taken to read nothing else, once the policy calls it a write.
        reads = kind.reads if manner.strict else reads
    keyed, verify = (
        manner.keyed and kind.effect.writes,
        _verify(kind) if manner.verified and kind.verify else None,
    )
    # A loop whose every step takes time is slow for minutes where guesses come in floods. What is given up
    # for that, and cannot be asked after, may stand and is stuck, which is said: no guess has gone wrong.
    unanswerable = kind.effect.writes and not keyed and verify is None
    return ToolSettings(
        timeout=3_600.0 if unanswerable else None,
        match=LOOSE if manner.loose and "cell" in kind.takes else Match(),
        reads=reads,
        writes=writes if kind.writes else None,
        ttl=manner.ttl,
        scope=manner.scope,
        max_concurrent=manner.at_once,
        idempotency_key=KEY if keyed else "",
        undo=_undo(kind) if manner.undo and kind.undo else None,
        verify=verify,
    )


def annotation(kind: Kind) -> Annotation:
    """What the source of the tool would say."""
    return Annotation(effect=kind.effect, undo=kind.undo, not_done=kind.not_done)


def _footprint(templates: tuple[str, ...], manner: Manner) -> tuple[str, ...] | None:
    if manner.footprint == "none":
        return None
    if manner.footprint == "wide":
        return tuple(f"{template.split(':')[0]}:*" for template in templates)
    return templates


def _undo(kind: Kind) -> Undo:
    before = None
    if kind.before:
        asked = {name: compile_stored(f"args.{name}") for name in kind.asked}
        before = Before(tool=kind.before, arguments=asked)
    return Undo(
        tool=kind.undo,
        arguments=_compiled(kind.back),
        before=before,
        tolerates_missing=kind.tolerant,
    )


def _verify(kind: Kind) -> Verify:
    return Verify(tool=kind.verify, arguments=_compiled({"area": "args.area", "key": "key"}))


def _compiled(texts: Mapping[str, str]) -> dict[str, Expression]:
    return {name: compile_stored(text) for name, text in texts.items()}
