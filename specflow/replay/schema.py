"""The tools of a recorded run, as its file says they are: checked before anything relies on them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import jsonschema

from specflow.effects.call import NotJsonError, canonical_json
from specflow.traces.recorded import RecordedRun, RecordingError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTool:
    """A tool of a run. `parameters` is a valid JSON Schema that refers to nothing outside itself."""

    name: str
    description: str
    parameters: Mapping[str, Any]


def recorded_tools(run: RecordedRun, *, place: str) -> tuple[RecordedTool, ...]:
    """The tools in the order of the record; one that is listed twice in the same words counts once.

    Raises:
        RecordingError: saying at `place` which tool is broken, and how.
    """
    found: dict[str, RecordedTool] = {}
    for number, entry in enumerate(run.tools):
        where = f"{place}: tools.{number}"
        tool = _tool(entry, where)
        if found.setdefault(tool.name, tool) != tool:
            raise RecordingError(f"{where}: another tool of this run is called {tool.name!r} too")
    return tuple(found.values())


def _tool(entry: Mapping[str, Any], where: str) -> RecordedTool:
    function = entry.get("function", entry)
    if not isinstance(function, dict):
        raise RecordingError(f"{where}: 'function' is no object")
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise RecordingError(f"{where}: the tool has no name")
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, dict):
        raise RecordingError(f"{where} ({name}): 'parameters' is no JSON Schema")
    try:
        flaw = _flaw(canonical_json(parameters))
    except NotJsonError as error:
        flaw = str(error)
    if flaw:
        raise RecordingError(f"{where} ({name}): {flaw}")
    return RecordedTool(name=name, description=str(function.get("description") or ""), parameters=parameters)


@lru_cache(maxsize=1024)  # the runs of a file have the same tools
def _flaw(text: str) -> str:
    """What is wrong with a schema, or empty."""
    parameters = json.loads(text)
    try:
        jsonschema.Draft202012Validator.check_schema(parameters)
    except jsonschema.SchemaError as error:
        path = ".".join(["parameters", *map(str, error.absolute_path)])
        return f"{path}: {error.message[:200]}"
    except RecursionError:
        return "parameters: nested too deeply"
    flaws = [
        *(_lost(target, parameters) for target in _values(parameters, "$ref", "$dynamicRef")),
        *(_unreadable(pattern) for pattern in _values(parameters, "pattern")),
    ]
    return next(filter(None, flaws), "")


def _lost(target: str, root: object) -> str:
    """Why a reference leads nowhere, or empty."""
    seen: set[str] = set()
    said = f"parameters: $ref {target[:80]!r}"
    while True:
        # Looking a foreign reference up could contact whatever address a stranger wrote into the file.
        if target != "#" and not target.startswith("#/"):
            return f"{said} leads out of the schema"
        if target in seen:
            return f"{said} leads back to itself"
        seen.add(target)
        node = root
        for key in target[2:].split("/") if target != "#" else ():
            name = unquote(key).replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and name in node:
                node = node[name]
            elif isinstance(node, list) and name.isdecimal() and len(name) < 9 and int(name) < len(node):
                node = node[int(name)]
            else:
                return f"{said} leads nowhere"
        following = node.get("$ref") if isinstance(node, dict) else None
        if not isinstance(following, str):
            return ""
        target = following


def _unreadable(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"parameters: pattern {pattern[:80]!r}: {error}"
    return ""


def _values(schema: object, *keys: str) -> Iterator[str]:
    """Every text that stands under one of `keys`, anywhere in the schema."""
    left = [schema]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield from (found for key in keys if isinstance(found := value.get(key), str))
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
