"""What was there before a write: whether it can be read first, stored, and written back."""

from __future__ import annotations

from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.policy import mapping
from specflow.policy.compiled import Ask, Plan
from specflow.policy.judge import declared
from specflow.policy.settings import Before, Undo
from specflow.sealing.sealer import VARIABLE

NOT_STORED = f"redacted and so not stored (with {VARIABLE} set it would be, encrypted)"
"""Why a secret keeps a tool from running early, and what would help."""

_ARGS = frozenset({"args"})


def prepare(
    written: Ask,
    reading: Plan,
    tool: ToolSpec | None,
    *,
    role: str = "reads what was there before",
    place: str = "before",
) -> tuple[Before | None, str]:
    """The read to make before a call of `tool`, or why there is none. `reading` is the plan of the read."""
    name = written.tool
    if not reading.registered:
        return None, f"{name!r}, which {role}, is not a registered tool"
    effect = declared(reading, [])
    if effect is not EffectClass.READ_ONLY:
        return None, f"{name!r}, which {role}, is {effect} and not read_only"
    arguments = written.arguments
    if arguments is None:
        if reading.tool is None or tool is None:
            return (
                None,
                f"the arguments of {name} are not known (the tools are not known): add `{place}.with`",
            )
        arguments, lacking = mapping.derive(reading.tool, tool, key="", roots=_ARGS)
        if lacking:
            return (
                None,
                f"nothing is called {', '.join(sorted(lacking))}, as {name} needs: add `{place}.with`",
            )
    found = mapping.problems(arguments, reading.tool, tool)
    if found:
        return None, f"{name}, which {role}, cannot be called: {found[0][1]}"
    return Before(tool=reading.name, arguments=arguments), ""


def secret(undo: Undo, read: tuple[str, ...], given: tuple[str, ...]) -> str:
    """What of the value from before may not be stored, though the undo needs it; empty when all may.

    `read` are the paths redacted for the tool that reads it, `given` those for the compensator.
    """
    # What is `before` to the undo is `result` to the tool that read it.
    hit = mapping.overlaps(frozenset(("result", *path[1:]) for path in undo.before_paths), read)
    if hit:
        return f"its undo needs {hit.replace('result', 'before', 1)}, which is {NOT_STORED}"
    for name, expression in undo.arguments.items():
        taken = mapping.overlaps(frozenset({("args", name)}), given) if "before" in expression.roots else ""
        if taken:
            return f"its undo gives {undo.tool} {taken}, which is {NOT_STORED}"
    return ""
