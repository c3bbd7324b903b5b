"""How much a bench may take, and whom it tells what it is doing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """`runs` None: as many pairs as suit the bench. `quick`: smaller inputs, figures of little worth.

    `data`: a file of recordings, for the bench that plays them.
    """

    runs: int | None = None
    quick: bool = False
    data: Path | None = None
    tell: Callable[[str], None] = lambda _what: None

    def pairs(self, usual: int) -> int:
        """How many times each comparison is made."""
        return self.runs or (2 if self.quick else usual)

    def size(self, usual: int, quick: int) -> int:
        """The size of an input."""
        return quick if self.quick else usual
