"""Records of a trace, in any order, made runs: what each importer says about its records, and the joining."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from specflow.traces.finish import checked, finished, in_order
from specflow.traces.lines import Line
from specflow.traces.notes import Notes
from specflow.traces.recorded import RecordedRun
from specflow.traces.said import MalformedError, ModelCall, Piece, ToolRun
from specflow.traces.shelf import Shelf
from specflow.traces.threads import Thread, Threads

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """How the records of one format are read.

    `pieces` takes a line apart (it may hold many spans, and one of them may be broken); `model` and `tool`
    read the pieces of these kinds (`model` gets the events of its span too), `offered` the tools that a
    piece of the kind `other` describes, `task` the name of what was asked, where it has one. `whole` says
    that a broken record takes its whole conversation along. All may raise MalformedError.
    """

    name: str
    pieces: Callable[[Line, Mapping[str, Any]], Iterator[Piece | MalformedError]]
    model: Callable[[Piece, Sequence[Piece]], ModelCall | None]
    tool: Callable[[Piece], ToolRun]
    offered: Callable[[Piece], tuple[Mapping[str, Any], ...]] = lambda _piece: ()
    task: Callable[[Piece], str] = lambda _piece: ""
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A run and the place of its first record. `line` is the run as a file of recorded runs has it."""

    run: RecordedRun
    line: Mapping[str, Any]
    path: str

    @property
    def place(self) -> str:
        return f"{self.path}:{self.run.number}"


def shelve(shelf: Shelf, importer: Importer, line: Line, value: Mapping[str, Any], notes: Notes) -> None:
    """Put what a line holds on the shelf.

    Raises:
        MalformedError: the line is no record of this format.
    """
    for piece in importer.pieces(line, value):
        if isinstance(piece, MalformedError):
            notes.leave_out(line.place, str(piece))
            continue
        there = shelf.put(piece)
        if there is None:
            continue
        if (there.kind, there.data) == (piece.kind, piece.data):
            notes.note("repeated", piece.place)  # sent twice: exporters try again
        else:
            notes.note("same_id", f"{piece.place} (first at {there.place})")


def gathered(shelf: Shelf, importer: Importer, notes: Notes) -> Iterator[Imported]:
    """The runs of everything that is on the shelf, one conversation in memory at a time."""
    notes.note("orphans", count=shelf.orphans())
    for group in shelf.groups():
        yield from _Group(shelf=shelf, importer=importer, notes=notes, name=group).runs()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    shelf: Shelf
    importer: Importer
    notes: Notes
    name: str

    def runs(self) -> Iterator[Imported]:
        """The conversations of the group; none where something in it is broken and that spoils the whole."""
        try:
            runs = in_order(self._read("tool", self.importer.tool))
            offered = [tool for tools in self._read("other", self.importer.offered) for tool in tools]
            task = next(filter(None, self._read("other", self.importer.task)), self.name)
            threads, calls = Threads(), 0
            for piece in self.shelf.of(self.name, "model"):
                call = self._call(piece)
                if call is not None:
                    calls += 1
                    threads.add(call, place=piece.place).know(offered)
                    for thread in threads.drain():
                        yield from self._finished(thread, runs, task)
        except _SpoiledError as spoiled:
            self.notes.leave_out(spoiled.place, str(spoiled))
            return
        if not calls:
            self.notes.note("no_model" if runs else "no_request")
        for thread in threads:
            yield from self._finished(thread, runs, task)

    def _read(self, kind: str, read: Callable[[Piece], _Read]) -> list[_Read]:
        found = []
        for piece in self.shelf.of(self.name, kind):
            try:
                found.append(read(piece))
            except (MalformedError, RecursionError) as error:
                raise _SpoiledError(piece.place, error) from error
        return found

    def _call(self, piece: Piece) -> ModelCall | None:
        if self._inside_a_model(piece):
            self.notes.note("nested", piece.place)
            return None
        try:
            call = self.importer.model(piece, self.shelf.parts(piece.trace, piece.key))
        except (MalformedError, RecursionError) as error:
            if self.importer.whole:
                raise _SpoiledError(piece.place, error) from error
            self.notes.leave_out(piece.place, str(error) or "nested too deeply")
            return None
        if call is None:
            self.notes.note("unanswered", piece.place)
        return call

    def _inside_a_model(self, piece: Piece) -> bool:
        """Whether the same request was recorded further out too: by a framework and by its client."""
        parent, seen = piece.parent, {piece.key}
        while parent and parent not in seen:
            seen.add(parent)
            above = self.shelf.kind(piece.trace, parent)
            if above is None or above[0] == "tool":
                return False
            if above[0] == "model":
                return True
            parent = above[1]
        return False

    def _finished(self, thread: Thread, runs: list[ToolRun], task: str) -> Iterator[Imported]:
        path, _, number = thread.place.rpartition(":")
        try:
            line = finished(thread, runs, source=self.importer.name, task=task, notes=self.notes)
            if line is not None:
                yield Imported(run=checked(line, number=int(number)), line=line, path=path)
        except MalformedError as error:
            self.notes.leave_out(thread.place, str(error))


class _SpoiledError(Exception):
    """A record that takes its whole conversation along."""

    def __init__(self, place: str, error: Exception) -> None:
        super().__init__("nested too deeply" if isinstance(error, RecursionError) else str(error))
        self.place = place
