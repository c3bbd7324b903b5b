"""Files of any format read as recorded runs: detected, streamed, broken records left out and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specflow.traces import genai, langsmith, openai
from specflow.traces.formats import Format, format_of
from specflow.traces.gather import Imported, Importer, gathered, shelve
from specflow.traces.lines import Line, RecordingError, lines_of
from specflow.traces.message import tools_of
from specflow.traces.notes import Notes
from specflow.traces.recorded import run_of
from specflow.traces.said import MalformedError, parsed
from specflow.traces.shelf import Shelf

Tell = Callable[[str], None]
_IMPORTERS: dict[Format, Importer] = {
    Format.LANGSMITH: langsmith.IMPORTER,
    Format.OTEL: genai.IMPORTER,
    Format.OPENAI: openai.IMPORTER,
}
_EVERY = 1000


@dataclass(slots=True, kw_only=True)
class Reading:
    """Reads files. Afterwards `notes` says what was left out, and `formats` what each file was.

    `forced` is the format of all files; None looks into each of them. `strict` stops at the first broken line
    of a file of recorded runs, as those who wrote it themselves want it. `tools` are added to the runs
    that do not describe them. `tell` hears how far it has come.
    """

    forced: Format | None = None
    strict: bool = False
    tools: tuple[dict[str, Any], ...] = ()
    tell: Tell = lambda _what: None
    notes: Notes = field(default_factory=Notes)
    formats: dict[str, Format] = field(default_factory=dict)

    def runs(self, files: Iterable[Path]) -> Iterator[Imported]:
        """The runs, each with the tools it was given: see `_found`.

        Raises:
            RecordingError: a file cannot be opened or is in no format that is known; or see `strict`.
        """
        for imported in self._found(files):
            yield _with_tools(imported, self.tools) if self.tools else imported

    def _found(self, files: Iterable[Path]) -> Iterator[Imported]:
        """The runs: those that fill a line each at once, the others when all files have been read, since
        a trace may go on in the next file.
        """
        with ExitStack() as open_shelves:
            shelves: dict[Format, Shelf] = {}
            for file in files:
                for line, value in self._values(file):
                    kind = self.formats.get(str(file)) or self._detected(line, value)
                    if kind is None:
                        continue
                    if kind is Format.RECORDED:
                        found = self._recorded(line, value)
                    elif kind is Format.OPENAI and "request" not in value:
                        found = self._whole(line, value)
                    else:
                        if kind not in shelves:
                            shelves[kind] = open_shelves.enter_context(Shelf())
                        self._shelve(shelves[kind], _IMPORTERS[kind], line, value)
                        continue
                    if found is not None:
                        yield found
                if str(file) not in self.formats and self.notes.broken:
                    flaw = self.notes.broken[-1]
                    raise RecordingError(f"{file}: no line can be read; {flaw}", hint=_HINT)
            self.tell("putting traces together")
            for kind, shelf in shelves.items():
                yield from gathered(shelf, _IMPORTERS[kind], self.notes)

    def _values(self, file: Path) -> Iterator[tuple[Line, dict[str, Any]]]:
        for line in lines_of(file):
            self.notes.records += 1
            if self.notes.records % _EVERY == 0:
                self.tell(f"reading {line.place}")
            flaw, value = line.flaw, None
            if not flaw:
                try:
                    value = parsed(line.text)
                except ValueError as error:
                    cut = "; the file ends here: it may have been cut off" if line.last else ""
                    flaw = f"not JSON: {error}{cut}"
            if not flaw and not isinstance(value, dict):
                flaw = f"a run is a JSON object, not {type(value).__name__}"
            if flaw:
                self._leave_out(line, flaw)
            elif isinstance(value, dict):
                yield line, value

    def _leave_out(self, line: Line, flaw: str) -> None:
        if self.strict and self.formats.get(str(line.path), Format.RECORDED) is Format.RECORDED:
            raise RecordingError(f"{line.place}: {flaw}")
        self.notes.leave_out(line.place, flaw)

    def _detected(self, line: Line, value: dict[str, Any]) -> Format | None:
        found = self.forced or format_of(value)
        if found is None:
            self._leave_out(line, f"in no format that is known: {_KNOWN}")
        else:
            self.formats[str(line.path)] = found
        return found

    def _recorded(self, line: Line, value: dict[str, Any]) -> Imported | None:
        try:
            run = run_of(value, number=line.number, place=line.place)
        except RecordingError as error:
            self._leave_out(line, str(error).removeprefix(f"{line.place}: "))
            return None
        return Imported(run=run, line=value, path=str(line.path))

    def _whole(self, line: Line, value: dict[str, Any]) -> Imported | None:
        try:
            return openai.whole(line, value, self.notes)
        except (MalformedError, RecursionError) as error:
            self.notes.leave_out(line.place, str(error))
            return None

    def _shelve(self, shelf: Shelf, importer: Importer, line: Line, value: dict[str, Any]) -> None:
        try:
            shelve(shelf, importer, line, value, self.notes)
        except (MalformedError, RecursionError) as error:
            self.notes.leave_out(line.place, str(error))


def _with_tools(imported: Imported, more: tuple[dict[str, Any], ...]) -> Imported:
    there = {tool["name"] for tool in tools_of(list(imported.run.tools)) if "parameters" in tool}
    listed = imported.line.get("tools") or ()
    kept = [tool for tool in listed if not isinstance(tool, dict) or _called(tool) in there]
    line = {**imported.line, "tools": [*kept, *(tool for tool in more if tool["name"] not in there)]}
    return Imported(run=run_of(line, number=imported.run.number), line=line, path=imported.path)


def _called(tool: dict[str, Any]) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, dict) else tool.get("name")


_HINT = "--format forces one"
_KNOWN = "recorded runs, LangSmith's runs, OTLP as JSON, and OpenAI's messages are"
