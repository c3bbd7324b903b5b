"""What runs early, and what has to be written for that to be safe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.policy.condition import Cel
from specflow.policy.lint.shape import resolve, types_of
from specflow.policy.lint.subject import Found, Site, Subject
from specflow.policy.mapping import TEMPLATE

_READ = EffectClass.READ_ONLY
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_PLACES = frozenset(
    {
        "url",
        "urls",
        "uri",
        "uris",
        "href",
        "link",
        "links",
        "host",
        "hostname",
        "domain",
        "endpoint",
        "website",
    }
    | {"webhook", "address", "addresses", "email", "emails", "mail", "recipient", "recipients", "cc", "bcc"}
    | {"path", "paths", "file", "files", "filename", "filepath", "dir", "directory", "folder"}
    | {"text", "body", "message", "content", "contents", "prompt", "question", "query", "sql", "comment"}
    | {"description", "note", "notes", "expression", "thought", "html", "markdown"}
)
_FORMATS = frozenset(
    {"uri", "uri-reference", "iri", "iri-reference", "hostname", "idn-hostname", "ipv4", "ipv6", "email"}
    | {"idn-email", "path", "file-path", "directory-path"}
)
_AGENT = re.compile(
    r"(?:^|[_\W])(?:sub_?)?(?:agent|agents|delegate|handoff)(?:[_\W]|$)|\bsub-?agents?\b", re.IGNORECASE
)


def unsure(subject: Subject) -> Found:
    """SF301: writes that run early on the confidence that is good enough for reads."""
    for site in subject.sites:
        part = site.part
        if subject.effect(site.name) is not EffectClass.COMPENSATABLE or part.min_confidence is not None:
            continue
        message = (
            "a write that runs early needs a confidence of its own: add `min_confidence`, for example 0.8"
        )
        if part.speculate == "now":
            yield subject.hit(site, "speculate", message=message, key=True)
        for index, rule in enumerate(part.rules):
            if rule.allow and rule.allow.speculate == "now" and rule.allow.min_confidence is None:
                yield subject.hit(site, "rules", index, "allow", message=message, key=True)


def cached(subject: Subject) -> Found:
    """SF302: caches on what is not a read."""
    for site in subject.sites:
        part = site.part
        for word, written in (
            ("cache", part.cache),
            ("version", part.version),
            ("verify_sample", part.verify_sample),
        ):
            if written is not None and _writes(subject, site):
                message = f"only the result of a read stays good for a while: remove `{word}`"
                yield subject.hit(site, word, message=message, key=True)


def ignored(subject: Subject) -> Found:
    """SF303: fields that do not count when calls are compared, and that decide something."""
    for site in subject.sites:
        match = site.part.match
        if match is None:
            continue
        for index, name in enumerate(match.ignore):
            reader = next((who for who, read in _readers(subject, site) if name in read), "")
            if reader:
                message = (
                    f"{reader} reads args.{name}: a call could be answered with the result of one that was "
                    f"judged differently. Remove {name!r} from `ignore`, or from {reader}"
                )
                yield subject.hit(site, "match", "ignore", index, message=message)


def matched(subject: Subject) -> Found:
    """SF304: loose matching on what is not a read."""
    for site in subject.sites:
        match = site.part.match
        if match is not None and match.mode != "exact" and _writes(subject, site):
            message = "writes always match exactly, whatever is written here: remove `match`"
            yield subject.hit(site, "match", message=message, key=True)
        elif match is not None and match.mode == "exact" and (match.fields or match.ignore):
            message = "`fields` and `ignore` count only with `mode: normalised`: add it, or remove them"
            yield subject.hit(site, "match", message=message, key=True)


def undeclared(subject: Subject) -> Found:
    """SF305: tools whose early calls would wait, since nothing says what they may contact."""
    told: set[str] = set()
    for site in subject.sites:
        entries = subject.entries(site.name)
        if site.name in told or not subject.early(site.name) or any(entry.destinations for entry in entries):
            continue
        told.add(site.name)
        names = dict.fromkeys(name for name in _arguments(subject, site) if _tells(subject, site, name))
        if names:
            message = (
                f"{', '.join(names)} may hold a URL, host, address, path or free text, which no guess sends "
                "anywhere: add `destinations` with what an early call may contact, or `speculate: hold`"
            )
            yield subject.hit(site, message=message, key=True)


def reached(subject: Subject) -> Found:
    """SF306: tools that run early, and whose body calls what a person must confirm."""
    for site in subject.sites:
        if not subject.early(site.name):
            continue
        for index, name in enumerate(site.part.calls or ()):
            way = _to_confirmation(subject, name)
            if way:
                message = (
                    f"{' -> '.join([site.name, *way])} is {subject.effect(way[-1])}, and {site.name} runs "
                    f"before the model has asked for it: say `speculate: never` for {site.name}"
                )
                yield subject.hit(site, "calls", index, message=message)


def opaque(subject: Subject) -> Found:
    """SF307: tools that run early, and that look as if an agent were inside."""
    for site in subject.sites:
        if site.part.calls is not None or not subject.early(site.name):
            continue
        tool = subject.tool(site.name)
        if _AGENT.search(site.name) or (tool is not None and _AGENT.search(tool.description[:500])):
            message = (
                "it looks as if its body runs an agent, and a policy cannot see which tools that calls: "
                "write `calls: [...]` (`[]` for none), or `speculate: never`"
            )
            yield subject.hit(site, message=message, key=True)


def _writes(subject: Subject, site: Site) -> bool:
    """Whether the entry is about something that is known to be no read."""
    if site.part.effect is not None:
        return site.part.effect != "read_only"
    annotation = subject.plan(site.name).annotation
    return annotation is not None and annotation.effect is not _READ


def _readers(subject: Subject, site: Site) -> Iterator[tuple[str, set[str]]]:
    """What of the policy reads arguments of the tool, with their names."""
    for entry in subject.entries(site.name):
        for rule_id, when, unless in (
            *((rule.id, rule.when, rule.unless) for rule in entry.allows),
            *((rule.id, rule.when, rule.unless) for rule in entry.requires),
        ):
            yield f"rule {rule_id!r}", _read([when, *([unless] if unless is not None else [])])
        for word, templates in (("`reads`", entry.reads), ("`writes`", entry.writes)):
            yield word, _in_templates(templates or ())


def _read(conditions: list[Cel]) -> set[str]:
    return {path[1] for cel in conditions for path in cel.paths if path[0] == "args" and len(path) > 1}


def _in_templates(templates: tuple[str, ...]) -> set[str]:
    fields = [field.strip().split(".") for template in templates for field in TEMPLATE.findall(template)]
    return {field[1] for field in fields if field[0] == "args"}


def _arguments(subject: Subject, site: Site) -> Iterator[str]:
    """Names of arguments: the tool's, where it is known; else those that the policy reads."""
    tool = subject.tool(site.name)
    if tool is not None:
        yield from tool.properties
        return
    for _, names in _readers(subject, site):
        yield from sorted(names)


def _tells(subject: Subject, site: Site, name: str) -> bool:
    """Whether the argument may hold something that says where to go, or what someone wrote."""
    tool = subject.tool(site.name)
    schema: Mapping[str, Any] = {}
    if tool is not None:
        schema = resolve(tool.parameters, tool.properties[name])
    inner = schema.get("items")
    for part in (schema, inner if isinstance(inner, Mapping) else {}):
        if part.get("format") in _FORMATS:
            return True
    chosen = schema.get("enum") is not None or "const" in schema
    kinds = types_of(schema, schema)
    if chosen or (kinds is not None and not kinds & {"string", "array", "object"}):
        return False
    return any(word.lower() in _PLACES for word in _WORD.findall(name))


def _to_confirmation(subject: Subject, start: str) -> list[str]:
    """The calls from `start` to a tool that must be confirmed; empty when none is known."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        if subject.effect(way[-1]).strictness >= EffectClass.CONFIRMATION_REQUIRED.strictness:
            return way
        for site in subject.sites:
            for name in (site.part.calls or ()) if site.name == way[-1] else ():
                if name not in seen:
                    seen.add(name)
                    ways.append([*way, name])
    return []
