"""In what ways one verdict permits more than another."""

from __future__ import annotations

from specflow.effects.kind import EffectClass
from specflow.policy.verdict import Speculate, Verdict

KINDS = {
    "early": "runs early",
    "unconfirmed": "runs without confirmation",
    "permitted": "is not denied",
    "unasked": "is not asked about by specflow",
    "held": "is prepared ahead (hold)",
    "confidence": "runs early on a weaker guess",
    "predictors": "may be started early by more predictors",
}
"""What a kind of loosening means, the gravest first."""


def looser(new: Verdict, old: Verdict) -> frozenset[str]:
    """The kinds of `KINDS` in which `new` permits more than `old`."""
    found = {
        "early": new.speculate is Speculate.NOW and old.speculate is not Speculate.NOW,
        "unconfirmed": _waits(old) and not _waits(new),
        "permitted": old.effect is EffectClass.DENY and new.effect is EffectClass.CONFIRMATION_REQUIRED,
        "unasked": old.effect is EffectClass.CONFIRMATION_REQUIRED
        and new.effect is EffectClass.CONFIRMATION_REQUIRED
        and (new.confirm, old.confirm) == ("host", "ask"),
        "held": old.speculate is Speculate.NEVER and new.speculate is Speculate.HOLD,
        "confidence": _both_early(new, old) and new.min_confidence < old.min_confidence,
        "predictors": _both_early(new, old) and not _within(new.predictors, old.predictors),
    }
    return frozenset(kind for kind, is_so in found.items() if is_so)


def _waits(verdict: Verdict) -> bool:
    return verdict.effect.strictness >= EffectClass.CONFIRMATION_REQUIRED.strictness


def _both_early(new: Verdict, old: Verdict) -> bool:
    return new.speculate is Speculate.NOW and old.speculate is Speculate.NOW


def _within(some: frozenset[str] | None, all_of: frozenset[str] | None) -> bool:
    """Whether `some` are among `all_of`; None is everybody."""
    return all_of is None or (some is not None and some <= all_of)
