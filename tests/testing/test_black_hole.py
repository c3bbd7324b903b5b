"""The partition that tests make: forwards, then swallows without a sign."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from specflow.testing.black_hole import BlackHole

LONG = 60.0


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """A server that says everything back; its port."""
    server = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        accepting.join()
        for thread in threads:
            thread.join()


@pytest.fixture
def hole() -> Iterator[BlackHole]:
    with echo() as port, BlackHole("127.0.0.1", port) as made:
        yield made


def connected(hole: BlackHole) -> socket.socket:
    return socket.create_connection(("127.0.0.1", hole.port), timeout=LONG)


def exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        data = connection.recv(65536)
        assert data, "it was closed"
        found += data
    return found


def nothing_comes(connection: socket.socket) -> None:
    """Neither a byte nor an end. (How long one has to wait for nothing nobody can say.)"""
    connection.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(LONG)


def swallowed(hole: BlackHole, count: int) -> None:
    for _ in range(3000):
        if hole.swallowed >= count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"only {hole.swallowed} of {count} bytes were swallowed")


def test_it_forwards_everything_in_order(hole: BlackHole) -> None:
    text = bytes(range(256)) * 20_000
    with connected(hole) as one, connected(hole) as other:
        sending = threading.Thread(target=one.sendall, args=(text,))
        sending.start()
        assert exactly(one, len(text)) == text
        sending.join()
        other.sendall(b"and the other")
        assert exactly(other, 13) == b"and the other"
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b"", "an end comes through as well"
    assert hole.swallowed == 0


def test_it_swallows_without_a_sign(hole: BlackHole) -> None:
    with connected(hole) as open_before:
        open_before.sendall(b"hello")
        assert exactly(open_before, 5) == b"hello"
        hole.swallow()
        open_before.sendall(b"anybody?")
        swallowed(hole, 8)
        with connected(hole) as new:
            new.sendall(b"and here?")
            swallowed(hole, 17)
            nothing_comes(new)
        nothing_comes(open_before)


def test_the_end_of_one_side_is_swallowed_too(hole: BlackHole) -> None:
    with connected(hole) as connection:
        connection.sendall(b"x")
        assert exactly(connection, 1) == b"x"
        hole.swallow()
        connection.shutdown(socket.SHUT_WR)  # the server would end its side as well, if it knew
        nothing_comes(connection)


def test_after_healing_only_what_lost_nothing_works(hole: BlackHole) -> None:
    with connected(hole) as quiet, connected(hole) as torn:
        for connection in (quiet, torn):
            connection.sendall(b"x")
            assert exactly(connection, 1) == b"x"
        hole.swallow()
        torn.sendall(b"lost")
        swallowed(hole, 4)
        hole.heal()
        quiet.sendall(b"still here")
        assert exactly(quiet, 10) == b"still here"
        torn.sendall(b"more")
        swallowed(hole, 8)
        nothing_comes(torn)
        with connected(hole) as new:
            new.sendall(b"new")
            assert exactly(new, 3) == b"new"


def test_a_server_that_is_not_there_refuses_through_it() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with BlackHole("127.0.0.1", unused.getsockname()[1]) as hole, connected(hole) as connection:
            connection.sendall(b"x")
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""


def test_it_stands_in_an_url() -> None:
    with BlackHole.before("postgresql+psycopg://me:secret@127.0.0.1:5432/db?x=y") as hole:
        assert hole.target == ("127.0.0.1", 5432)
        through = hole.through("postgresql+psycopg://me:secret@127.0.0.1:5432/db?x=y")
        assert through == f"postgresql+psycopg://me:secret@127.0.0.1:{hole.port}/db?x=y"
        assert hole.through("redis://127.0.0.1:6379/0") == f"redis://127.0.0.1:{hole.port}/0"
    with pytest.raises(ValueError, match="names no host and port"):
        BlackHole.before("sqlite:///x.db")
