"""What an MCP server says of its tools: believed at once against a tool, in its favour only when trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specflow.effects.kind import EffectClass, strictest
from specflow.effects.tool import ToolSpec


def says_it_reads(hints: Mapping[str, Any]) -> bool:
    """Whether the hints say that the tool only reads, and nothing else beside it."""
    return hints.get("readOnlyHint") is True and hints.get("destructiveHint") is not True


def says_it_writes(hints: Mapping[str, Any]) -> str:
    """The hint that says that it writes, or nothing."""
    if hints.get("readOnlyHint") is False:
        return "readOnlyHint: false"
    # Only a tool that is not read-only can be destructive; one that says both is not to be believed.
    return "destructiveHint: true" if hints.get("destructiveHint") is True else ""


def floor(tool: ToolSpec) -> tuple[EffectClass | None, str]:
    """The least that the tool is, by its Python source and by its server, and whose word that is."""
    annotated = tool.annotation.effect if tool.annotation is not None else None
    hint = says_it_writes(tool.hints)
    if not hint:
        return annotated, "the Python source" if annotated is not None else ""
    hinted = (
        EffectClass.CONFIRMATION_REQUIRED
        if tool.hints.get("destructiveHint") is True
        else EffectClass.COMPENSATABLE
    )
    if annotated is not None and strictest(annotated, hinted) is annotated:
        return annotated, "the Python source"
    return hinted, f"its server ({hint})"


def believing(tool: ToolSpec | None) -> str:
    """How a server's word for a tool could be believed, where it has given one; for the end of a sentence."""
    if tool is None or tool.origin is None or not tool.origin.at or not says_it_reads(tool.hints):
        return ""
    origin = tool.origin
    return (
        f"; its server says that it only reads: to believe it, add `{{name: {origin.server}, "
        f'at: "{origin.at}", schemas: {{{origin.tool}: {tool.schema_hash}}}}}` to trusted_mcp_servers'
    )
