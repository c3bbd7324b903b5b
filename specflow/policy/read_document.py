"""Text to `Document`, every error with its place in the file and what was probably meant."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from specflow.policy.document import Document
from specflow.policy.finding import Finding, near
from specflow.policy.yaml_events import Spot, parse

Loc = tuple[int | str, ...]
_WANTED = {
    "string_type": "must be text", "int_type": "must be a whole number", "float_type": "must be a number",
    "bool_type": "must be true or false", "dict_type": "must be a mapping", "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping", "list_type": "must be a list",
}  # fmt: skip


class Read(typing.NamedTuple):
    """A file's document (None when it has findings) and the places in it."""

    file: str
    document: Document | None
    spot: Spot
    findings: list[Finding]


def read_document(text: str, file: str) -> Read:
    """The document in `text`. Never raises."""
    parsed = parse(text, file)
    if parsed.findings:
        return Read(file, None, parsed.spot, parsed.findings)
    try:
        document = Document.model_validate(parsed.data)
        empty = [_empty(file, parsed.spot, loc) for loc in _nothings(parsed.data)]
        return Read(file, None if empty else document, parsed.spot, empty)
    except ValidationError as error:
        found = [_finding(file, parsed.spot, item) for item in error.errors(include_url=False)]
        return Read(file, None, parsed.spot, _without_echo(found))


def _nothings(data: Any) -> Iterator[Loc]:
    """Where a name stands without a value: a slip that would drop what a rule requires, or an `unless`.

    What the tests in the file hand to tools is data, in which null is a value.
    """
    stack: list[tuple[Loc, Any]] = [((), data)]
    while stack:
        loc, value = stack.pop()
        if value is None:
            yield loc
        elif isinstance(value, dict | list) and not (loc[:1] == ("tests",) and loc[2:3] == ("call",)):
            steps = value.items() if isinstance(value, dict) else enumerate(value)
            stack.extend(((*loc, step), item) for step, item in steps)


def _empty(file: str, spot: Spot, loc: Loc) -> Finding:
    line, column = place(spot, loc, key=True)
    message = "has no value: write one, or remove the name"
    return Finding(file=file, line=line, column=column, path=dotted(loc), code="value", message=message)


def place(spot: Spot, loc: Sequence[int | str], *, key: bool = False) -> tuple[int, int]:
    """Line and column (from 1) of the value at `loc`, or of its key, or of the nearest parent that exists."""
    for step in loc:
        child = (spot.children or {}).get(step)
        if child is None:
            return spot.key_line, spot.key_column
        spot = child
    return (spot.key_line, spot.key_column) if key else (spot.line, spot.column)


def dotted(loc: Sequence[int | str]) -> str:
    """`tools.book.rules[0].when`."""
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _finding(file: str, spot: Spot, item: Any) -> Finding:
    kind, loc = item["type"], _real(spot, item["loc"])
    on_key = kind in {"extra_forbidden", "missing"} or item["loc"][-1:] == ("[key]",)
    line, column = place(spot, loc, key=on_key)
    return Finding(
        file=file,
        line=line,
        column=column,
        path=dotted(loc),
        code=_code(kind),
        message=_message(kind, loc, item),
    )


def _real(spot: Spot, loc: Loc) -> Loc:
    """The location without what pydantic adds for unions and keys; a missing field stays."""
    kept: list[int | str] = []
    at: Spot | None = spot
    for index, step in enumerate(loc):
        child = (at.children or {}).get(step) if at else None
        if child is None and (
            index + 1 < len(loc) or step == "[key]" or (at is not None and at.children is None)
        ):
            continue
        kept.append(step)
        at = child
    return tuple(kept)


def _code(kind: str) -> str:
    return {"extra_forbidden": "unknown_field", "missing": "missing_field"}.get(kind, "value")


def _message(kind: str, loc: Loc, item: Any) -> str:
    if kind == "extra_forbidden":
        return _unknown(loc)
    if kind == "missing":
        return "is required"
    if kind == "literal_error":
        expected = str(item["ctx"]["expected"])
        words = expected.replace("'", "").replace(" or ", ", ").split(", ")
        return f"must be {expected}, not {_shown(item['input'])}{near(str(item['input']), words)}"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if kind in _WANTED:
        return f"{_WANTED[kind]}, not {_shown(item['input'])}"
    message: str = item["msg"]
    return f"{message[:1].lower()}{message[1:]}"


def _unknown(loc: Loc) -> str:
    name = str(loc[-1]) if loc else "?"
    if loc[-2:-1] == ("allow",):
        return f"unknown field {name!r}: allow can loosen speculate only"
    return f"unknown field {name!r}{near(name, fields_at(loc[:-1]))}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else f"the number {value}"


def _without_echo(found: list[Finding]) -> list[Finding]:
    """One finding per place and message: a union reports each of its members."""
    return list(dict.fromkeys(found))


def fields_at(loc: Sequence[int | str]) -> list[str]:
    """The names that may be written at `loc`."""
    kind: Any = Document
    for step in loc:
        kind = _below(kind, step)
        if kind is None:
            return []
    return _names(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _below(kind: Any, step: int | str) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, info in kind.model_fields.items():
            if step == (info.alias or name):
                return _bare(info.annotation)
        return None
    return _bare(typing.get_args(kind)[-1]) if typing.get_origin(kind) in {dict, list} else None


def _bare(kind: Any) -> Any:
    """The type inside `Annotated[...]` and `... | None`."""
    if typing.get_origin(kind) is typing.Annotated:
        return _bare(typing.get_args(kind)[0])
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return next((_bare(part) for part in typing.get_args(kind) if part is not type(None)), None)
    return kind
