"""Random conditions that know their own truth: CEL text beside a reading of it in Python.

The reading is written from CEL's specification (errors are absorbed by `&&` and `||`, unequal types are
unequal, ordering needs one type), so that the engine and the judge are checked by something else.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Names = Mapping[str, Any]
Truth = bool | None
"""None: the condition cannot be evaluated."""


class Broken(Exception):  # noqa: N818 - a value of the third kind, no error of ours
    """A part of a condition that has no value."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`source` is CEL; `read` gives the value or raises `Broken`; `context`: it reads that."""

    source: str
    read: Callable[[Names], Any]
    context: bool = False

    def truth(self, names: Names | None) -> Truth:
        """What the condition says; `names` None: the data cannot be handed to any condition."""
        if names is None:
            return None
        try:
            value = self.read(names)
        except Broken:
            return None
        return value if isinstance(value, bool) else None


TRUE = Condition("true", lambda names: True)
NEVER_READABLE = Condition("args.never_there.inside > 1", lambda names: _raise())

PATHS = (
    "args.amount", "args.amount", "args.fare", "args.fare", "args.count", "args.flag", "args.tags",
    "args.deep.x", "args.zero", "args.absent", "context.role", "context.level", "context.user.tier",
)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 10, 99, 100, 200, 1000, -1, 0.5, 2.5, 99.5, 1e9)
WORDS = ("x", "xy", "refundable", "saver", "agent", "", "É", "X", "-")
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def random_condition(  # noqa: PLR0911 - one a kind
    dice: random.Random, depth: int = 2, paths: Sequence[str] = PATHS
) -> Condition:
    """A condition of up to `depth` levels of logic, over some of `paths`."""
    kind = dice.random()
    if depth and kind < 0.45:
        return _logic(dice, depth, paths)
    path = dice.choice(paths)
    context = path.startswith("context")
    if kind < 0.80:
        mark, literal = dice.choice(("==", "!=", *_ORDER)), _literal(dice)
        return Condition(
            f"{path} {mark} {cel(literal)}",
            lambda names: _compare(mark, _value(names, path), literal),
            context,
        )
    if kind < 0.85:
        options = [_literal(dice) for _ in range(dice.randint(1, 3))]
        text = ", ".join(map(cel, options))
        return Condition(f"{path} in [{text}]", lambda names: _among(_value(names, path), options), context)
    if kind < 0.90:
        return Condition(f"has({path})", lambda names: _has(names, path), context)
    if kind < 0.94:
        word, name = dice.choice(WORDS), dice.choice(("startsWith", "endsWith", "contains"))
        return Condition(
            f"{path}.{name}({cel(word)})", lambda names: _text(name, _value(names, path), word), context
        )
    if kind < 0.96:
        number = dice.choice((0, 1, 2))
        return Condition(
            f"size({path}) > {number}", lambda names: _size(_value(names, path)) > number, context
        )
    if kind < 0.98:
        return Condition(f"1 / {path} > 0", lambda names: _divide(_value(names, path)) > 0, context)
    return Condition(path, lambda names: _value(names, path), context)


def _logic(dice: random.Random, depth: int, paths: Sequence[str]) -> Condition:
    one, two = random_condition(dice, depth - 1, paths), random_condition(dice, depth - 1, paths)
    context = one.context or two.context
    kind = dice.random()
    if kind < 0.40:
        return Condition(f"({one.source}) && ({two.source})", lambda names: _and(one, two, names), context)
    if kind < 0.80:
        return Condition(f"({one.source}) || ({two.source})", lambda names: _or(one, two, names), context)
    if kind < 0.95:
        return Condition(f"!({one.source})", lambda names: not _bool(one.read(names)), one.context)
    return Condition(
        f"({one.source}) ? ({two.source}) : true",
        lambda names: two.read(names) if _bool(one.read(names)) else True,
        context,
    )


def _literal(dice: random.Random) -> Any:
    kind = dice.random()
    if kind < 0.5:
        return dice.choice(NUMBERS) if dice.random() < 0.7 else dice.randint(-5, 1500)
    if kind < 0.9:
        return dice.choice(WORDS)
    return dice.choice((True, False, None))


def cel(value: Any) -> str:
    """The literal as CEL writes it."""
    if isinstance(value, str):
        return f"'{value}'"
    words = {True: "true", False: "false"}
    return words[value] if isinstance(value, bool) else "null" if value is None else repr(value)


def _raise() -> Any:
    raise Broken


def _value(names: Names, path: str) -> Any:
    value: Any = names
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise Broken
        value = value[part]
    return value


def _has(names: Names, path: str) -> bool:
    inside, _, last = path.rpartition(".")
    value = _value(names, inside)
    if not isinstance(value, Mapping):
        raise Broken
    return last in value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _same(one: Any, two: Any) -> bool:
    return _kind(one) == _kind(two) and bool(one == two)


def _compare(mark: str, one: Any, two: Any) -> bool:
    if mark in {"==", "!="}:
        return _same(one, two) is (mark == "==")
    if _kind(one) != _kind(two) or _kind(one) not in {"number", "str", "bool"}:
        raise Broken
    return bool(_ORDER[mark](one, two))


def _among(value: Any, options: list[Any]) -> bool:
    return any(_same(value, option) for option in options)


def _text(name: str, value: Any, word: str) -> bool:
    if not isinstance(value, str):
        raise Broken
    return {
        "startsWith": value.startswith(word),
        "endsWith": value.endswith(word),
        "contains": word in value,
    }[name]


def _size(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise Broken
    # Found by this very comparison: the engine counts UTF-8 bytes, CEL's specification says characters.
    return len(value.encode()) if isinstance(value, str) else len(value)


def _divide(value: Any) -> int:
    if _kind(value) != "number" or isinstance(value, float) or value == 0:
        raise Broken
    return int(1 / value)


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Broken
    return value


def _and(one: Condition, two: Condition, names: Names) -> bool:
    found = one.truth(names), two.truth(names)
    if False in found:
        return False
    if None in found:
        raise Broken
    return True


def _or(one: Condition, two: Condition, names: Names) -> bool:
    found = one.truth(names), two.truth(names)
    if True in found:
        return True
    if None in found:
        raise Broken
    return False
