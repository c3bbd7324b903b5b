"""Identifiers, passed in, so that a seeded run makes the same ones again."""

from __future__ import annotations

import random
import uuid
from typing import Protocol


class IdSource(Protocol):
    """Mints identifiers."""

    def new(self, prefix: str) -> str:
        """A fresh identifier, `prefix_` and 32 hex digits."""
        ...


class RandomIds:
    """Identifiers nobody can guess or repeat."""

    def new(self, prefix: str) -> str:
        return f"{prefix}_{uuid.uuid4().hex}"


class SeededIds:
    """The same identifiers for the same seed; for tests and replay only."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose, guards nothing

    def new(self, prefix: str) -> str:
        return f"{prefix}_{self._random.getrandbits(128):032x}"
