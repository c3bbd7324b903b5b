"""What is wrong with a policy beyond its shape: names that lead nowhere, undos that could not be called."""

from __future__ import annotations

from collections.abc import Iterator

from specflow.effects.registry import ToolRegistry
from specflow.policy import mapping
from specflow.policy.document import ToolPart
from specflow.policy.finding import Finding, near
from specflow.policy.policy import Policy
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


def of_policy(policy: Policy, reads: tuple[Read, ...]) -> list[Finding]:
    """What will not stop the policy from loading, but keeps it from doing what it says."""
    found: list[Finding] = []
    listed = {name for read in reads if read.document for name in read.document.tools}
    for read in reads:
        for name, part in read.document.tools.items() if read.document else ():
            found.extend(_of_tool(policy, read, name, part, listed))
    return sorted(set(found))


def _of_tool(policy: Policy, read: Read, name: str, part: ToolPart, listed: set[str]) -> Iterator[Finding]:
    loc = ("tools", name)
    tools = policy.tools
    if tools is not None and not any(
        policy.compiled.entries_for(tool.name) for tool in tools if _names(policy, name, tool.name)
    ):
        names = [tool.name for tool in tools]
        yield _finding(
            read, loc, "unknown_tool", f"no registered tool is called {name!r}{near(name, names)}", key=True
        )
    if tools is None:
        for field, target in _targets(part):
            if target not in listed and not policy.compiled.entries_for(target):
                message = f"unknown tool {target!r}{near(target, listed)}: list it under tools"
                yield _finding(read, (*loc, field, "tool"), "unknown_tool", message)
    yield from _of_undo(policy, read, name, part)


def _names(policy: Policy, pattern: str, name: str) -> bool:
    return any(entry.pattern == pattern for entry in policy.compiled.entries_for(name))


def _of_undo(policy: Policy, read: Read, name: str, part: ToolPart) -> Iterator[Finding]:
    loc = ("tools", name)
    tool = policy.tools.get(name) if policy.tools is not None else None
    annotated = tool.annotation if tool is not None else None
    known = part.compensate is not None or (annotated is not None and bool(annotated.undo))
    if part.effect == "compensatable" and not known and not _compensated(policy, name):
        early = part.speculate == "now" or any(
            rule.allow and rule.allow.speculate == "now" for rule in part.rules
        )
        code = "compensator_missing_early" if early else "compensator_missing"
        more = ", so it never runs early" if early else ""
        yield _finding(
            read, loc, code, f"compensatable without a compensator{more}: add compensate", key=True
        )
    for field, undo in (("compensate", part.compensate), ("verify", part.verify), ("patch", part.patch)):
        if undo is None or policy.tools is None:
            continue
        target = policy.tools.get(undo.tool)
        if undo.with_ is not None:
            for parameter, message in mapping.problems(undo.with_, target, tool):
                where = (*loc, field, "with", parameter) if parameter else (*loc, field, "with")
                yield _finding(read, where, "mapping", message, key=True)
        elif field == "compensate" and tool is not None and target is not None:
            problem = policy.plan(name, tool).no_undo
            if problem:
                yield _finding(read, (*loc, field), "mapping", problem, key=True)


def _compensated(policy: Policy, name: str) -> bool:
    return any(entry.compensate for entry in policy.compiled.entries_for(name))


def _targets(part: ToolPart) -> Iterator[tuple[str, str]]:
    for field, written in (("compensate", part.compensate), ("verify", part.verify), ("patch", part.patch)):
        if written is not None:
            yield field, written.tool


def _finding(read: Read, loc: tuple[str, ...], code: str, message: str, *, key: bool = False) -> Finding:
    line, column = place(read.spot, loc, key=key)
    return Finding(file=read.file, line=line, column=column, path=dotted(loc), code=code, message=message)
