"""The part of an event loop that every loop needs, cut off from the world: it runs, stops and closes.

What would wait for something real (sockets, processes, signals, other threads) is refused with an error
that says so, instead of hanging. What to run, and in which order, a subclass decides (`turn`).
"""

from __future__ import annotations

import abc
import asyncio
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, NoReturn, TypeVar

from specflow.errors import SpecflowError

T = TypeVar("T")
Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class RealWaitError(SpecflowError):
    """The code under test wanted a real socket, process, signal or thread: nothing of that kind is here."""

    code = "real_wait"


def _refuse(name: str) -> Any:  # typeshed's variadic signatures match no one Callable
    def refuse(self: object, *args: object, **options: object) -> NoReturn:
        raise RealWaitError(
            f"loop.{name} was called: this loop has virtual time and no sockets, processes or signals",
            hint="use a fake in this scenario, or run it on an ordinary loop",
        )

    return refuse


class HermeticLoop(asyncio.AbstractEventLoop):
    """An event loop without a world. `unhandled` collects the errors nobody awaited."""

    def __init__(self) -> None:
        self.unhandled: list[dict[str, Any]] = []
        # By number: the order of a set would differ from process to process.
        self._generators: weakref.WeakValueDictionary[int, AsyncGenerator[Any, Any]] = (
            weakref.WeakValueDictionary()
        )
        self._thread: int | None = None
        self._stopping = self._closed = self._debug = False
        self._handler: Handler | None = None
        self._generator_count = 0

    @abc.abstractmethod
    def turn(self) -> None:
        """Run one ready callback."""

    # Everything real. A test compares this list with what asyncio has.
    add_reader = _refuse("add_reader")
    remove_reader = _refuse("remove_reader")
    add_writer = _refuse("add_writer")
    remove_writer = _refuse("remove_writer")
    add_signal_handler = _refuse("add_signal_handler")
    remove_signal_handler = _refuse("remove_signal_handler")
    sock_recv = _refuse("sock_recv")
    sock_recv_into = _refuse("sock_recv_into")
    sock_recvfrom = _refuse("sock_recvfrom")
    sock_recvfrom_into = _refuse("sock_recvfrom_into")
    sock_sendall = _refuse("sock_sendall")
    sock_sendto = _refuse("sock_sendto")
    sock_connect = _refuse("sock_connect")
    sock_accept = _refuse("sock_accept")
    sock_sendfile = _refuse("sock_sendfile")
    create_connection = _refuse("create_connection")
    create_server = _refuse("create_server")
    create_unix_connection = _refuse("create_unix_connection")
    create_unix_server = _refuse("create_unix_server")
    create_datagram_endpoint = _refuse("create_datagram_endpoint")
    connect_accepted_socket = _refuse("connect_accepted_socket")
    connect_read_pipe = _refuse("connect_read_pipe")
    connect_write_pipe = _refuse("connect_write_pipe")
    sendfile = _refuse("sendfile")
    start_tls = _refuse("start_tls")
    getaddrinfo = _refuse("getaddrinfo")
    getnameinfo = _refuse("getnameinfo")
    subprocess_exec = _refuse("subprocess_exec")
    subprocess_shell = _refuse("subprocess_shell")

    def run_forever(self) -> None:
        self._check_idle()
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._generator_started, finalizer=self._generator_dropped)
        self._thread = threading.get_ident()
        set_running(self)
        try:
            while not self._stopping:
                self.turn()
        finally:
            self._stopping = False
            self._thread = None
            set_running(None)
            sys.set_asyncgen_hooks(*hooks)

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        self._check_idle()
        main = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type] # typeshed: loops take generators, ensure_future does not
        main.add_done_callback(self._main_done)
        try:
            self.run_forever()
        except BaseException:
            if main.done() and not main.cancelled():
                main.exception()  # heard, so that it is not reported as lost as well
            raise
        finally:
            main.remove_done_callback(self._main_done)
        if not main.done():
            raise RuntimeError("the loop was stopped before the main task was done")
        return main.result()

    def _main_done(self, main: asyncio.Future[Any]) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self._thread is not None

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        if self._thread is not None:
            raise RuntimeError("a running loop cannot be closed")
        self._closed = True

    def check_usable(self) -> None:
        """Raise unless the loop is open and this is its thread."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if self._thread is not None and self._thread != threading.get_ident():
            raise RealWaitError(
                f"the thread {threading.current_thread().name!r} reached into the loop of a scenario",
                hint="real threads cannot be repeated: use a fake, or asyncio.to_thread (runs inline)",
            )

    def _check_idle(self) -> None:
        self.check_usable()
        if self._thread is not None or asyncio._get_running_loop() is not None:  # noqa: SLF001 - the loop implementors' seam
            raise RuntimeError("this loop, or another one in this thread, is already running")

    def _generator_started(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generator_count += 1
        self._generators[self._generator_count] = generator

    def _generator_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed:
            self.create_task(generator.aclose(), name="aclose")

    async def shutdown_asyncgens(self) -> None:
        left = [generator for _, generator in sorted(self._generators.items())]
        self._generators.clear()
        await asyncio.gather(*(generator.aclose() for generator in left), return_exceptions=True)

    # Errors nobody awaits.

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._handler is not None:
            self._handler(self, context)
        else:
            self.default_exception_handler(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep it in `unhandled`; `run` and `explore` make a failure of it."""
        self.unhandled.append(context)

    def set_exception_handler(self, handler: Handler | None) -> None:
        self._handler = handler

    def get_exception_handler(self) -> Handler | None:
        return self._handler

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled


def set_running(loop: asyncio.AbstractEventLoop | None) -> None:
    """Say which loop runs in this thread."""
    asyncio._set_running_loop(loop)  # noqa: SLF001 - exported by asyncio for implementors of loops
