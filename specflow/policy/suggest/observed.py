"""The shapes of results in recorded runs: what tools returned, read as a stream, with no value kept.

A run is one line of JSON: `{"turns": [{"tool_calls": [{"id", "name", "args"}], "tool_results": [{"id",
"content", "error"}]}]}`, or OpenAI's messages, `{"messages": [{"role": "assistant", "tool_calls": [{"id",
"function": {"name"}}]}, {"role": "tool", "tool_call_id", "content"}]}`. A file named `.xz` is unpacked.
"""

from __future__ import annotations

import io
import json
import lzma
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from specflow.errors import ConfigurationError
from specflow.policy.suggest.examples import Seen
from specflow.policy.suggest.subject import Subject

MAX_LINE = 64 * 1024 * 1024
"""Characters of one run."""
MAX_TOOLS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """`schema` of the results of one tool that were no errors, and how many there were."""

    schema: Mapping[str, Any]
    count: int


@dataclass(slots=True, kw_only=True)
class _Tally:
    seen: dict[str, Seen] = field(default_factory=lambda: defaultdict(Seen))

    def add(self, run: Mapping[str, Any]) -> None:
        names: dict[str, str] = {}
        for turn in _listed(run.get("turns") or run.get("messages")):
            for call in _listed(turn.get("tool_calls")):
                function = call.get("function")
                name = function.get("name") if isinstance(function, Mapping) else call.get("name")
                if isinstance(name, str):
                    names[str(call.get("id"))] = name
            results = [*_listed(turn.get("tool_results"))]
            if turn.get("role") == "tool":
                results.append({**turn, "id": turn.get("tool_call_id", turn.get("id"))})
            for result in results:
                name = names.get(str(result.get("id")))
                known = name in self.seen or len(self.seen) < MAX_TOOLS
                if isinstance(name, str) and known and not result.get("error"):
                    self.seen[name].add(_value(result.get("content")))


def read(*paths: Path) -> dict[str, Observed]:
    """The shape of what each tool returned in the runs of `paths`, by the tool's name.

    Raises:
        ConfigurationError: when a file cannot be read, or a line of it is no run; says which.
    """
    tally = _Tally()
    for path in paths:
        try:
            with _opened(path) as file:
                for number, line in _lines(file, path):
                    if line.strip():
                        tally.add(_run(line, path, number))
        except (OSError, UnicodeDecodeError, lzma.LZMAError, EOFError) as error:
            raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    return {name: Observed(schema=seen.schema(), count=seen.count) for name, seen in tally.seen.items()}


def shaped(subject: Subject, observed: Mapping[str, Observed]) -> Subject:
    """The subject with the result it was seen to give, unless it declares one, or its results are wrapped.

    What an MCP tool is seen to say reaches an agent as text inside blocks, and so has no fields to take.
    """
    found = observed.get(subject.name)
    if found is None or subject.result or subject.opaque_result:
        return subject
    return replace(subject, result=found.schema, results_seen=found.count)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    if path.exists() and not path.is_file():
        # A pipe would keep the read waiting for ever.
        raise ConfigurationError(f"{path}: not a regular file")
    if path.suffix == ".xz":
        with lzma.open(path) as packed, io.TextIOWrapper(packed, encoding="utf-8") as text:
            yield text
    else:
        with path.open(encoding="utf-8") as plain:
            yield plain


def _lines(file: TextIO, path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) >= MAX_LINE:
            raise ConfigurationError(f"{path}:{number}: a run of {MAX_LINE:,} characters or more")
        yield number, line


def _run(line: str, path: Path, number: int) -> Mapping[str, Any]:
    try:
        run = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path}:{number}: not JSON: {error}", hint="every line must be one recorded run"
        ) from error
    if not isinstance(run, Mapping) or not isinstance(run.get("turns", run.get("messages")), list):
        raise ConfigurationError(f"{path}:{number}: not a run: it has neither `turns` nor `messages`")
    return run


def _value(content: object) -> object:
    """The result as data: text that is JSON is read, other text is text."""
    if not isinstance(content, str):
        return content
    if content.lstrip()[:1] not in {"{", "["}:
        return content
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content


def _listed(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
