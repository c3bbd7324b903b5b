"""What an SQL statement does, by its syntax tree.

sqlglot is optional (`pip install 'specflow[suggest]'`): without it a statement can speak against a
read, never for one.
"""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

import importlib
import re
from enum import StrEnum
from types import ModuleType
from typing import Any

MAX_STATEMENT = 20_000

_STATEMENT = re.compile(
    r"\s*(?:--[^\n]*\n\s*)*\(?\s*(?:select\s.+?\bfrom\b|with\s+\w+\s+as\s*\(|insert\s+(?:or\s+\w+\s+)?into\b|"
    r"update\s+[\w.\"`]+\s+set\b|delete\s+from\b|merge\s+into\b|replace\s+into\b|truncate\s+table\b|"
    r"(?:create|drop|alter)\s+(?:or\s+replace\s+)?(?:temp\w*\s+)?(?:unique\s+)?(?:table|index|view|schema|database)\b)",
    re.I | re.S,
)
# In prose only what cannot be English is taken for SQL.
_REST = r"(?:(?!\.\s)[^;`\n])*"
_QUOTED = re.compile(
    rf"\b(SELECT\s[^.;`]{{1,2000}}?\sFROM\s{_REST}|INSERT\s+INTO\s{_REST}|UPDATE\s+\S+\s+SET\s{_REST}"
    rf"|DELETE\s+FROM\s{_REST}|DROP\s+(?:TABLE|INDEX|VIEW)\s{_REST}|TRUNCATE\s+TABLE\s{_REST}|MERGE\s+INTO\s{_REST})"
)
_WRITING = re.compile(
    r"\b(insert|update|delete|merge|create|drop|alter|truncate|grant|revoke|call|exec|execute|replace|vacuum|copy|"
    r"lock|into|nextval|setval)\b",
    re.I,
)
# Functions of a SELECT that change nothing; any other may.
_PURE = frozenset(
    """
    count sum avg min max coalesce lower upper trim length abs round cast date now current_timestamp
    current_date concat substring substr json_extract row_number rank dense_rank group_concat string_agg
    array_agg extract date_trunc strftime nullif ifnull if greatest least replace to_char to_date
    """.split()
)


class Does(StrEnum):
    """What running a statement does."""

    READS = "reads"
    WRITES = "writes"
    UNKNOWN = "unknown"


def looks_like_sql(text: str) -> bool:
    """Whether a string in source code is a statement rather than a sentence."""
    return bool(_STATEMENT.match(text))


def quoted_in(prose: str) -> list[str]:
    """Statements written out in a description, at most 20."""
    return [found.group(1).rstrip(" .") for found in _QUOTED.finditer(prose)][:20]


def without_reads(prose: str) -> str:
    """The text without the statements in it that only read: `SELECT` is no act of the tool."""
    return _QUOTED.sub(
        lambda found: "" if effect_of(found[1].rstrip(" .")) is Does.READS else found[0], prose
    )


def effect_of(text: str) -> Does:
    """What `text`, one or several statements, does. Never raises."""
    sqlglot = _library()
    if sqlglot is None or len(text) > MAX_STATEMENT:
        return Does.WRITES if _WRITING.search(text) else Does.UNKNOWN
    try:
        parsed = [tree for tree in sqlglot.parse(text) if tree is not None]
    except (sqlglot.errors.SqlglotError, RecursionError, ValueError):
        return Does.WRITES if _WRITING.search(text) else Does.UNKNOWN
    if not parsed:
        return Does.UNKNOWN
    effects = {_effect(tree, sqlglot.exp) for tree in parsed}
    return next(effect for effect in (Does.WRITES, Does.UNKNOWN, Does.READS) if effect in effects)


def _effect(tree: Any, exp: ModuleType) -> Does:
    if isinstance(tree, exp.Describe | exp.Command | exp.Pragma | exp.Set):
        return Does.UNKNOWN
    # A CTE may hold an INSERT, and a SELECT may create a table, take a lock or draw from a sequence.
    changes = any(not isinstance(node, exp.Query) for node in tree.find_all(exp.DML, exp.DDL))
    if changes or not isinstance(tree, exp.Query | exp.Values) or any(tree.find_all(exp.Into, exp.Lock)):
        return Does.WRITES
    called = {node.name.lower() for node in tree.find_all(exp.Anonymous)}
    return Does.UNKNOWN if called - _PURE else Does.READS


def _library() -> ModuleType | None:
    try:
        return importlib.import_module("sqlglot")
    except ImportError:
        return None
