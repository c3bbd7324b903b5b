"""Claims: the keys of what a write changes, in the form in which sessions keep out of each other's way.

A claim is a resource key (`seat:TP351`) or, where it ends in `*`, everything below a colon (`order:*`).
Patterns end at a colon so that those that may cover a key can be named: `a:b:c` is within `a:b:*`, `a:*`
and `*`, and looking for these four finds all that stands in its way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from specflow.effects.footprint import fill, reads_result
from specflow.effects.redaction import redacted

ALL = "*"
"""The pattern that covers every key."""

DEEPEST = 8
"""Colons of a key that count; how many there are may be a model's doing."""

LONGEST = 240
"""Characters of a key that are stored as they are: databases index no text of any length."""

_SHOWN = 160
"""Characters kept of a longer one, before its hash."""

_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def claims(
    templates: Iterable[str] | None, args: Mapping[str, Any], secrets: Iterable[str] = ()
) -> tuple[str, ...]:
    """What a call that writes `templates` claims, sorted; nothing where that is not known beforehand.

    A template over the result names what is not there yet, and one over an argument that the policy
    redacts (`secrets`) would show it: neither is claimed.

    Raises:
        NotJsonError: when the arguments are not plain JSON.
    """
    if templates is None:
        return ()
    shown = redacted("args", args, secrets)
    if not isinstance(shown, dict):
        return ()
    found = (fill(item, shown) for item in templates if not reads_result(item) and _open(item, args, shown))
    return tuple(sorted({claim_key(text) for text in found if text}))


def claim_key(text: str) -> str:
    """A key or pattern in its normal form: storable, of bounded length, a star only after a colon."""
    text = _UNSTORABLE.sub(lambda mark: f"%{ord(mark.group()):04X}", text)
    if ALL in text:
        return _pattern(text)
    if len(text) <= LONGEST:
        return text
    return f"{text[:_SHOWN]}#{sha256(text.encode()).hexdigest()}"


def covering(key: str) -> tuple[str, ...]:
    """The patterns that cover a key or a pattern, itself not counted; the widest first."""
    ends = [mark.end() for mark in re.finditer(":", key)][:DEEPEST]
    return tuple(found for end in (0, *ends) if (found := key[:end] + ALL) != key)


def tool_claim(tool: str) -> str:
    """What is claimed by an effect of which neither keys nor outcome are known: all that the tool may do."""
    return claim_key(f"tool:{tool}:*")


def meet(one: str, other: str) -> bool:
    """Whether two claims may be about the same resource."""
    return one == other or one in covering(other) or other in covering(one)


def _pattern(text: str) -> str:
    before_star = text.split(ALL, 1)[0][:_SHOWN]
    *parents, _rest = before_star.split(":")
    return ":".join([*parents[:DEEPEST], ALL])


def _open(template: str, args: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
    return fill(template, args) == fill(template, shown)
