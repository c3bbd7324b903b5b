"""What asking a draft model has cost."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHARACTERS = 4
"""Characters that a token is taken to have, where the provider has not counted."""

MILLION = 1_000_000
COUNTS = (
    *("asked", "answered", "unknown", "late", "failed"),
    *("input_tokens", "output_tokens", "estimated_tokens"),
)


@dataclass(slots=True)
class Spent:
    """Requests and tokens so far; safe from any thread.

    `asked` requests ended as `answered`, `late` (given up when the time was over) or `failed`; of the
    answered, `unknown` said nothing that can be used. Tokens are the provider's count; `estimated_tokens` of
    them are not: of requests that gave none, and of those given up, which are paid for all the same. Prices
    are USD for a million tokens.
    """

    input_price: float = 0.0
    output_price: float = 0.0
    asked: int = 0
    answered: int = 0
    unknown: int = 0
    late: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    estimated_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def usd(self) -> float:
        """What that costs by the prices."""
        return (self.input_tokens * self.input_price + self.output_tokens * self.output_price) / MILLION

    def begin(self, requests: int) -> None:
        """So many requests are sent."""
        with self._lock:
            self.asked += requests

    def answer(self, usage: Mapping[str, Any] | None, *, prompt: int, written: int, known: bool) -> None:
        """One is answered; `usage` is what the provider has counted, the others are numbers of characters."""
        with self._lock:
            self.answered += 1
            self.unknown += not known
            self._count((usage or {}).get("input_tokens"), prompt, answer=False)
            self._count((usage or {}).get("output_tokens"), written, answer=True)

    def lose(self, prompt: int, *, late: bool) -> None:
        """One was given up, or failed; its prompt had so many characters."""
        with self._lock:
            self.late += late
            self.failed += not late
            if late:
                self._count(None, prompt, answer=False)

    def as_json(self) -> dict[str, Any]:
        """The counts, and `usd`."""
        with self._lock:
            return {**{name: getattr(self, name) for name in COUNTS}, "usd": round(self.usd, 6)}

    def _count(self, tokens: object, characters: int, *, answer: bool) -> None:
        counted = isinstance(tokens, int) and tokens >= 0
        amount = tokens if isinstance(tokens, int) and counted else -(-characters // CHARACTERS)
        self.estimated_tokens += 0 if counted else amount
        if answer:
            self.output_tokens += amount
        else:
            self.input_tokens += amount
