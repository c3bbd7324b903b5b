"""A person's terminal: what may be written to it, and what is typed at it."""

from __future__ import annotations

import asyncio
import os
import re
import sys

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BUT_LINES = re.compile(_CONTROL.pattern.replace(r"\x00-\x1f", r"\x00-\x09\x0b-\x1f"))


def readable(text: str, *, lines: bool = False) -> str:
    """Text that a model may have written, made harmless for a terminal; `lines` keeps line breaks."""
    return (_BUT_LINES if lines else _CONTROL).sub(_named, text)


def _named(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


async def read_line() -> str:
    """The next line typed at the terminal; empty at its end. Can be cancelled."""
    loop = asyncio.get_running_loop()
    if os.name == "nt":
        return await asyncio.to_thread(sys.stdin.readline)
    ready: asyncio.Future[None] = loop.create_future()
    descriptor = sys.stdin.fileno()

    def typed() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, typed)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    # The terminal hands lines over whole, so this does not wait.
    return sys.stdin.readline()
