"""The effect classes: how much harm a wrong early run of a tool can do."""

from __future__ import annotations

from enum import StrEnum


class EffectClass(StrEnum):
    """What a tool may do to the world, from harmless to forbidden."""

    READ_ONLY = "read_only"
    COMPENSATABLE = "compensatable"
    CONFIRMATION_REQUIRED = "confirmation_required"
    DENY = "deny"

    @property
    def strictness(self) -> int:
        """Position in the lattice, 0 (read_only) to 3 (deny); larger is stricter."""
        return _ORDER[self]

    @property
    def writes(self) -> bool:
        """Whether a call of this class may change the world."""
        return self is not EffectClass.READ_ONLY


_ORDER = {kind: position for position, kind in enumerate(EffectClass)}


def strictest(*kinds: EffectClass) -> EffectClass:
    """The least upper bound of `kinds`; of none at all, confirmation_required (silence means no)."""
    if not kinds:
        return EffectClass.CONFIRMATION_REQUIRED
    return max(kinds, key=lambda kind: kind.strictness)
