"""One call of a tool body: with a deadline it cannot outstay, and further tries where that is safe."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import tenacity

from specflow.effects.call import Call
from specflow.effects.tool import CallContext, Runner
from specflow.errors import ToolTimeoutError
from specflow.execution.patience import Patience

log = logging.getLogger("specflow")

Within = float | Patience | None
"""Seconds that each try may take; None is as long as it likes."""

GRACE = 1.0
"""Seconds a cancelled tool gets to clean up before it is left behind."""

LONGEST_PAUSE = 10.0
"""Seconds between two tries at most, where `backoff` does not say more."""

_left_behind: set[asyncio.Task[Any]] = set()


def longest(within: float, retries: int, backoff: float) -> float:
    """Seconds that `attempt` may take with these: all tries, and the pauses between them."""
    pauses = [min(backoff * 2.0**number, max(backoff, LONGEST_PAUSE)) for number in range(retries)]
    return within * (retries + 1) + sum(pauses)


async def attempt(
    runner: Runner,
    call: Call,
    context: CallContext,
    *,
    within: Within = None,
    retries: int = 0,
    backoff: float = 0.2,
    passing: Callable[[BaseException], bool] = lambda _error: False,
) -> Any:
    """Run the tool's body and return its value.

    `within` seconds bound each try (a `Patience` may be renewed meanwhile); `retries` further tries follow
    an ordinary exception after a pause of `backoff` seconds, doubling. Only ask for retries where repeating
    is harmless. What `passing` knows is a framework's own control flow and goes through at once.

    Raises:
        ToolTimeoutError: when a try did not end in time; the body was cancelled.
        Exception: whatever the tool raised in its last try.
    """
    if retries == 0:
        return await _once(runner, call, context, within)
    async for chance in tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(retries + 1),
        wait=tenacity.wait_exponential(multiplier=backoff, max=max(backoff, LONGEST_PAUSE)),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Exception) and not passing(error)),
        sleep=asyncio.sleep,
        reraise=True,
    ):
        with chance:
            value = await _once(runner, call, context, within)
    return value


async def _once(runner: Runner, call: Call, context: CallContext, within: Within) -> Any:
    if within is None:
        return await runner(call, context)
    body = asyncio.ensure_future(runner(call, context))
    try:
        done = await _in_time(body, within)
    except asyncio.CancelledError:
        await _stop(body, call)
        raise
    if done:
        return body.result()
    await _stop(body, call)
    if body.done() and not body.cancelled() and body.exception() is None:
        return body.result()  # it finished while being told to stop: a result is a result
    within = within.within if isinstance(within, Patience) else within
    raise ToolTimeoutError(
        f"{call.tool} did not answer within {within:g} s",
        hint="raise `timeout` in the policy, or look at the service",
        tool=call.tool,
        within=within,
    )


async def _in_time(body: asyncio.Future[Any], within: float | Patience) -> bool:
    if isinstance(within, Patience):
        return await within.wait(body)
    done, _ = await asyncio.wait({body}, timeout=within)
    return bool(done)


async def _stop(body: asyncio.Future[Any], call: Call) -> None:
    """Cancel, and wait a moment; a body that ignores it is left behind rather than waited for."""
    body.cancel()
    await asyncio.wait({body}, timeout=GRACE)
    if not body.done():
        log.warning("%s ignores its cancellation and is left behind", call.tool)
        if isinstance(body, asyncio.Task):
            _left_behind.add(body)
            body.add_done_callback(_left_behind.discard)
    # How it ends is seen, now or later, so that asyncio does not report an error as never retrieved.
    body.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
