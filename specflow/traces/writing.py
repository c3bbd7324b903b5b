"""A file of recorded runs, written whole or not at all."""

from __future__ import annotations

import json
import lzma
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from specflow.errors import ConfigurationError


@contextmanager
def written(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Something to give runs to. They stand under `path` when the block ends well; when it does not, nothing
    has changed there, and nothing is left. Only the owner may read the file: it holds what users said.

    What is given must be JSON, else ValueError; `path` ends in `.xz` to be packed.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    with _ended_softly():
        yield from _written(path)


def _written(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        with os.fdopen(number, "wb") as raw:
            with ExitStack() as packing:
                packed = path.suffix == ".xz"
                file = packing.enter_context(lzma.open(raw, "wb")) if packed else raw
                yield lambda run: _write(file.write, run)
            raw.flush()
            os.fsync(raw.fileno())
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror or error}") from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _ended_softly() -> Iterator[None]:
    """Whoever ends the process or closes its terminal leaves no half file with what users said, either."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    held = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):  # the second is not everywhere
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                held[number] = signal.signal(number, leave)
    try:
        yield
    finally:
        for number, before in held.items():
            signal.signal(number, before)


def _write(write: Callable[[bytes], int], run: Mapping[str, Any]) -> None:
    try:
        line = json.dumps(run, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:  # a lone surrogate can only be written as an escape
        line = json.dumps(run, allow_nan=False).encode()
    write(line + b"\n")
