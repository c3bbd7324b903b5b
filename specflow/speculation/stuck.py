"""What is known of an early effect that came to no certain end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """An early effect of which nobody can tell whether it happened."""

    tool: str
    effect_id: str
