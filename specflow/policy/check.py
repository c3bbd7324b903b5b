"""What keeps a policy of the right shape from being used at all. The rest is lint's to find."""

from __future__ import annotations

from collections.abc import Iterator

from specflow.effects.registry import ToolRegistry
from specflow.policy.document import ToolPart
from specflow.policy.finding import Finding, near
from specflow.policy.read_document import Read, dotted, place


def of_document(read: Read, tools: ToolRegistry | None) -> list[Finding]:
    """What must be right before the policy may be used at all. `tools` None: names are not checked."""
    assert read.document is not None
    found: list[Finding] = []
    for name, part in read.document.tools.items():
        if part.reviewed and "*" in name:
            loc = ("tools", name, "reviewed")
            found.append(
                _finding(read, loc, "reviewed_pattern", "a review holds for one tool: write its name out")
            )
        if tools is not None and name in tools:
            for field, target in _targets(part):
                if target not in tools:
                    names = [tool.name for tool in tools]
                    message = f"unknown tool {target!r}{near(target, names)}"
                    found.append(_finding(read, ("tools", name, field, "tool"), "unknown_tool", message))
    return found


def _targets(part: ToolPart) -> Iterator[tuple[str, str]]:
    for field, written in (("compensate", part.compensate), ("verify", part.verify), ("patch", part.patch)):
        if written is not None:
            yield field, written.tool


def _finding(read: Read, loc: tuple[str, ...], code: str, message: str) -> Finding:
    line, column = place(read.spot, loc)
    return Finding(file=read.file, line=line, column=column, path=dotted(loc), code=code, message=message)
