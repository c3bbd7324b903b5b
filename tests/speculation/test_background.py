"""The loop behind synchronous callers: nested, interrupted, forked, stopped, begun again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from specflow.errors import ConfigurationError
from specflow.speculation.background import Background, Caller

PATIENCE = 60.0


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background()
    yield made
    made.stop()


def interrupt_after(begun: threading.Event) -> None:
    """Ctrl-C for the main thread, once it waits."""
    main = threading.get_ident()

    def interrupt() -> None:
        begun.wait(PATIENCE)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()


on_main = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")


def test_a_body_may_use_the_loop_again(background: Background) -> None:
    """A synchronous agent that is called as a tool of a synchronous agent."""
    here = threading.get_ident()

    def nested(depth: int) -> list[int]:
        async def on_loop(caller: Caller) -> list[int]:
            return await caller.run(lambda: [threading.get_ident(), *(nested(depth - 1) if depth else [])])

        return background.run(on_loop)

    assert nested(5) == [here] * 6


def test_many_callers_at_once_are_each_served_on_their_own_thread(background: Background) -> None:
    def one(_number: int) -> bool:
        async def on_loop(caller: Caller) -> int:
            await asyncio.sleep(0)
            return await caller.run(threading.get_ident)

        return background.run(on_loop) == threading.get_ident()

    with ThreadPoolExecutor(40) as callers:
        assert all(callers.map(one, range(400)))


def test_from_its_own_thread_it_says_what_to_do(background: Background) -> None:
    def inside() -> None:
        background.call(lambda: None)

    with pytest.raises(ConfigurationError, match="use the asynchronous form"):
        background.call(inside)
    assert background.call(lambda: 1) == 1


def test_a_caller_with_a_loop_of_its_own_may_wait(background: Background) -> None:
    async def main() -> int:
        return background.call(lambda: 7)  # as in a notebook

    assert asyncio.run(main()) == 7


@on_main
def test_an_interrupt_while_waiting_cancels_what_was_waited_for(background: Background) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def waits(_caller: Caller) -> None:
        begun.set()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    interrupt_after(begun)
    with pytest.raises(KeyboardInterrupt):
        background.run(waits)
    assert cancelled.wait(PATIENCE)
    assert background.call(lambda: 1) == 1, "and the loop goes on"


def test_an_interrupt_inside_a_body_reaches_the_caller_as_itself(background: Background) -> None:
    def body() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        background.run(lambda caller: caller.run(body))
    assert background.call(lambda: 1) == 1


@on_main
def test_a_body_that_is_asked_for_after_the_caller_has_gone_does_not_hang(background: Background) -> None:
    """The cleaning up of an interrupted call may want something of the caller still."""
    begun, ended = threading.Event(), threading.Event()
    told: list[BaseException] = []

    async def waits(caller: Caller) -> None:
        begun.set()
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            try:
                await caller.run(lambda: None)
            except BaseException as error:
                told.append(error)
            ended.set()

    interrupt_after(begun)
    with pytest.raises(KeyboardInterrupt):
        background.run(waits)
    assert ended.wait(PATIENCE)
    assert [type(error) for error in told] == [asyncio.CancelledError]


def test_after_it_was_stopped_there_is_another_loop(background: Background) -> None:
    first = background.loop
    background.stop()
    assert first.is_closed()
    assert background.call(lambda: 2) == 2
    assert background.loop is not first


SCRIPT = """
import os, sys, threading
from specflow.speculation.background import Background

background = Background()
first = background.loop
held, leave = threading.Event(), threading.Event()

def hold():
    with background._lock:  # as another thread does that starts the loop in this moment
        held.set()
        leave.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    assert not background.running
    assert background.call(os.getpid) == os.getpid()
    assert background.loop is not first
    background.stop()
    os._exit(0)
_, status = os.waitpid(child, 0)
leave.set()
assert background.call(lambda: 3) == 3, "the parent's loop goes on"
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_gets_a_loop_of_its_own_whatever_its_parent_was_doing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
