"""Expressions read back from the journal: the text of a mapping or condition, compiled again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from specflow.errors import AuthorError
from specflow.policy.condition import Cel
from specflow.policy.settings import Expression

NAMES = frozenset({"args", "result", "key", "before"})


class Stored:
    """Evaluates over only what it reads, so that a large result cannot keep an effect from being undone."""

    def __init__(self, text: str) -> None:
        """Compile.

        Raises:
            AuthorError: when the text is no longer understood.
        """
        try:
            self._cel = Cel(text, NAMES)
        except ValueError as error:
            raise AuthorError(f"the journal holds an expression that cannot be compiled: {error}") from error

    @property
    def source(self) -> str:
        return self._cel.source

    @property
    def roots(self) -> frozenset[str]:
        return self._cel.roots

    @property
    def paths(self) -> frozenset[tuple[str, ...]]:
        return self._cel.paths

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """The value over the names given; raises ConditionError when it has none."""
        return self._cel.evaluate({root: self._needed(root, names.get(root)) for root in self._cel.roots})

    def _needed(self, root: str, value: Any) -> Any:
        fields = {path[1] if len(path) > 1 else None for path in self._cel.paths if path[0] == root}
        if not isinstance(value, Mapping) or None in fields:
            return value
        return {name: item for name, item in value.items() if name in fields}


@lru_cache(maxsize=1024)
def compile_stored(text: str) -> Expression:
    """The expression of a stored text; raises AuthorError."""
    return Stored(text)
