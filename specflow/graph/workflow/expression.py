"""Expressions over values that are known later: what a step leaves, a field of it, what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from specflow.errors import ConfigurationError
from specflow.graph.workflow.shape import UNKNOWN, Shape, shape_of_value


class _Missing:
    """What a step has left that did not run."""

    def __repr__(self) -> str:
        return "SKIPPED"


SKIPPED = _Missing()


class SkippedError(Exception):
    """A value is asked for that a skipped step would have made."""


class NotThereError(ConfigurationError):
    """A step's result does not have what another step takes from it."""

    code = "not_there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The result of a step, the workflow's state, or the item of a map."""

    name: str
    shape: Shape = UNKNOWN

    @property
    def text(self) -> str:
        return self.name

    def value(self, known: Mapping[str, Any]) -> Any:
        if self.name not in known:
            raise NotThereError(f"{self.name} has not run")
        found = known[self.name]
        if found is SKIPPED:
            raise SkippedError(self.name)
        return found

    def roots(self) -> frozenset[str]:
        return frozenset({self.name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A field or an item of something."""

    of: Node
    key: str | int
    shape: Shape = UNKNOWN

    @property
    def text(self) -> str:
        plain = isinstance(self.key, str) and self.key.isidentifier()
        return f"{self.of.text}.{self.key}" if plain else f"{self.of.text}[{self.key!r}]"

    def value(self, known: Mapping[str, Any]) -> Any:
        whole = self.of.value(known)
        try:
            if isinstance(self.key, int) or isinstance(whole, Mapping):
                return whole[self.key]
        except (KeyError, IndexError, TypeError):
            pass
        raise NotThereError(
            f"{self.of.text} has no {self.key!r}: it is {_short(whole)}",
            hint="declare the step's output, or look at what it returned",
        )

    def roots(self) -> frozenset[str]:
        return self.of.roots()


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A value that is known already, within an expression."""

    literal: Any

    @property
    def text(self) -> str:
        return repr(self.literal)

    @property
    def shape(self) -> Shape:
        return shape_of_value(self.literal)

    def value(self, known: Mapping[str, Any]) -> Any:
        return self.literal

    def roots(self) -> frozenset[str]:
        return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """An operation on other values."""

    word: str
    apply: Callable[..., Any]
    of: tuple[Node, ...]
    shape: Shape = UNKNOWN

    @property
    def text(self) -> str:
        texts = [f"({item.text})" if isinstance(item, Applied) else item.text for item in self.of]
        return f"{texts[0]} {self.word} {texts[1]}" if len(texts) == 2 else f"{self.word} {texts[0]}"

    def value(self, known: Mapping[str, Any]) -> Any:
        values = [item.value(known) for item in self.of]
        try:
            return self.apply(*values)
        except TypeError as error:
            raise NotThereError(f"{self.text} cannot be told: {error}") from error

    def roots(self) -> frozenset[str]:
        return frozenset().union(*(item.roots() for item in self.of))


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOf:
    """The first of several that has not been skipped; a default when all have."""

    of: tuple[Node, ...]
    shape: Shape = UNKNOWN

    @property
    def text(self) -> str:
        return f"either({', '.join(item.text for item in self.of)})"

    def value(self, known: Mapping[str, Any]) -> Any:
        for item in self.of:
            try:
                return item.value(known)
            except SkippedError:
                continue
        raise SkippedError(self.text)

    def roots(self) -> frozenset[str]:
        return frozenset().union(*(item.roots() for item in self.of))


Node = Root | Part | Literal | Applied | FirstOf


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
