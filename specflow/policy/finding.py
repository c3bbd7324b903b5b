"""One problem found in a policy: where it is, what is wrong, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from specflow.errors import PolicyError

UNREADABLE = frozenset({"not_found", "not_readable", "not_a_file", "empty_folder", "changed"})
"""Codes of findings that mean the file itself could not be had."""


class Severity(StrEnum):
    """How bad a finding is. A note is no reason to refuse a policy; the others are."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """`line` and `column` count from 1 (0: the whole file); `path` is dotted, such as `tools.x.effect`."""

    file: str
    line: int
    column: int
    path: str
    code: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        # Codes of lint are there to be looked up; those of reading say nothing that the message does not.
        code = f"{self.code} " if self.code.startswith("SF") else ""
        note = "note: " if self.severity is Severity.NOTE else ""
        return f"{place}{self.path and f' {self.path}'}: {code}{note}{self.message}"

    def as_dict(self) -> dict[str, object]:
        """Plain JSON data, in the shape that `policy check --json` promises."""
        names = ("file", "line", "column", "path", "code", "message")
        return {name: getattr(self, name) for name in names} | {"severity": str(self.severity)}


def near(word: str, options: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the option closest to `word`, or nothing."""
    found = difflib.get_close_matches(word[:200], list(options), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def refuse(findings: Iterable[Finding]) -> PolicyError:
    """The error that carries these findings, in the order of the file."""
    ordered = sorted(set(findings))
    more = f"\n(and {len(ordered) - 50} more)" if len(ordered) > 50 else ""
    return PolicyError("\n".join(map(str, ordered[:50])) + more, findings=ordered)
