"""An undo as it is proposed: which tool takes a call back, with what, and what has to be read before."""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from specflow.policy.suggest.evidence import Trap

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_CEL_WORDS = frozenset(
    """
    as break const continue else false for function if import in let loop null package namespace return true
    var void while
    """.split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """A read made just before the call, so that the undo can write back what was there.

    `arguments` maps each parameter it is called with to a CEL expression over `args`.
    """

    tool: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensator:
    """`arguments` maps each required parameter of `tool` to a CEL expression; `why` is one line.

    `notes` say, a line each, what the mapping rests on and where it is uncertain.
    """

    tool: str
    arguments: Mapping[str, str]
    why: str
    traps: tuple[Trap, ...] = ()
    before: Before | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The compensator of a tool, or what keeps it from having one."""

    compensator: Compensator | None = None
    why_not: str = ""
    trap: Trap | None = None


def dotted(root: str, key: str) -> str:
    """CEL for one field of `root`; "" for a key that is no plain name."""
    if not NAME.fullmatch(key):
        return ""
    return f'{root}["{key}"]' if key in _CEL_WORDS else f"{root}.{key}"
