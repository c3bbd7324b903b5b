"""The directive `lifecycle`: the legal moves, drawn from `specflow.lifecycle`, so that they cannot drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from specflow import lifecycle

# `Any`: the tables have states of three kinds, and a mapping's key type admits no wider one.
TABLES: Mapping[str, Mapping[Any, frozenset[Any]]] = {
    "effect": lifecycle.MOVES,
    "branch": lifecycle.BRANCH_MOVES,
    "approval": lifecycle.APPROVAL_MOVES,
}


class LifecycleDirective(SphinxDirective):
    """`{lifecycle} effect`, `branch` or `approval`: one row per state, and where it may go."""

    required_arguments = 1
    has_content = False
    option_spec: ClassVar[dict[str, Callable[[str], Any]] | None] = {}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in TABLES:
            raise self.error(f"lifecycle: no table {name!r}; there are {', '.join(TABLES)}")
        return [_table(TABLES[name])]


def _table(moves: Mapping[Any, frozenset[Any]]) -> nodes.table:
    group = nodes.tgroup("", nodes.colspec(colwidth=30), nodes.colspec(colwidth=70), cols=2)
    group += nodes.thead("", _row(nodes.Text("state"), nodes.Text("may become")))
    body = nodes.tbody()
    for source, targets in moves.items():
        ordered = [state for state in moves if state in targets]
        body += _row(nodes.literal("", str(source)), _names(ordered))
    group += body
    return nodes.table("", group)


def _names(states: list[StrEnum]) -> nodes.Node:
    if not states:
        return nodes.emphasis("", "nothing: it ends here")
    cell = nodes.inline()
    for position, state in enumerate(states):
        if position:
            cell += nodes.Text(", ")
        cell += nodes.literal("", str(state))
    return cell


def _row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("lifecycle", LifecycleDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
