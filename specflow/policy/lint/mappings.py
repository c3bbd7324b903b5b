"""`with:` mappings against the schemas of the tools they join."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from specflow.effects.tool import ToolSpec
from specflow.policy import before, mapping
from specflow.policy.condition import Cel
from specflow.policy.finding import near
from specflow.policy.lint.atoms import literal
from specflow.policy.lint.shape import fits, look, name_of
from specflow.policy.lint.subject import Found, Site, Subject

_DERIVED = {
    "compensate": frozenset({"args", "result", "key"}),
    "before": frozenset({"args"}),
    "verify": frozenset({"args", "key"}),
    "version": frozenset({"args"}),
}
"""What arguments are taken from by identical name, where no `with` is written. A patch writes its own."""


class Joined(NamedTuple):
    """A mapping of `site` (at `where`) that calls `target`, the tool called `name`.

    `tool` is the one the entry is about, `first` the one that is read before it; all as far as known.
    """

    site: Site
    where: tuple[str, ...]
    mapping: Mapping[str, Cel] | None
    tool: ToolSpec | None
    target: ToolSpec | None
    name: str
    first: ToolSpec | None


def joined(subject: Subject) -> Iterator[Joined]:
    """Every mapping of the policy."""
    for site in subject.sites:
        part = site.part
        read = part.compensate.before if part.compensate is not None else None
        first = subject.tool(read.tool) if read is not None else None
        for where, written in (
            (("compensate",), part.compensate),
            (("compensate", "before"), read),
            (("verify",), part.verify),
            (("patch",), part.patch),
            (("version",), part.version),
        ):
            if written is not None:
                tool, target = subject.tool(site.name), subject.tool(written.tool)
                yield Joined(site, where, written.with_, tool, target, written.tool, first)


def unmapped(subject: Subject) -> Found:
    """SF205: required arguments that nothing gives."""
    for join in joined(subject):
        if join.target is None:
            continue
        if join.mapping is not None:
            for name in sorted(join.target.required - join.mapping.keys()):
                message = f"{join.name} requires {name!r}, which is not mapped: add it to `with`"
                yield subject.hit(join.site, *join.where, "with", message=message, key=True)
            continue
        if join.tool is None:
            continue
        settings = subject.plan(join.site.name).settings
        roots = _DERIVED[join.where[-1]]
        _, lacking = mapping.derive(join.target, join.tool, key=settings.idempotency_key, roots=roots)
        for name in sorted(lacking):
            message = (
                f"{join.name} requires {name!r}, and nothing of {join.tool.name} is called so: add `with`"
            )
            yield subject.hit(join.site, *join.where, message=message, key=True)


def astray(subject: Subject) -> Found:
    """SF206: mappings that give what is not taken, or take what is not there."""
    yield from _returned(subject)
    for join in joined(subject):
        for name, expression in (join.mapping or {}).items():
            loc = (*join.where, "with", name)
            if join.target is not None and not _takes(join.target, name):
                text = f"{join.name} has no parameter {name!r}{near(name, join.target.properties)}"
                yield subject.hit(join.site, *loc, message=text, key=True)
            for path in sorted(expression.paths):
                if text := _missing(_owner(join, path), path):
                    yield subject.hit(join.site, *loc, message=text)
        done = join.site.part.compensate
        if join.where == ("compensate",) and done is not None and done.succeeded_when:
            for path in sorted(done.succeeded_when.paths):
                # `args` are those of the effect, `result` is what the compensator answered.
                owner = join.target if path[0] == "result" else _owner(join, path)
                if text := _missing(owner, path):
                    yield subject.hit(join.site, "compensate", "succeeded_when", message=text)


def _returned(subject: Subject) -> Found:
    """What a patched call returns, made of what is not there."""
    for site in subject.sites:
        patch = site.part.patch
        if patch is not None and patch.returns is not None:
            tool, target = subject.tool(site.name), subject.tool(patch.tool)
            for path in sorted(patch.returns.paths):
                owner, read = (target, ("result", *path[1:])) if path[0] == "patched" else (tool, path)
                if text := _missing(owner, read):
                    yield subject.hit(site, "patch", "returns", message=text)


def mistyped(subject: Subject) -> Found:
    """SF207: values of a type that the parameter does not take."""
    for join in joined(subject):
        if join.target is None:
            continue
        for name, expression in (join.mapping or {}).items():
            given = _types(expression, join)
            wanted = look(join.target.parameters, (name,)).types
            if not fits(given, wanted):
                message = (
                    f"{expression.source} is {_either(given)}, and {join.name} takes {_either(wanted)} as "
                    f"{name!r}: convert it, for example with string(...) or int(...)"
                )
                yield subject.hit(join.site, *join.where, "with", name, message=message)


def redacted(subject: Subject) -> Found:
    """SF208: undos that need what is not stored."""
    if subject.policy.keeps_secrets:
        return
    for join in joined(subject):
        if join.where not in {("compensate",), ("verify",)}:
            # A patch and a read from before are called at once, with what the real call holds.
            continue
        paths = frozenset(path for expression in (join.mapping or {}).values() for path in expression.paths)
        hit = mapping.overlaps(paths, subject.plan(join.site.name).settings.redact)
        if hit:
            message = (
                f"{join.name} needs {hit}, which is {before.NOT_STORED}, so {join.site.name} never runs "
                "early: map something else, such as `key`"
            )
            yield subject.hit(join.site, *join.where, "with", message=message, key=True)
    for site in subject.sites:
        plan = subject.plan(site.name)
        undo, written = plan.settings.undo, site.part.compensate
        if written is not None and written.before and undo is not None and plan.before is not None:
            given = subject.plan(undo.tool).settings.redact
            if text := before.secret(undo, plan.before.settings.redact, given):
                message = f"{text}, so {site.name} never runs early: write back something else"
                yield subject.hit(site, "compensate", "with", message=message, key=True)
        if site.part.speculate == "now" and plan.redaction.startswith("its result"):
            message = f"{plan.redaction}, so it never runs early: say `speculate: hold`, or do not redact it"
            yield subject.hit(site, "speculate", message=message)


def _takes(target: ToolSpec, name: str) -> bool:
    filled = target.annotation.idempotency_key if target.annotation is not None else ""
    return name == filled or look(target.parameters, (name,)).present


def _owner(join: Joined, path: tuple[str, ...]) -> ToolSpec | None:
    """The tool whose arguments or result the path reads."""
    return join.first if path[0] == "before" else join.tool


def _missing(tool: ToolSpec | None, path: tuple[str, ...]) -> str:
    """Why there is nothing, or perhaps nothing, at the path."""
    if tool is None or path[0] not in {"args", "result", "before"} or len(path) == 1:
        return ""
    schema = tool.parameters if path[0] == "args" else tool.result
    shape = look(schema, path[1:])
    text = ".".join(path)
    if not shape.present:
        word = "argument" if path[0] == "args" else "field in its result called"
        return f"{tool.name} has no {word} {'.'.join(path[1:])!r}{near(path[-1], shape.options)}"
    if not shape.sure and path[0] == "before":
        return (
            f"{text} is not always in the result of {tool.name}: without it the call waits for the real run"
        )
    if not shape.sure and path[0] == "result":
        return f"{text} is not always in the result of {tool.name}: map what is always there, such as `key`"
    return ""


def _types(expression: Cel, join: Joined) -> frozenset[str] | None:
    """The types of the value, where the expression is a field or a written value; else not known."""
    if not expression.roots:
        value = literal(expression.source)
        return frozenset({name_of(value)}) if value is not None else None
    paths = list(expression.paths)
    if len(paths) != 1 or not _is_field(expression.source, paths[0]):
        return None
    if paths[0] == ("key",):
        return frozenset({"string"})
    tool = _owner(join, paths[0])
    if tool is None or paths[0][0] == "key":
        return None
    return look(tool.parameters if paths[0][0] == "args" else tool.result, paths[0][1:]).types


def _is_field(source: str, path: tuple[str, ...]) -> bool:
    text = source.replace(" ", "")
    bracketed = path[0] + "".join(f'["{step}"]' for step in path[1:])
    return text in {".".join(path), bracketed, bracketed.replace('"', "'")}


def _either(types: frozenset[str] | None) -> str:
    return " or ".join(sorted(types or ()))
