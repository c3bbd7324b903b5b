"""What the protocol says: hints of an MCP server, the method of an HTTP request."""

from __future__ import annotations

from specflow.policy.suggest.evidence import Artefact, Evidence, Says
from specflow.policy.suggest.subject import Hints, Operation

# RFC 9110, section 9.2.1: methods a client may send without asking for a change; QUERY by its own RFC.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})


def of_hints(hints: Hints, *, trusted: bool) -> list[Evidence]:
    """A server is believed when it admits to a write; when it denies one, only if the user trusts it."""
    if hints.read_only is False:
        return [_said(Says.WRITE, "the server says it is not read-only")]
    if hints.destructive is True and hints.read_only is not True:
        return [_said(Says.WRITE, "the server says it is destructive")]
    if hints.destructive is True:
        return [_said(Says.UNSURE, "the server says read-only and destructive at once")]
    if hints.read_only is True and trusted:
        return [_said(Says.READ, "the server, which is trusted, says read-only")]
    if hints.read_only is True:
        return [_said(Says.NOTE, "the server says read-only; it is not trusted, so that counts for nothing")]
    return []


def of_operation(operation: Operation) -> list[Evidence]:
    """A safe method speaks for a read; any other is a write, though some APIs search by POST."""
    asked = f"the request is {operation.method} {operation.path}"
    return [_said(Says.READ if operation.method in SAFE_METHODS else Says.WRITE, asked)]


def _said(says: Says, text: str) -> Evidence:
    return Evidence(artefact=Artefact.PROTOCOL, says=says, text=text)
