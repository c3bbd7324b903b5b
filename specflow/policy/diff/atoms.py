"""What a condition compares with what, read off its text: there, a small change of a call turns it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from specflow.policy.cel_scan import Token, tokenise
from specflow.policy.condition import Cel, ConditionError, Scope
from specflow.policy.diff.near import Absent, around, of_size, sample_of

Path = tuple[str, ...]
_PAIRS = frozenset({"==", "!=", "<=", ">=", "&&", "||"})
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_NEGATED = {"<": ">=", ">": "<=", "<=": ">", ">=": "<", "==": "!=", "!=": "=="}
_EMPTY = Scope({})
_NOTHING: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Atom:
    """One comparison: values at `path` that make it true, and values that make it false."""

    path: Path
    good: tuple[Any, ...]
    bad: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """A word of a condition, with paths and literals put together. `kind` is path, literal, name or mark."""

    kind: str
    text: str = ""
    path: Path = ()
    value: Any = None


def atoms(condition: Cel) -> list[Atom]:
    """The comparisons in the condition, in the order of its text."""
    units = _units(tokenise(condition.source))
    return [atom for index, unit in enumerate(units) if unit.kind == "path" for atom in _atom(units, index)]


def literals(condition: Cel) -> list[Any]:
    """Every number, text and truth value written in the condition."""
    return [unit.value for unit in _units(tokenise(condition.source)) if unit.kind == "literal"]


def patterns(condition: Cel) -> list[str]:
    """The regular expressions in the condition, which are only solved when they are plain text."""
    units = _units(tokenise(condition.source))
    return [
        str(units[index + 2].value)
        for index, unit in enumerate(units[:-2])
        if unit.text == "matches" and units[index + 2].kind == "literal"
    ]


def _units(tokens: Sequence[Token]) -> list[Unit]:
    found: list[Unit] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        pair = token.text + (tokens[index + 1].text if index + 1 < len(tokens) else "")
        if token.kind == "name" and token.text in {"args", "context"}:
            path, index = _path(tokens, index)
            found.append(Unit("path", path=path))
            continue
        if token.kind in {"string", "number"} or token.text in {"true", "false", "null"}:
            negative = bool(found) and found[-1].text == "-" and (len(found) < 2 or found[-2].kind == "mark")
            if negative:
                found.pop()
            found.append(Unit("literal", value=_value(f"-{token.text}" if negative else token.text)))
        elif token.kind == "mark" and pair in _PAIRS:
            found.append(Unit("mark", pair))
            index += 1
        else:
            found.append(Unit(token.kind, token.text))
        index += 1
    return found


def _value(text: str) -> Any:
    try:
        value = Cel(text, frozenset()).run(_EMPTY)
    except (ConditionError, ValueError):
        return None
    return value if isinstance(value, str | int | float | bool) else None


def _path(tokens: Sequence[Token], index: int) -> tuple[Path, int]:
    """The plain member path that starts at `index`, and where it ends."""
    parts = [tokens[index].text]
    index += 1
    while index + 1 < len(tokens):
        mark, name = tokens[index], tokens[index + 1]
        called = index + 2 < len(tokens) and tokens[index + 2].text == "("
        if mark.text == "." and name.kind == "name" and not called:
            parts.append(name.text)
            index += 2
        elif mark.text == "[" and name.kind == "string" and tokens[index + 2 : index + 3]:
            value = _value(name.text)
            if tokens[index + 2].text != "]" or not isinstance(value, str) or not value:
                break
            parts.append(value)
            index += 3
        else:
            break
    return tuple(parts), index


def _atom(units: Sequence[Unit], index: int) -> Iterator[Atom]:
    """The atoms about the path at `index`; a path that is compared with nothing is a truth value."""
    path = units[index].path
    if len(path) < 2:
        return
    before, after = _text(units, index - 1), _text(units, index + 1)
    function = _text(units, index - 2) if before == "(" and after == ")" else ""
    if function == "has":
        yield Atom(path, (1, "x"), (Absent.ABSENT,))
        return
    method = _text(units, index + 2) if after == "." else ""
    if function == "size" or method == "size":
        end = index + (2 if function else 5)
        yield from _compared(path, units, end, sized=True)
        return
    if method:
        yield from _method(path, method, units, index + 4)
        return
    if before == "in":
        member = _at(units, index - 2)
        if member.kind == "literal":
            yield Atom(path, ([member.value], {str(member.value): 1}), ([], {}))
        return
    if after == "in":
        yield from _options(path, units, index + 3)
        return
    found = list(_compared(path, units, index + (2 if function else 1), sized=False))
    found = found or list(_turned(path, units, index - (3 if function else 1)))
    if found or after in _PAIRS - {"&&", "||"} or after in {"<", ">", "+", "-", "*", "/", "%", "[", "?"}:
        yield from found
    else:
        yield Atom(path, (True,), (False,))


def _at(units: Sequence[Unit], index: int) -> Unit:
    return units[index] if 0 <= index < len(units) else Unit("mark")


def _text(units: Sequence[Unit], index: int) -> str:
    return _at(units, index).text


def _compared(path: Path, units: Sequence[Unit], index: int, *, sized: bool) -> Iterator[Atom]:
    """`path OP literal`, with the operator at `index`."""
    mark, literal = _text(units, index), _at(units, index + 1)
    if mark in _NEGATED and literal.kind == "literal":
        yield _ordered(path, mark, literal.value, sized=sized)


def _turned(path: Path, units: Sequence[Unit], index: int) -> Iterator[Atom]:
    """`literal OP path`, with the operator at `index`."""
    mark, literal = _text(units, index), _at(units, index - 1)
    if mark in _TURNED and literal.kind == "literal":
        yield _ordered(path, _TURNED[mark], literal.value, sized=False)


def _ordered(path: Path, mark: str, value: Any, *, sized: bool) -> Atom:
    good, bad = _holding(mark, value), _holding(_NEGATED[mark], value)
    if sized:
        good = [item for size in good for item in of_size(size)]
        bad = [item for size in bad for item in of_size(size)]
    return Atom(path, tuple(good), tuple(bad))


def _holding(mark: str, value: Any) -> list[Any]:
    """Values `v` for which `v MARK value`, the nearest first."""
    others = around(value)
    if mark == "==":
        return [value]
    if mark == "!=":
        return [item for item in others if item != value]
    if isinstance(value, bool) or value is None:
        return [value]
    same = [item for item in others if isinstance(item, str) == isinstance(value, str)]
    above = sorted(item for item in same if item > value)
    below = sorted((item for item in same if item < value), reverse=True)
    return ([value] if "=" in mark else []) + (below if "<" in mark else above)


def _options(path: Path, units: Sequence[Unit], index: int) -> Iterator[Atom]:
    """`path in [literal, ...]`, with the first literal at `index`."""
    values: list[Any] = []
    while _at(units, index).kind == "literal":
        values.append(units[index].value)
        index += 2
    outside = [item for value in values for item in around(value) if item not in values]
    yield Atom(path, tuple(values), tuple(outside[:4]))


def _method(path: Path, method: str, units: Sequence[Unit], index: int) -> Iterator[Atom]:
    """`path.method(literal)`, with the literal at `index`."""
    literal = _at(units, index)
    if literal.kind != "literal" or not isinstance(literal.value, str):
        return
    text = literal.value
    good = {
        "startsWith": (text, f"{text}x"),
        "endsWith": (text, f"x{text}"),
        "contains": (text, f"x{text}x"),
        "matches": tuple(sample_of(text)),
    }.get(method, _NOTHING)
    yield Atom(path, good, ("", f"y{text[1:]}", "y"))
