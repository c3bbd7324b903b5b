"""What a condition compares with what: each field with the values written beside it.

A small reader of the part of CEL that most rules are made of: `&&`, `||`, `!`, brackets, `has(field)`, and
fields against values written out (`==`, `!=`, `<`, `<=`, `>`, `>=`, `in [...]`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from specflow.policy.cel_scan import WORDS, Token, tokenise
from specflow.policy.condition import Cel, ConditionError

Path = tuple[str, ...]
_NOTHING: frozenset[str] = frozenset()
_CONSTANTS = {"true": True, "false": False, "null": None}


@dataclass(slots=True)
class Atoms:
    """Fields with the values they are compared with. `exact`: the condition does nothing else."""

    literals: dict[Path, list[Any]] = field(default_factory=dict)
    exact: bool = True


class _BeyondError(Exception):
    """The condition does something that this reader does not know."""


@lru_cache(maxsize=4_096)
def atoms_of(condition: Cel) -> Atoms:
    """What the condition compares; where it does more, every value in it beside every field."""
    tokens = tokenise(condition.source)
    reader = _Reader(tokens)
    try:
        reader.whole()
    except _BeyondError:
        return _loose(condition, tokens)
    found = reader.found
    found.exact = found.exact and all(len(path) > 1 for path in found.literals)
    return found


def _loose(condition: Cel, tokens: Sequence[Token]) -> Atoms:
    said = [
        value
        for token in tokens
        if token.kind in {"string", "number"} and isinstance(value := literal(token.text), str | int | float)
    ]
    return Atoms({path: list(said) for path in condition.paths if len(path) > 1}, exact=False)


def literal(text: str) -> Any:
    """The value of a number or a text as CEL writes them; None when it is neither.

    The engine reads it, so that there is no second opinion about escapes.
    """
    try:
        return Cel(text, _NOTHING).evaluate({})
    except (ConditionError, ValueError):
        return None


class _Reader:
    """Reads tokens by recursive descent; brackets are at most 16 deep, `cel_scan` saw to that."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self.found = Atoms()

    def whole(self) -> None:
        self._either()
        if self._at < len(self._tokens):
            raise _BeyondError

    def _is(self, marks: str) -> bool:
        """Takes the marks when they come next."""
        several = self._tokens[self._at : self._at + len(marks)]
        if "".join(token.text for token in several) != marks or any(t.kind != "mark" for t in several):
            return False
        self._at += len(marks)
        return True

    def _need(self, marks: str) -> None:
        if not self._is(marks):
            raise _BeyondError

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            raise _BeyondError
        self._at += 1
        return self._tokens[self._at - 1]

    def _either(self) -> None:
        self._both()
        while self._is("||"):
            self._both()

    def _both(self) -> None:
        self._one()
        while self._is("&&"):
            self._one()

    def _one(self) -> None:
        if self._is("!"):
            self._one()
        elif self._is("("):
            self._either()
            self._need(")")
        else:
            self._comparison()

    def _comparison(self) -> None:
        left = self._operand()
        if any(self._is(mark) for mark in ("==", "!=", "<=", ">=", "<", ">")):
            right = [self._operand()]
        elif self._at < len(self._tokens) and self._tokens[self._at].text == "in":
            self._at += 1
            right = self._list()
        else:
            self._note(left, [[True]])
            return
        for other in right:
            if isinstance(left, tuple) and isinstance(other, tuple):
                raise _BeyondError
        self._note(left, right)
        for other in right:
            self._note(other, [left])

    def _note(self, side: object, values: Sequence[object]) -> None:
        if isinstance(side, tuple):
            # Not a set: there, 1 and true would be one.
            self.found.literals.setdefault(side, []).extend(
                value[0] for value in values if isinstance(value, list)
            )

    def _list(self) -> list[object]:
        self._need("[")
        found: list[object] = []
        while not self._is("]"):
            found.append(self._operand())
            if not self._is(","):
                self._need("]")
                break
        return found

    def _operand(self) -> object:
        """A field as a tuple, or a written value in a list of its own."""
        if self._is("-"):
            return [_number(f"-{self._next().text}")]
        token = self._next()
        if token.kind in {"string", "number"}:
            return [_number(token.text) if token.kind == "number" else _text(token.text)]
        if token.text in _CONSTANTS:
            return [_CONSTANTS[token.text]]
        if token.text == "has" and self._is("("):
            path = self._path(self._next())
            self._need(")")
            self.found.literals.setdefault(path, [])
            return [True]
        return self._path(token)

    def _path(self, token: Token) -> Path:
        if token.kind != "name" or token.text in WORDS:
            raise _BeyondError
        parts = [token.text]
        while True:
            if self._is("."):
                name = self._next()
                parts.append(name.text)
            elif self._is("["):
                inside = self._next()
                if inside.kind != "string":
                    raise _BeyondError
                parts.append(_text(inside.text))
                self._need("]")
            elif self._is("("):
                raise _BeyondError
            else:
                return tuple(parts)


def _number(text: str) -> int | float:
    value = literal(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _BeyondError
    return value


def _text(text: str) -> str:
    value = literal(text)
    if not isinstance(value, str):
        raise _BeyondError
    return value
