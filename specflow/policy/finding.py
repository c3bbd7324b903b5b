"""One problem found in a policy: where it is, what is wrong, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from specflow.errors import PolicyError

UNREADABLE = frozenset({"not_found", "not_readable", "not_a_file", "empty_folder", "changed"})
"""Codes of findings that mean the file itself could not be had."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """`line` and `column` count from 1 (0: the whole file); `path` is dotted, such as `tools.x.effect`."""

    file: str
    line: int
    column: int
    path: str
    code: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place} {self.path}: {self.message}" if self.path else f"{place}: {self.message}"

    def as_dict(self) -> dict[str, object]:
        """Plain JSON data, in the shape that `policy check --json` promises."""
        return {name: getattr(self, name) for name in ("file", "line", "column", "path", "code", "message")}


def near(word: str, options: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the option closest to `word`, or nothing."""
    found = difflib.get_close_matches(word[:200], list(options), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def refuse(findings: Iterable[Finding]) -> PolicyError:
    """The error that carries these findings, in the order of the file."""
    ordered = sorted(set(findings))
    more = f"\n(and {len(ordered) - 50} more)" if len(ordered) > 50 else ""
    return PolicyError("\n".join(map(str, ordered[:50])) + more, findings=ordered)
