"""YAML text to plain data and positions, by one iterative pass over the parser's events.

Nothing is built by a loader: loaders recurse (50,000 brackets end the process), follow aliases and turn
`no` and `010` into surprises. Limits are checked before a node is kept.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml import events

from specflow.policy.finding import Finding

MAX_NODES = 50_000
MAX_DEPTH = 32
MAX_FINDINGS = 200

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][+-]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
# Control characters, and those that make a reviewer see another text than the machine.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)


class Spot(NamedTuple):
    """Where a node stands (from 1), where its key stands, and the same for what it holds."""

    line: int
    column: int
    key_line: int
    key_column: int
    children: dict[str | int, Spot] | None


_START = Spot(1, 1, 1, 1, None)


@dataclass(slots=True)
class Parsed:
    """Plain data with its positions; `findings` says why the data is not to be used, if it is not."""

    data: Any = None
    spot: Spot = _START
    findings: list[Finding] = field(default_factory=list)


class _PythonParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


@dataclass(slots=True)
class _Frame:
    """A collection that is still open."""

    items: Any
    children: dict[str | int, Spot]
    line: int
    column: int
    key_line: int
    key_column: int
    key: str | None = None
    at_line: int = 0
    at_column: int = 0


class _Stop(Exception):  # noqa: N818 - leaves the loop, is no error
    """Going on would cost too much or make no sense."""


def parse(text: str, file: str, *, python: bool = False) -> Parsed:
    """The one document in `text`. Never raises; every problem that does not hide the rest is found.

    `python` chooses the parser written in Python, for machines without libyaml.
    """
    reader = _Reader(file)
    if text.startswith("\ufeff"):
        text = text[1:]
    try:
        reader.check_characters(text)
        parser = ((None if python else _c_parser()) or _PythonParser)(text)
        for event in _events(parser):
            reader.take(event)
    except _Stop:
        pass
    except (yaml.YAMLError, UnicodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not readable as YAML"
        if "nesting depth" in problem and not python:
            # libyaml reads ahead, and newer ones end there: the other parser is stopped where it is too deep.
            return parse(text, file, python=True)
        hint = ": indent with spaces" if "tab" in problem or "\\t" in problem else ""
        reader.note(
            mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, "yaml", f"not YAML: {problem}{hint}"
        )
    if reader.documents == 0 and not reader.out.findings:
        reader.note(1, 1, "empty", "the file is empty; a policy starts with `version: 1`")
    return reader.out


def _c_parser() -> Callable[[str], Any] | None:
    """The parser of libyaml, fifteen times faster; PyYAML may come without it."""
    try:
        module = importlib.import_module("yaml.cyaml")
    except ImportError:
        return None
    found: Callable[[str], Any] = module.CParser
    return found


def _events(parser: Any) -> Iterator[Any]:
    while True:
        event = parser.get_event()
        if event is None or event.__class__ is events.StreamEndEvent:
            return
        yield event


def _place(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


class _Reader:
    """Turns events into data, one at a time, with its own stack."""

    def __init__(self, file: str) -> None:
        self.out = Parsed()
        self.documents = 0
        self._file = file
        self._nodes = 0
        self._stack: list[_Frame] = []

    def note(self, line: int, column: int, code: str, message: str) -> None:
        path = ".".join(frame.key for frame in self._stack if frame.key is not None)
        self.out.findings.append(
            Finding(file=self._file, line=line, column=column, path=path, code=code, message=message)
        )
        if len(self.out.findings) >= MAX_FINDINGS:
            raise _Stop

    def check_characters(self, text: str) -> None:
        for found in _FORBIDDEN.finditer(text):
            line, column = _place(text, found.start())
            self.note(
                line, column, "character", f"the character U+{ord(found[0]):04X} is not allowed: remove it"
            )
        if self.out.findings:
            raise _Stop

    def take(self, event: Any) -> None:
        kind = event.__class__
        if kind is events.ScalarEvent:
            self._scalar(event)
        elif kind is events.MappingStartEvent:
            self._open(event, {})
        elif kind is events.SequenceStartEvent:
            self._open(event, [])
        elif kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
            self._close()
        elif kind is events.AliasEvent:
            self._count(event)
            self._note(event, "alias", f"aliases are not allowed: write *{event.anchor} out")
            self._put(None, event)
        elif kind is events.DocumentStartEvent:
            self.documents += 1
            if self.documents > 1:
                self._note(event, "documents", "one file holds one policy: remove the second document")
                raise _Stop
            if event.version or event.tags:
                self._note(event, "directive", "directives (%YAML, %TAG) are not allowed: remove them")

    def _note(self, event: Any, code: str, message: str) -> None:
        self.note(event.start_mark.line + 1, event.start_mark.column + 1, code, message)

    def _count(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._note(event, "too_many_nodes", f"more than {MAX_NODES:,} nodes: split the policy into files")
            raise _Stop

    def _plain(self, event: Any) -> None:
        self._count(event)
        if event.anchor is not None:
            self._note(event, "anchor", f"anchors are not allowed: remove &{event.anchor}")
        if event.tag is not None:
            self._note(event, "tag", f"tags are not allowed: remove {event.tag}")

    def _scalar(self, event: Any) -> None:
        self._plain(event)
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.key is None and isinstance(frame.items, dict):
            self._name(frame, event.value, event)
            return
        value: Any = event.value
        if event.implicit[0]:
            value = self._resolve(value, event)
        self._put(value, event)

    def _name(self, frame: _Frame, name: str, event: Any) -> None:
        if name in frame.items:
            first = frame.children[name]
            self._note(
                event,
                "duplicate_key",
                f"{name!r} is already written in line {first.key_line}: keep one of them",
            )
        frame.key = name
        frame.at_line, frame.at_column = event.start_mark.line + 1, event.start_mark.column + 1

    def _resolve(self, text: str, event: Any) -> Any:
        """What plain text means: YAML 1.2's null, true, false and decimal numbers, else the text."""
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            if len(text) > 18:
                self._note(event, "number", "this number is too long to be kept exactly: put it in quotes")
                return None
            return int(text)
        if len(text) < 40 and _FLOAT.fullmatch(text) and math.isfinite(value := float(text)):
            return value
        return text

    def _open(self, event: Any, items: Any) -> None:
        self._plain(event)
        if len(self._stack) >= MAX_DEPTH:
            self._note(event, "too_deep", f"nested more than {MAX_DEPTH} levels deep")
            raise _Stop
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        key_line, key_column = line, column
        parent = self._stack[-1] if self._stack else None
        if parent is not None and isinstance(parent.items, dict):
            if parent.key is None:
                self._note(event, "key", "a key must be plain text")
                raise _Stop
            key_line, key_column = parent.at_line, parent.at_column
        self._stack.append(_Frame(items, {}, line, column, key_line, key_column))

    def _close(self) -> None:
        frame = self._stack.pop()
        self._keep(
            frame.items, Spot(frame.line, frame.column, frame.key_line, frame.key_column, frame.children)
        )

    def _put(self, value: Any, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.items, dict):
            if frame.key is None:  # an alias where a key belongs; already noted
                frame.key, frame.at_line, frame.at_column = "*", line, column
                return
            self._keep(value, Spot(line, column, frame.at_line, frame.at_column, None))
        else:
            self._keep(value, Spot(line, column, line, column, None))

    def _keep(self, value: Any, spot: Spot) -> None:
        if not self._stack:
            self.out.data, self.out.spot = value, spot
            return
        frame = self._stack[-1]
        if isinstance(frame.items, dict):
            name = frame.key or ""
            frame.items[name] = value
            frame.children[name] = spot
            frame.key = None
        else:
            frame.children[len(frame.items)] = spot
            frame.items.append(value)
