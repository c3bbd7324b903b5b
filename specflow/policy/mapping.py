"""`with:` mappings, which say what a compensator, a verifier or a patch tool is called with."""

from __future__ import annotations

import re
from collections.abc import Mapping

from specflow.effects.tool import ToolSpec
from specflow.policy.condition import Cel

TEMPLATE = re.compile(r"\{([^{}]*)\}")
_PLAIN = re.compile(r"[A-Za-z0-9_$@.-]{1,100}")
_FIELD = re.compile(r"(args|result)(\.[A-Za-z_][A-Za-z0-9_]*)+")


def check_template(text: str) -> str:
    """A resource key such as `seat:{args.flight_id}`.

    Raises:
        ValueError: when a field in braces is not `args.name` or `result.name`.
    """
    for field in TEMPLATE.findall(text):
        if not _FIELD.fullmatch(field.strip()):
            raise ValueError(f"{{{field}}} must be {{args.name}} or {{result.name}}")
    if "{" in TEMPLATE.sub("", text) or "}" in TEMPLATE.sub("", text) or not text.strip():
        raise ValueError("must be a resource key such as seat:{args.flight_id}")
    return text


def derive(
    target: ToolSpec, tool: ToolSpec, *, key: str, roots: frozenset[str]
) -> tuple[dict[str, Cel], frozenset[str]]:
    """A mapping for `target`'s required parameters by identical name, and the names that have none.

    A parameter named like the idempotency key takes the key; else it is taken from a required argument
    of `tool`, else from a required property of its declared result. Guessing further could leave an
    effect that cannot be undone.
    """
    made: dict[str, Cel] = {}
    missing: set[str] = set()
    result = tool.result or {}
    returned = set(result.get("required") or ()) & set(result.get("properties") or ())
    for name in sorted(target.required):
        if "key" in roots and key and name == key:
            source = "key"
        elif not _PLAIN.fullmatch(name):
            missing.add(name)
            continue
        elif name in tool.required:
            source = f'args["{name}"]'
        elif "result" in roots and name in returned:
            source = f'result["{name}"]'
        else:
            missing.add(name)
            continue
        made[name] = Cel(source, roots)
    return made, frozenset(missing)


def problems(
    mapping: Mapping[str, Cel], target: ToolSpec | None, tool: ToolSpec | None
) -> list[tuple[str, str]]:
    """What would keep the mapping from working, as (parameter or "", message).

    Tools that are not known are not checked.
    """
    found: list[tuple[str, str]] = []
    if target is not None:
        missing = sorted(target.required - mapping.keys())
        found += [("", f"{target.name} requires {name!r}, which is not mapped") for name in missing]
        closed = target.parameters.get("additionalProperties") is False or bool(target.properties)
        # The parameter that takes the key is no longer among those a model may choose.
        hidden = {target.annotation.idempotency_key} if target.annotation else set()
        unknown = [name for name in mapping if closed and name not in {*target.properties, *hidden}]
        found += [(name, f"{target.name} has no parameter {name!r}") for name in unknown]
    if tool is not None and tool.properties:
        found += [
            (name, f"{tool.name} has no argument {path[1]!r}")
            for name, expression in mapping.items()
            for path in sorted(expression.paths)
            if path[0] == "args" and len(path) > 1 and path[1] not in tool.properties
        ]
    return found


def overlaps(paths: frozenset[tuple[str, ...]], redacted: tuple[str, ...]) -> str:
    """The first redacted path that one of `paths` reads, is inside of, or holds; else nothing."""
    for text in redacted:
        parts = text.split(".")
        for path in paths:
            if all(mine in (theirs, "*") or theirs == "*" for mine, theirs in zip(parts, path, strict=False)):
                return text
    return ""
