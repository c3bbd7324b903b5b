"""The recorded runs that a command is given, and how far it has come with them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Protocol

import typer

if TYPE_CHECKING:
    from specflow.traces.gather import Imported
    from specflow.traces.reading import Reading
    from specflow.traces.recorded import RecordedRun

PATIENCE = 1.0
"""Seconds after which somebody at a terminal wants to see how far it has come."""


class Tell(Protocol):
    """Told what is being done, how much of it is done, and of how much; None is not known."""

    def __call__(self, about: str, done: int | None = None, of: int | None = None, /) -> None: ...


_NAMED = 5

MAX_TOKENS = 10_000_000
"""Tokens of one answer beyond which a count is taken to be broken."""


def wanted(files: Iterable[Path], model: str, limit: int) -> Iterator[tuple[Path, RecordedRun]]:
    """At most `limit` runs whose model's name contains `model`, in the order of the files.

    Files of recorded runs must be sound; of other programs' traces what is broken is left out, and said.
    """
    from specflow.traces.reading import Reading

    taken = 0
    reading = Reading(strict=True)
    for imported in usable(reading, files):
        if taken >= limit:
            break
        if model in imported.run.model:
            taken += 1
            yield Path(imported.path), imported.run
    for broken in reading.notes.broken[:_NAMED]:
        typer.echo(f"left out: {broken}", err=True)
    if reading.notes.left_out > _NAMED:
        more = reading.notes.left_out - _NAMED
        typer.echo(f"left out: {more} more; `specflow traces check` names them", err=True)


def usable(reading: Reading, files: Iterable[Path]) -> Iterator[Imported]:
    """The runs that a replay can play. Of files of recorded runs, where `reading` is strict, all of them:
    whoever plays them says what is wrong.
    """
    from specflow.traces.formats import Format

    for imported in reading.runs(files):
        checked = reading.strict and reading.formats[imported.path] is Format.RECORDED
        flaw = "" if checked else _flaw(imported)
        if flaw:
            reading.notes.leave_out(imported.place, flaw)
        else:
            yield imported


def _flaw(imported: Imported) -> str:
    """Why a run cannot be played, or empty."""
    from specflow.effects.call import Call, NotJsonError
    from specflow.replay.schema import recorded_tools
    from specflow.replay.steps import MAX_STEP
    from specflow.traces.lines import RecordingError

    try:
        recorded_tools(imported.run, place=imported.place)
        for turn in imported.run.turns:
            if (turn.gen_s or 0) > MAX_STEP or (turn.completion_tokens or 0) > MAX_TOKENS:
                return "an answer that took longer than any does"
            for call in turn.calls:
                Call(tool=call.name, args=call.args)
    except (RecordingError, NotJsonError) as error:
        return str(error).removeprefix(f"{imported.place}: ")
    except RecursionError:
        return "nested too deeply"
    return ""


@contextmanager
def progress() -> Iterator[Tell]:
    """Something to tell what is being done, how much of it is done, and of how much (None: nobody knows).

    It is shown on a terminal, once it has taken longer than `PATIENCE`.
    """
    if not sys.stderr.isatty():
        yield lambda _about, _done=None, _of=None: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = Progress(*columns, console=Console(stderr=True), transient=True)
    task = shown.add_task("reading", total=None)

    def tell(about: str, done: int | None = None, of: int | None = None, /) -> None:
        shown.update(task, description=escape(about), completed=done, total=of)

    began = Timer(PATIENCE, shown.start)
    began.daemon = True
    began.start()
    try:
        yield tell
    finally:
        began.cancel()
        began.join()
        shown.stop()
