"""Arguments that a policy reads: those that may be missing, and those that no call has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from specflow.effects.tool import ToolSpec
from specflow.policy.condition import Cel, Scope
from specflow.policy.finding import near
from specflow.policy.lint.atoms import Path
from specflow.policy.lint.sampling import ABSENT, holds, names, space_of
from specflow.policy.lint.shape import look
from specflow.policy.lint.subject import Found, Site, Subject
from specflow.policy.mapping import TEMPLATE


def fallible(subject: Subject) -> Found:
    """SF104: conditions that cannot be evaluated when an optional argument is left out."""
    for site, where, condition, tool in _conditions(subject):
        reported: set[Path] = set()
        space = space_of([condition], tool)
        asked = [path for path in space.values if path[0] == "args"]
        optional = [path for path in asked if look(tool.parameters, path[1:]).present]
        for point in space.points():
            reported |= {
                path
                for path in optional
                if point[path] is ABSENT
                and path not in reported
                and _breaks(condition, point)
                and not _always(condition, point, path, space.values)
            }
        for path in sorted(reported):
            has = _guard(tool, path)
            message = (
                f"{'.'.join(path)} is optional, and without it the condition cannot be evaluated: write "
                f"`{has} && ...` if the rule should then not count, `!({has}) || ...` if it should"
            )
            yield subject.hit(site, *where, message=message)


def unknown(subject: Subject) -> Found:
    """SF105: arguments that the tool does not have."""
    for site, where, condition, tool in _conditions(subject):
        for path in sorted(condition.paths):
            if path[0] == "args" and (text := _unknown(tool, path[1:])):
                yield subject.hit(site, *where, message=text)
    for site in subject.sites:
        known = subject.tool(site.name)
        for where, path in _fields(site) if known is not None else ():
            if known is not None and (text := _unknown(known, path)):
                yield subject.hit(site, *where, message=text)


def _conditions(subject: Subject) -> Iterator[tuple[Site, tuple[str | int, ...], Cel, ToolSpec]]:
    for site in subject.sites:
        tool = subject.tool(site.name)
        if tool is None:
            continue
        for index, rule in enumerate(site.part.rules):
            yield site, ("rules", index, "when"), rule.when, tool
            if rule.unless is not None:
                yield site, ("rules", index, "unless"), rule.unless, tool


def _fields(site: Site) -> Iterator[tuple[tuple[str | int, ...], tuple[str, ...]]]:
    """Arguments named outside of expressions, with the places that name them."""
    part = site.part
    for word, templates in (("reads", part.reads), ("writes", part.writes)):
        for index, template in enumerate(templates or ()):
            for field in TEMPLATE.findall(template):
                root, *path = field.strip().split(".")
                if root == "args":
                    yield (word, index), tuple(path)
    if part.match is not None:
        yield from ((("match", "fields", name), (name,)) for name in part.match.fields)
        yield from ((("match", "ignore", index), (name,)) for index, name in enumerate(part.match.ignore))
    if part.patch is not None:
        yield from ((("patch", "fields", index), (name,)) for index, name in enumerate(part.patch.fields))


def _unknown(tool: ToolSpec, path: tuple[str, ...]) -> str:
    if tool.annotation is not None and path == (tool.annotation.idempotency_key,):
        return ""
    shape = look(tool.parameters, path)
    if shape.present:
        return ""
    name = next((step for step in path if step not in shape.options), path[-1])
    return f"{tool.name} has no argument {'.'.join(path)!r}{near(name, shape.options)}"


def _guard(tool: ToolSpec, path: Path) -> str:
    """`has(...)` for every step of the way that may be missing."""
    steps = range(2, len(path) + 1)
    optional = [end for end in steps if not look(tool.parameters, path[1:end]).sure]
    return " && ".join(f"has({'.'.join(path[:end])})" for end in optional)


def _breaks(condition: Cel, point: Mapping[Path, Any]) -> bool:
    return holds(condition, Scope(names(point))) is None


def _always(condition: Cel, point: Mapping[Path, Any], path: Path, values: Mapping[Path, Any]) -> bool:
    """Whether the condition breaks for every value of the field, so that its absence is not the cause."""
    others = (value for value in values[path] if value is not ABSENT)
    return all(_breaks(condition, {**point, path: value}) for value in others)
