"""One call of a tool body: deadlines that hold even against bodies that ignore them, and safe retries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.errors import ToolTimeoutError
from specflow.execution.attempt import GRACE, attempt
from specflow.testing.explore import run

CALL = Call(tool="t")
CONTEXT = CallContext()


def now() -> float:
    return asyncio.get_running_loop().time()


def test_the_value_comes_back() -> None:
    async def body(call: Call, context: CallContext) -> str:
        await asyncio.sleep(1)
        return "value"

    assert run(attempt(body, CALL, CONTEXT), seed=0) == "value"
    assert run(attempt(body, CALL, CONTEXT, within=2), seed=0) == "value"


def test_a_slow_body_is_cancelled_at_the_deadline() -> None:
    ended: list[str] = []

    async def body(call: Call, context: CallContext) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "never"

    async def main() -> float:
        with pytest.raises(ToolTimeoutError, match="within 2 s") as caught:
            await attempt(body, CALL, CONTEXT, within=2)
        assert caught.value.facts["tool"] == "t"
        return now()

    assert run(main(), seed=0) == pytest.approx(2.0)
    assert ended == ["cancelled"]


def test_a_body_that_ignores_its_cancellation_is_left_behind() -> None:
    async def body(call: Call, context: CallContext) -> str:
        while now() < 30:
            try:
                await asyncio.sleep(60 - now())
            except asyncio.CancelledError:
                continue
        return "at last"

    async def main() -> float:
        with pytest.raises(ToolTimeoutError):
            await attempt(body, CALL, CONTEXT, within=2)
        return now()

    assert run(main(), seed=0, leaks="cancel") == pytest.approx(2.0 + GRACE)


def test_a_result_that_arrives_during_the_stop_is_a_result() -> None:
    async def body(call: Call, context: CallContext) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "just made it"
        return "never"

    assert run(attempt(body, CALL, CONTEXT, within=2), seed=0) == "just made it"


def test_cancelling_the_caller_cancels_the_body() -> None:
    ended: list[float] = []

    async def body(call: Call, context: CallContext) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(now())
        return "never"

    async def main() -> None:
        task = asyncio.create_task(attempt(body, CALL, CONTEXT, within=50))
        await asyncio.sleep(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main(), seed=0)
    assert ended == [pytest.approx(3.0)]


def test_retries_stop_at_success_and_pause_longer_each_time() -> None:
    tried: list[float] = []

    async def body(call: Call, context: CallContext) -> str:
        tried.append(now())
        if len(tried) < 3:
            raise OSError("down")
        return "up"

    assert run(attempt(body, CALL, CONTEXT, retries=5, backoff=0.5), seed=0) == "up"
    assert tried == [pytest.approx(0.0), pytest.approx(0.5), pytest.approx(1.5)]


def test_the_last_error_is_the_tools_own() -> None:
    async def body(call: Call, context: CallContext) -> Any:
        raise KeyError("seat")

    async def main() -> None:
        with pytest.raises(KeyError, match="seat"):
            await attempt(body, CALL, CONTEXT, retries=2, backoff=0.1)

    run(main(), seed=0)


def test_the_error_of_a_body_that_was_left_behind_is_seen() -> None:
    async def stubborn(call: Call, context: CallContext) -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(2 * GRACE)
        raise ValueError("much too late")

    async def main() -> None:
        with pytest.raises(ToolTimeoutError):
            await attempt(stubborn, Call(tool="stubborn"), CallContext(), within=1.0)
        await asyncio.sleep(10 * GRACE)

    run(main())  # raises LostErrorError for an error that nobody has looked at
