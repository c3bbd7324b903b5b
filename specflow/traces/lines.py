"""The lines of a file that somebody else wrote: one at a time, each with its place or its flaw."""

from __future__ import annotations

import io
import lzma
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from specflow.errors import AuthorError

MAX_LINE = 64 * 2**20
"""The longest line (one run), in bytes after decompression."""

MAX_FILE = 8 * 2**30
"""The most that is read from one file, in bytes after decompression."""


class RecordingError(AuthorError):
    """A file of recorded runs that cannot be read; the message starts with `file:line`."""

    code = "recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that is not empty. `number` counts from 1. With a `flaw` there is no text."""

    path: Path
    number: int
    text: bytes = b""
    flaw: str = ""
    last: bool = False
    """There is no line break behind it: a file that was cut off ends like this."""

    @property
    def place(self) -> str:
        return f"{self.path}:{self.number}"


def lines_of(path: str | Path, *, max_line: int = MAX_LINE, max_file: int = MAX_FILE) -> Iterator[Line]:
    """The lines of a text or `.xz` file. A line that is too long is passed over; after a place that
    cannot be read there is nothing more.

    `max_line` and `max_file` are bytes after decompression.

    Raises:
        RecordingError: for a file that cannot be opened.
    """
    path = Path(path)
    read = number = 0
    with closing(_open(path)) as file:
        while True:
            number += 1
            try:
                text = file.readline(max_line + 1)
                read += len(text)
                too_long = len(text) > max_line
                ended = text
                while too_long and not ended.endswith(b"\n") and read <= max_file:
                    ended = file.readline(2**20)
                    read += len(ended)
                    if not ended:
                        break
            except (OSError, lzma.LZMAError, EOFError) as error:
                yield Line(path=path, number=number, flaw=f"cannot be read: {error}")
                return
            if not text:
                return
            if too_long:
                yield Line(path=path, number=number, flaw=f"the line is longer than {max_line} bytes")
            if read > max_file:
                yield Line(path=path, number=number, flaw=f"the file is larger than {max_file} bytes")
                return
            if text.strip() and not too_long:
                yield Line(path=path, number=number, text=text, last=not text.endswith(b"\n"))


def _open(path: Path) -> BinaryIO:
    try:
        if path.suffix == ".xz":
            return cast("BinaryIO", io.BufferedReader(lzma.open(path)))
        return path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path}: cannot be opened: {error.strerror or error}") from error
