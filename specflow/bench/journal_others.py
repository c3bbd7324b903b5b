"""What others take to make one step durable: LangGraph's checkpoint savers, and a step of DBOS."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from specflow.bench.paired import Measure
from specflow.errors import ConfigurationError

INSTALL = "install specflow[bench]"
START_SECONDS = 120.0
"""Generous: the other program makes its tables first."""


def missing(module: str, package: str) -> str:
    """Why something cannot be measured; empty when its package is there."""
    try:
        found = find_spec(module)
    except ModuleNotFoundError:  # of the package around it
        found = None
    return "" if found is not None else f"needs {package}: {INSTALL}"


@asynccontextmanager
async def saver(module: str, name: str, where: str, count: int) -> AsyncIterator[Measure]:
    """Microseconds for one `put` of an empty checkpoint by the saver `module.name` at `where`."""
    empty: Callable[[], Any] = import_module("langgraph.checkpoint.base").empty_checkpoint
    opening: Callable[[str], AbstractContextManager[Any]]
    opening = getattr(import_module(module), name).from_conn_string
    with opening(where) as put_into:
        put_into.setup()

        async def measure() -> float:
            started = perf_counter()
            for _ in range(count):
                put_into.put(
                    {"configurable": {"thread_id": "bench", "checkpoint_ns": ""}},
                    empty(),
                    {"source": "loop", "step": 1},
                    {},
                )
            return 1e6 * (perf_counter() - started) / count

        yield measure


@asynccontextmanager
async def dbos_step(url: str, count: int, at_once: int) -> AsyncIterator[Measure]:
    """Microseconds for one step of DBOS that does nothing, in `at_once` workflows, at `url`.

    DBOS lives in a process of its own: it keeps threads and registries for the whole of one.

    Raises:
        ConfigurationError: when that process does not answer.
    """
    command = [sys.executable, "-m", "specflow.bench.dbos_steps", url]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)

    async def measure() -> float:
        return await _answer(process, {"steps": count, "at_once": at_once})

    try:
        await _answer(process, {"steps": 1, "at_once": 1})  # by then it is ready, or has said why not
        yield measure
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def _answer(process: Process, question: dict[str, int]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):
        process.stdin.write(json.dumps(question).encode() + b"\n")
        await process.stdin.drain()
    async with asyncio.timeout(START_SECONDS):
        line = await process.stdout.readline()
    if not line:
        _out, told = await process.communicate()
        raise ConfigurationError(
            f"DBOS ended: {told.decode(errors='replace').strip()[-500:]}", hint="measure without it"
        )
    return float(json.loads(line)["us"])
