"""A TCP proxy that forwards until it is told to swallow: a partition, as both sides see it.

Nothing is closed and nothing refused: whoever waits for an answer goes on waiting. That is what a broken
switch, a firewall that forgot a connection, or a machine without power look like, and what a test that
stops a server does not show.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK = 65536


class BlackHole:
    """Forwards connections on a free local port to `host`:`port`; use it as a context manager.

    `swallowed` counts bytes that were taken and not passed on, in both directions.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._gate = threading.Lock()
        self._pairs: list[_Pair] = []
        self._swallowing = False
        self._closed = False
        self.swallowed = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="black-hole", daemon=True)
        self._thread.start()

    @classmethod
    def before(cls, url: str) -> BlackHole:
        """In front of the server that `url` names with host and port."""
        parts = urlsplit(url)
        if not parts.hostname or not parts.port:
            raise ValueError(f"{url} names no host and port")
        return cls(parts.hostname, parts.port)

    def through(self, url: str) -> str:
        """`url`, leading through this proxy."""
        parts = urlsplit(url)
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return parts._replace(netloc=f"{user}127.0.0.1:{self.port}").geturl()

    def swallow(self) -> None:
        """From now on nothing gets through, either way; connections stay open, and new ones are accepted."""
        self._swallowing = True

    def heal(self) -> None:
        """Forward again: new connections, and open ones of which nothing was swallowed."""
        self._swallowing = False

    def close(self) -> None:
        """Close everything."""
        with self._gate:
            self._closed = True
            pairs, self._pairs = self._pairs, []
        # A thread that waits in accept is not woken by close, but by a connection.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=5.0).close()
        self._thread.join()
        self._server.close()
        for pair in pairs:
            pair.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            near, _address = self._server.accept()
            with self._gate:
                if self._closed:
                    near.close()
                    return
                pair = _Pair(self, near)
                self._pairs.append(pair)
            pair.start()

    def passes(self, pair: _Pair, data: bytes) -> bool:
        """Whether `data` is passed on; once something was not, nothing of that connection is."""
        with self._gate:
            if self._swallowing or pair.broken:
                pair.broken = True
                self.swallowed += len(data)
            return not pair.broken

    @property
    def target(self) -> tuple[str, int]:
        """Where connections lead."""
        return self._target


class _Pair:
    """A client's connection, and the one to the server that belongs to it."""

    def __init__(self, hole: BlackHole, near: socket.socket) -> None:
        self._hole = hole
        self._near = near
        self._far: socket.socket | None = None
        self._threads = [threading.Thread(target=self._begin, name="black-hole-up", daemon=True)]
        self.broken = False

    def start(self) -> None:
        self._threads[0].start()

    def _begin(self) -> None:
        if not self._hole.passes(self, b""):
            while data := self._read(self._near):
                self._hole.passes(self, data)
            return
        try:
            self._far = socket.create_connection(self._hole.target)
        except OSError:
            self._near.close()  # as the server itself would refuse
            return
        back = threading.Thread(
            target=self._forward, args=(self._far, self._near), name="black-hole-down", daemon=True
        )
        self._threads.append(back)
        back.start()
        self._forward(self._near, self._far)

    def _forward(self, source: socket.socket, goal: socket.socket) -> None:
        while data := self._read(source):
            if self._hole.passes(self, data):
                self._send(goal, data)
        # An end is passed on like any other word.
        if self._hole.passes(self, b""):
            with contextlib.suppress(OSError):
                goal.shutdown(socket.SHUT_WR)

    @staticmethod
    def _read(source: socket.socket) -> bytes:
        try:
            return source.recv(CHUNK)
        except OSError:
            return b""

    @staticmethod
    def _send(goal: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):
            goal.sendall(data)

    def close(self) -> None:
        for end in (self._near, self._far):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._near, self._far):
            if end is not None:
                end.close()
