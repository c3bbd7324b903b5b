"""Which SQL statements a tool may not make in the transaction it was given.

A guard against accidents, not against malice: it reads the text of a statement, and not what a trigger or a
function of the user's does.
"""

from __future__ import annotations

import re
from functools import lru_cache

from specflow.journal.tables import metadata

_UNREAD = re.compile(
    r"""(?P<text>(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"""
    r"""|(?P<comment>--[^\n]*|/\*.*?\*/)"""
    r"""|"(?P<double>(?:[^"]|"")*)"|`(?P<back>[^`]*)`|\[(?P<square>[A-Za-z_]\w*)\]""",
    re.DOTALL,
)
_ENDING = frozenset({"BEGIN", "START", "COMMIT", "END", "ABORT", "ROLLBACK"})
_BACK = re.compile(r"ROLLBACK\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b", re.IGNORECASE)
_TRIGGER = re.compile(r"CREATE\s+(?:\w+\s+){0,4}TRIGGER\b", re.IGNORECASE)
_TABLES = frozenset(metadata.tables) | {"sf_alembic_version"}
_WRITTEN = re.compile(
    r"\b(?:INTO|UPDATE(?:\s+OR\s+\w+)?|DELETE\s+FROM|COPY|ON|TRUNCATE(?:\s+TABLE)?"
    r"|(?:ALTER|DROP|LOCK)(?:\s+TABLE)?(?:\s+IF\s+EXISTS)?)"
    r"\s+(?:ONLY\s+)?(?:\w+\s*\.\s*)?(?P<table>sf_\w+)\b(?!\s*\.)",
    re.IGNORECASE,
)

ENDS_IT = "it ends with the call: committed when the tool returns, rolled back when it raises"
"""What a transaction does by itself."""


@lru_cache(maxsize=1024)
def objection(statement: str) -> str:
    """Why the statement must not be made; empty when it may be."""
    plain = _UNREAD.sub(_plain, statement)
    for part in plain.split(";"):
        first = part.split(None, 1)[0].upper() if part.strip() else ""
        prepared = first == "PREPARE" and part.split()[1:2] == ["TRANSACTION"]
        if prepared or (first in _ENDING and not _BACK.match(part.strip())):
            return f"{first} would end the transaction of the call; {ENDS_IT}"
        if _TRIGGER.match(part.strip()):
            break  # what follows is its body
    for found in _WRITTEN.finditer(plain):
        if found["table"].lower() in _TABLES:
            return f"{found['table']} is the journal's own: only specflow writes there"
    return ""


def _plain(found: re.Match[str]) -> str:
    """Identifiers without their quotes, and nothing where a text or a comment was."""
    name = found["double"] or found["back"] or found["square"]
    return name.replace(";", " ") if name else " "
