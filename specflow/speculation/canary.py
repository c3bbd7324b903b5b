"""A share of conversations that specflow runs ahead of; the others are only watched, to compare."""

from __future__ import annotations

from dataclasses import dataclass

from specflow.effects.call import digest
from specflow.errors import ConfigurationError

CANARY, CONTROL = "canary", "control"
"""The groups, as events and metrics name them; without a canary there are none."""

_BUCKETS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """`share` (0 to 1) of all conversations, told by a hash of tenant and thread: the same in every process.

    A conversation without a thread lasts for one run, and is told by that.
    """

    share: float

    def group(self, tenant: str, thread: str, run: str) -> str:
        """The group of a conversation."""
        bucket = int(digest("canary", tenant, thread, run)[:16], 16) % _BUCKETS
        return CANARY if bucket < self.share * _BUCKETS else CONTROL


def canary_of(mode: str) -> Canary | None:
    """`canary:10%` as it is written; None for another mode.

    Raises:
        ConfigurationError: there is no percentage in it.
    """
    if not mode.startswith("canary:"):
        return None
    text = mode.removeprefix("canary:").removesuffix("%")
    whole, _, part = text.partition(".")
    if not (whole.isdecimal() and (part.isdecimal() or text == whole)) or float(text) > 100:
        raise ConfigurationError(f"mode {mode!r} has no percentage", hint="for example canary:10%")
    return Canary(share=float(text) / 100)
