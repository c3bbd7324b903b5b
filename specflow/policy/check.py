"""What keeps a policy of the right shape from being used at all. The rest is lint's to find."""

from __future__ import annotations

from collections.abc import Iterator

from specflow.effects.registry import ToolRegistry
from specflow.policy.compiled import Compiled
from specflow.policy.condition import Cel
from specflow.policy.document import ToolPart
from specflow.policy.finding import Finding, near
from specflow.policy.hints import says_it_reads
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
            for where, target in _targets(part):
                if target not in tools:
                    names = [tool.name for tool in tools]
                    message = f"unknown tool {target!r}{near(target, names)}"
                    found.append(_finding(read, ("tools", name, *where, "tool"), "unknown_tool", message))
        for where, message in _unread(part):
            found.append(_finding(read, ("tools", name, "compensate", *where), "before", message))
    return found


def of_reads(read: Read, policy: Compiled, tools: ToolRegistry | None) -> list[Finding]:
    """Tools that `before` names and that are no reads: they would be called before a write, unasked.

    What the file says counts here; whether a person has reviewed it is the judge's question. Without
    `tools`, a tool that no entry classes may have been classed in the Python source.
    """
    assert read.document is not None
    found: list[Finding] = []
    for name, part in read.document.tools.items():
        before = part.compensate.before if part.compensate is not None else None
        if before is None:
            continue
        tool = tools.get(before.tool) if tools is not None else None
        kinds = {entry.effect for entry in policy.entries_for(before.tool, tool) if entry.effect is not None}
        if not kinds and policy.defaults.trust_annotations and tool is not None and tool.annotation:
            kinds = {tool.annotation.effect}
        if not kinds and tool is not None and policy.defaults.trusts(tool) and says_it_reads(tool.hints):
            continue
        writes = max((kind for kind in kinds if kind.writes), key=lambda kind: kind.strictness, default=None)
        if writes is not None:
            message = f"{before.tool!r} is {writes}; what reads the value from before must be read_only"
        elif kinds or tool is None:
            continue
        else:
            message = (
                f"nothing says what {before.tool!r} may do; what reads the value from before must be "
                f"read_only: list it, as in `{before.tool}: {{effect: read_only}}`"
            )
        loc = ("tools", name, "compensate", "before", "tool")
        found.append(_finding(read, loc, "before", message))
    return found


def _targets(part: ToolPart) -> Iterator[tuple[tuple[str | int, ...], str]]:
    before = part.compensate.before if part.compensate is not None else None
    for where, written in (
        (("compensate",), part.compensate),
        (("compensate", "before"), before),
        (("verify",), part.verify),
        (("patch",), part.patch),
        (("version",), part.version),
        *((("show", index), shown) for index, shown in enumerate(part.show or ())),
    ):
        if written is not None:
            yield where, written.tool


def _unread(part: ToolPart) -> Iterator[tuple[tuple[str, ...], str]]:
    """`before` used without being declared, or declared without being used; with the place."""
    written = part.compensate
    if written is None:
        return
    named: list[tuple[tuple[str, ...], Cel]] = [
        (("with", name), expression) for name, expression in (written.with_ or {}).items()
    ]
    if written.succeeded_when is not None:
        named.append((("succeeded_when",), written.succeeded_when))
    using = [where for where, expression in named if "before" in expression.roots]
    if written.before is None:
        for where in using:
            yield (
                where,
                (
                    "it reads `before`, and nothing says what that is: add "
                    "`before: {tool: ..., with: {...}}` to `compensate`"
                ),
            )
    elif written.with_ is None:
        yield ("before",), "with `before`, write `with` out: it says what of `before` is written back"
    elif not using:
        yield ("before",), "nothing reads it: use `before` in `with` or in `succeeded_when`, or remove it"


def _finding(read: Read, loc: tuple[str | int, ...], code: str, message: str) -> Finding:
    line, column = place(read.spot, loc)
    return Finding(file=read.file, line=line, column=column, path=dotted(loc), code=code, message=message)
