"""A call: a tool name and canonical arguments. Its fingerprint is the hash of both."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from specflow.errors import AuthorError

_AS_IT_IS = frozenset((str, int, bool, type(None)))
_FIRST = itemgetter(0)

# Made once: `json.dumps` makes one for every call of it. Keys come in order.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class NotJsonError(AuthorError):
    """Arguments that are not plain JSON cannot be fingerprinted, so they never run early."""

    code = "not_json"


def canonical_json(value: object) -> str:
    """JSON text that is equal for equal data: sorted keys, no spaces, no NaN, `1.0` written as `1`.

    JSON has one kind of number, so `1` and `1.0` are the same argument; `True` is not `1`.

    Raises:
        NotJsonError: for anything that is not plain JSON (NaN, infinities, bytes, objects, cycles,
            lone surrogates, keys that are not strings, nesting beyond what the interpreter bears).
    """
    return _copied(value)[1]


def _copied(value: object) -> tuple[Any, str]:
    """The data as `_plain` copies it, and its text."""
    try:
        plain = _plain(value)
        text = _encode(plain)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJsonError(f"not plain JSON: {error}") from error
    return plain, text


def _plain(value: object) -> object:
    """A copy that nobody else has, of exactly JSON's types, with the keys of objects in order."""
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, Mapping):
        items = [(_key(name), _plain(item)) for name, item in value.items()]
        items.sort(key=_FIRST)
        return dict(items)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _scalar(value)


def _scalar(value: object) -> object:
    if isinstance(value, float):
        # Beyond 2**53 the float is not the integer its digits would claim.
        if math.isfinite(value) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return float.__pos__(value)
    # What is derived from texts and integers may say anything of itself: by these it is what it is.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _key(name: object) -> str:
    if isinstance(name, str):
        return str.__str__(name)
    raise TypeError("object keys must be strings")


def digest(*parts: str) -> str:
    """SHA-256 over `parts`, each with its length before it so that no two lists of parts collide."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()


@dataclass(frozen=True, slots=False, kw_only=True, eq=False)
class Call:
    """A tool name and the arguments the model chose, nothing injected.

    Two calls are equal when their fingerprints are.

    Raises:
        NotJsonError: on construction, when the arguments are not plain JSON.
    """

    tool: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A private copy: later changes of the caller's objects cannot reach it.
        copied, text = _copied(self.args)
        object.__setattr__(self, "_text", text)
        object.__setattr__(self, "args", MappingProxyType(copied))

    @property
    def args_json(self) -> str:
        """The canonical JSON of the arguments."""
        text: str = self.__dict__["_text"]
        return text

    @property
    def fingerprint(self) -> str:
        """64 hex digits over tool name and canonical arguments."""
        # No `cached_property`: before Python 3.12 one lock guards those of all objects.
        known: str | None = self.__dict__.get("_fingerprint")
        if known is None:
            known = self.__dict__["_fingerprint"] = digest(self.tool, self.args_json)
        return known

    def plain_args(self) -> dict[str, Any]:
        """A fresh, mutable deep copy of the arguments, to hand to a tool."""
        copied: dict[str, Any] = json.loads(self.args_json)
        return copied

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and other.fingerprint == self.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"{self.tool}({self.args_json})"
