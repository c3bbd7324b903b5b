"""The connection to one client while an answer is given: wait until a deadline, or notice that it is over."""

from __future__ import annotations

import selectors
import socket

from specflow.clock import Clock


class ClientGoneError(Exception):
    """The client has closed the connection."""


class ServerClosingError(Exception):
    """The server is being closed."""


class Line:
    """Waits on a client's socket and on `closing`, a socket that becomes readable when the server closes."""

    def __init__(self, client: socket.socket, closing: socket.socket, clock: Clock, *, last: bool) -> None:
        self.last = last
        """Whether the connection ends with this answer."""
        self._client = client
        self._closing = closing
        self._clock = clock

    def wait(self, until: float | None) -> None:
        """Return at `until` (seconds on the clock); with None only an ending ends the wait.

        Raises:
            ClientGoneError: as soon as the client has gone.
            ServerClosingError: as soon as the server closes.
        """
        if until is not None and until <= self._clock.monotonic():
            return
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(self._client, selectors.EVENT_READ)
                selector.register(self._closing, selectors.EVENT_READ)
            except (ValueError, OSError) as error:
                raise ClientGoneError from error
            while (left := self._left(until)) is None or left > 0:
                for key, _ in selector.select(left):
                    if key.fileobj is self._closing:
                        raise ServerClosingError
                    if self._gone():
                        raise ClientGoneError
                    # The client has sent its next request already: it is still there, listen no more.
                    selector.unregister(self._client)

    def send(self, data: bytes) -> None:
        """Write all of `data`.

        Raises:
            ClientGoneError: when nobody is there to take it.
        """
        try:
            self._client.sendall(data)
        except OSError as error:
            raise ClientGoneError from error

    def _left(self, until: float | None) -> float | None:
        return None if until is None else until - self._clock.monotonic()

    def _gone(self) -> bool:
        try:
            return not self._client.recv(1, socket.MSG_PEEK)
        except OSError:
            return True
