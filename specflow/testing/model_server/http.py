"""The HTTP side: threads, routes, limits, and an ending that leaves nothing behind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from specflow.clock import Clock, SystemClock
from specflow.testing.model_server import wire
from specflow.testing.model_server.answer import JSON, Answer, give, head, refusal
from specflow.testing.model_server.line import ClientGoneError, Line
from specflow.testing.model_server.reply import ScriptedError
from specflow.testing.model_server.request import BadRequestError, SeenRequest, parse

MAX_BODY = 64 * 2**20
"""The largest request body, in bytes."""

LINGER = 2.0
"""Seconds without a byte after which a client whose body is refused unread is left."""


class Brain(Protocol):
    """What answers: the part of the server that knows nothing of HTTP."""

    def models(self) -> list[str]:
        """Names for GET /v1/models."""
        ...

    def answer(self, body: dict[str, Any], arrived: float) -> tuple[SeenRequest, Answer]:
        """The answer to a chat request that came at `arrived`."""
        ...

    def broken(self, error: BaseException) -> None:
        """Told of an error inside the server itself."""
        ...


class HttpServer(ThreadingHTTPServer):
    """Threads that all end when `close` is called, whatever they were doing."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], brain: Brain, clock: Clock | None = None, *, keep_alive: bool
    ) -> None:
        self.brain = brain
        self.keep_alive = keep_alive
        self.clock: Clock = clock or SystemClock()
        self.bell, self._ring = socket.socketpair()
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread | None] = {}
        self._closed = False
        try:
            super().__init__(address, Handler)
        except BaseException:
            self._ring.close()
            self.bell.close()
            raise
        self._acceptor = threading.Thread(
            target=self.serve_forever, args=(0.02,), name="model-server", daemon=True
        )
        self._acceptor.start()

    def server_bind(self) -> None:
        # The inherited one looks the host's name up, which can take seconds on a machine without DNS.
        socket_address = self.server_address
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(socket_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if self._closed:
                self.shutdown_request(request)
                return
            self._open[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing goes to stderr; what is not a lost connection is told to the brain."""
        import sys  # noqa: PLC0415 - the only way socketserver hands the error over

        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError | ClientGoneError):
            self.brain.broken(error)

    def close(self) -> None:
        """Stop listening, end every open answer, and wait for the threads."""
        self.shutdown()
        self._acceptor.join()
        with self._lock:
            self._closed = True
            left = list(self._open.items())
        self._ring.send(b"x")
        for connection, _ in left:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for _, thread in left:
            if thread is not None:
                thread.join(timeout=5)
        self.server_close()
        self._ring.close()
        self.bell.close()


class Handler(BaseHTTPRequestHandler):
    """One connection: requests in a row."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing: a test's output is the test's."""

    def do_GET(self) -> None:
        line = self._line()
        if self.path.split("?")[0] != "/v1/models":
            self._refuse(line, 404, f"no such path: GET {self.path}", "not_found")
            return
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "specflow"}
            for name in self.server.brain.models()
        ]
        body = wire.encode({"object": "list", "data": models})
        self._quietly(lambda: line.send(head(200, JSON, length=len(body), last=line.last) + body))

    def do_POST(self) -> None:
        arrived = self.server.clock.monotonic()
        line = self._line()
        data = self._body(line)
        if data is None:
            return
        if self.path.split("?")[0] != "/v1/chat/completions":
            self._refuse(line, 404, f"no such path: POST {self.path}", "not_found")
            return
        try:
            body = parse(data)
        except BadRequestError as error:
            self._refuse(line, 400, str(error), None)
            return
        request, answer = self.server.brain.answer(body, arrived)
        if not give(answer, request, line):
            self.close_connection = True

    def _body(self, line: Line) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._refuse_unread(line, 411, "a Content-Length is needed")
            return None
        if int(length) > MAX_BODY:
            self._refuse_unread(line, 413, f"the body is larger than {MAX_BODY} bytes")
            return None
        data = self.rfile.read(int(length))
        if len(data) < int(length):
            self.close_connection = True
            return None
        return data

    def _line(self) -> Line:
        if not self.server.keep_alive:
            self.close_connection = True
        return Line(self.connection, self.server.bell, self.server.clock, last=self.close_connection)

    def _refuse(self, line: Line, status: int, message: str, code: str | None) -> None:
        error = ScriptedError(status=status, message=message, type="invalid_request_error", code=code)
        self._quietly(lambda: line.send(refusal(error, last=line.last)))

    def _refuse_unread(self, line: Line, status: int, message: str) -> None:
        """Refuse a request whose body is not read, and let the client read the answer.

        Closing at once would reset the connection under a client that is still writing, and with it the
        answer: so say that no more is coming, and throw away what still arrives, within bounds.
        """
        self.close_connection = True
        self._refuse(line, status, message, None)
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER)
            left = MAX_BODY
            while left > 0 and (data := self.connection.recv(65_536)):
                left -= len(data)
        except OSError:
            return

    def _quietly(self, send: Callable[[], None]) -> None:
        try:
            send()
        except ClientGoneError:
            self.close_connection = True
