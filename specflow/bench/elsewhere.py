"""The model server in a process of its own, so that what it takes is not taken from the agents."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from specflow.errors import ConfigurationError
from specflow.testing.model_server import ModelServer, Reply

PATIENCE = 120.0
"""Seconds in which a process must have started."""


@contextmanager
def server_elsewhere(replies: Sequence[Reply], **options: Any) -> Iterator[str]:
    """The address of a `ModelServer` that answers with `replies`; `options` are the server's.

    Raises:
        ConfigurationError: it does not start.
    """
    # A fork of a process with threads may hang; a new one starts clean.
    fresh = multiprocessing.get_context("spawn")
    ours, theirs = fresh.Pipe()
    process = fresh.Process(target=_serve, args=(theirs, tuple(replies), options), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE):
            raise ConfigurationError(f"the model server's process is not up after {PATIENCE:g} s")
        yield ours.recv()
    finally:
        ours.close()  # which it takes as the end
        process.join(10.0)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(parent: Connection, replies: Sequence[Reply], options: dict[str, Any]) -> None:
    # Ctrl-C goes to all processes of a terminal; this one ends with its parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ModelServer(replies, **options) as server:
        parent.send(server.url)
        with suppress(EOFError, OSError):
            parent.recv()
