"""How effects of a tool are amended: with what, or why they are undone and made anew instead."""

from __future__ import annotations

from collections.abc import Iterator

from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.policy import compiled, mapping
from specflow.policy.compiled import Plan
from specflow.policy.condition import Cel
from specflow.policy.judge import declared
from specflow.policy.settings import Patch, Undo
from specflow.policy.verdict import Reason

_UNREVIEWED = frozenset({"proposed", "schema_changed", "unlisted"})


def prepare(
    written: compiled.Patch | None,
    amending: Plan | None,
    tool: ToolSpec | None,
    undo: Undo | None,
    redact: tuple[str, ...],
) -> tuple[Patch | None, str]:
    """The patch, or why there is none that could be used. `amending` is the plan of the tool that amends."""
    if written is None or amending is None:
        return None, ""
    problem = (
        _barred(written, amending, tool)
        or _undo_changes(undo, written.fields)
        or _secret(written, redact, amending.settings.redact)
    )
    if problem:
        return None, problem
    made = Patch(
        tool=amending.name,
        fields=frozenset(written.fields),
        arguments=written.arguments,
        returns=written.returns,
        effect=declared(amending, []),
    )
    return made, ""


def _barred(written: compiled.Patch, amending: Plan, tool: ToolSpec | None) -> str:
    """Why the tool that amends may not be called for this, or could not be."""
    name = f"{written.tool!r}, which amends it,"
    if not amending.registered:
        return f"{name} is not a registered tool"
    reasons: list[Reason] = []
    effect = declared(amending, reasons)
    if effect in {EffectClass.DENY, EffectClass.READ_ONLY}:
        return f"{name} is {effect}"
    doubt = next((reason.message for reason in reasons if reason.code in _UNREVIEWED), "")
    if doubt:
        return f"{name} is not to be called unasked: {doubt}"
    if amending.tool is not None and amending.tool.injected:
        return f"{name} takes state of the real run"
    found = mapping.problems(written.arguments, amending.tool, tool)
    return f"{name} cannot be called: {found[0][1]}" if found else ""


def _undo_changes(undo: Undo | None, fields: tuple[str, ...]) -> str:
    """Why the undo on record would not fit what was amended: it was made of the arguments before."""
    if undo is None:
        return "nothing takes it back, so it never runs early"
    expressions = [*undo.arguments.values(), *([undo.succeeded_when] if undo.succeeded_when else [])]
    paths = frozenset(path for expression in expressions for path in expression.paths)
    hit = mapping.overlaps(paths, tuple(f"args.{field}" for field in fields))
    return (
        f"its undo reads {hit}, which a patch changes: map something that stays, such as `key`" if hit else ""
    )


def _secret(written: compiled.Patch, redact: tuple[str, ...], given: tuple[str, ...]) -> str:
    """What of a patch would be on record in the clear, or could not be handed out again, though redacted."""
    paths = frozenset(path for expression in _expressions(written) for path in expression.paths)
    hit = mapping.overlaps(paths, redact)
    # What the real call returns is stored with the patch.
    hit = hit or next((path for path in (*redact, *given) if path.startswith("result.")), "")
    return f"{hit} is redacted, and would be a part of the patch" if hit else ""


def _expressions(written: compiled.Patch) -> Iterator[Cel]:
    yield from written.arguments.values()
    if written.returns is not None:
        yield written.returns
