"""OpenAPI and Swagger documents as tools, one for each operation. Nothing that they refer to is fetched."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from specflow.errors import ConfigurationError
from specflow.policy.suggest.subject import Operation, Subject

MAX_BYTES = 20 * 1024 * 1024
MAX_DEPTH = 100
MAX_OPERATIONS = 5_000
MAX_HOPS = 32
UNRESOLVED = "something that the document does not spell out"
"""Stands among the required inputs when there is one nobody can name: such a tool undoes nothing."""

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")


def read(path: Path) -> list[Subject]:
    """The operations of the document in `path`.

    Raises:
        ConfigurationError: when it is not there, too large, or not an OpenAPI document.
    """
    try:
        if path.exists() and not path.is_file():
            # A pipe would keep the read waiting for ever.
            raise ConfigurationError(f"{path}: not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path}: larger than {MAX_BYTES // 2**20} MiB")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    return subjects(_load(text, str(path)), str(path))


def subjects(document: object, origin: str) -> list[Subject]:
    """One subject for each operation, as parsed JSON or YAML describes it.

    Raises:
        ConfigurationError: when it is not an OpenAPI document, or has too many operations.
    """
    if not isinstance(document, Mapping) or not ("openapi" in document or "swagger" in document):
        raise ConfigurationError(
            f"{origin}: not an OpenAPI document: it says neither `openapi` nor `swagger`"
        )
    found: list[Subject] = []
    for path, method, shared, operation in _operations(document):
        asked = Operation(method=method.upper(), path=path)
        found.append(_subject(document, asked, shared, operation, origin))
        if len(found) > MAX_OPERATIONS:
            raise ConfigurationError(f"{origin}: more than {MAX_OPERATIONS:,} operations")
    return found


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Mapping[str, Any]]]:
    paths = document.get("paths")
    for path, written in (paths if isinstance(paths, Mapping) else {}).items():
        item = _resolve(document, written)
        for method in _METHODS:
            operation = item.get(method)
            if isinstance(operation, Mapping):
                yield str(path), method, item.get("parameters"), operation


def _subject(
    document: Mapping[str, Any], asked: Operation, shared: Any, operation: Mapping[str, Any], origin: str
) -> Subject:
    properties, required = _inputs(document, shared, operation)
    told = [text for key in ("summary", "description") if isinstance(text := operation.get(key), str)]
    name = operation.get("operationId")
    return Subject(
        name=name if isinstance(name, str) and name else _name(asked),
        description="\n\n".join(told),
        parameters={"type": "object", "properties": properties, "required": required},
        result=_result(document, operation),
        operation=asked,
        origin=f"{origin} {asked.method} {asked.path}",
    )


def _name(asked: Operation) -> str:
    return "_".join([asked.method.lower(), *re.findall(r"[A-Za-z0-9]+", asked.path)])


def _inputs(
    document: Mapping[str, Any], shared: Any, operation: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    properties: dict[str, Any] = {}
    required: set[str] = set()
    for listed in (shared, operation.get("parameters")):
        for item in listed if isinstance(listed, list) else ():
            part = _resolve(document, item)
            name = part.get("name")
            if not isinstance(name, str):
                required.add(UNRESOLVED)
                continue
            if part.get("in") == "body":
                _merge(document, part.get("schema"), properties, required)
                continue
            schema = _resolve(document, part.get("schema")) or {
                k: part[k] for k in ("type", "enum") if k in part
            }
            properties[name] = {
                **schema,
                "description": part.get("description", schema.get("description", "")),
            }
            if _true(part.get("required")):
                required.add(name)
    if "requestBody" in operation:
        body = _schema_of(document, _resolve(document, operation["requestBody"]))
        _merge(document, body, properties, required)
        if not _flat(document, body)["properties"]:
            required.add(UNRESOLVED)
    return properties, sorted(required)


def _merge(document: Mapping[str, Any], schema: Any, properties: dict[str, Any], required: set[str]) -> None:
    flat = _flat(document, schema)
    properties.update(flat["properties"])
    required.update(flat["required"])


def _result(document: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of what a success returns, when there is exactly one."""
    responses = operation.get("responses")
    good = [
        _resolve(document, item)
        for status, item in (responses if isinstance(responses, Mapping) else {}).items()
        if str(status).startswith("2")
    ]
    if len(good) != 1:
        return None
    schema = good[0].get("schema") or _schema_of(document, good[0])
    flat = _flat(document, schema)
    return {"type": "object", **flat} if flat["properties"] else None


def _schema_of(document: Mapping[str, Any], part: Mapping[str, Any]) -> Any:
    content = part.get("content")
    media = content if isinstance(content, Mapping) else {}
    chosen = next((media[kind] for kind in sorted(media, key=str) if "json" in str(kind)), None)
    return _resolve(document, chosen).get("schema")


def _flat(document: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """The top-level properties of an object schema, `allOf` merged in. Nothing below is expanded."""
    properties: dict[str, Any] = {}
    required: set[str] = set()
    waiting = [schema]
    seen: set[int] = set()
    while waiting and len(seen) < MAX_HOPS:
        part = _resolve(document, waiting.pop(0))
        if id(part) in seen:
            continue
        seen.add(id(part))
        inner = part.get("properties")
        for name, each in (inner if isinstance(inner, Mapping) else {}).items():
            properties[str(name)] = _resolve(document, each)
        named = part.get("required")
        required.update(name for name in named if isinstance(name, str)) if isinstance(named, list) else None
        more = part.get("allOf")
        waiting.extend(more[:MAX_HOPS] if isinstance(more, list) else ())
    if waiting:
        required.add(UNRESOLVED)
    return {"properties": properties, "required": sorted(required)}


def _resolve(document: Mapping[str, Any], part: Any) -> Mapping[str, Any]:
    """`part` with its own reference followed. A reference to elsewhere, or in a circle, is an empty part."""
    for _ in range(MAX_HOPS):
        if not isinstance(part, Mapping):
            return {}
        target = part.get("$ref")
        if not isinstance(target, str):
            return part
        part = _at(document, target)
    return {}


def _at(document: Mapping[str, Any], pointer: str) -> Any:
    if not pointer.startswith("#/"):
        return None
    found: Any = document
    for step in pointer[2:].split("/")[:MAX_HOPS]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _true(value: object) -> bool:
    # YAML is read as text, so that `on` and `no` surprise nobody.
    return value is True or value == "true"


def _load(text: str, origin: str) -> object:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{origin}: not JSON: {error}") from error
    try:
        _check(text, origin)
        loaded: object = yaml.load(text, Loader=_loader())  # noqa: S506 - a loader that makes text, lists and mappings only
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(f"{origin}: not YAML: {' '.join(str(error).split())}") from error
    return loaded


def _check(text: str, origin: str) -> None:
    """Refuses what makes a loader recurse or expand, before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ConfigurationError(
                f"{origin}: anchors and aliases are not read: write them out, or give JSON"
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ConfigurationError(f"{origin}: nested more than {MAX_DEPTH} levels deep")


def _loader() -> Any:
    """A loader without types; the one in C where PyYAML has it."""
    return getattr(importlib.import_module("yaml"), "CBaseLoader", yaml.BaseLoader)
