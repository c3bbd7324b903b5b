"""What is read of LangGraph's loop around a node: what it was loaded from, where it stands, when it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.types import Command

from specflow.graph.compat import running_loop_of

CONFIG_KEY_CHECKPOINT_MAP = "checkpoint_map"
LOOP_NAMES = (
    "checkpointer", "checkpoint_id_saved", "config", "input", "is_nested", "_has_persisted_parent",
    "_loaded_latest",
)  # fmt: skip
"""What is read of a loop to tell what it was loaded from; a canary test looks for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The saved checkpoint that an invocation of a graph went on from; empty: there was none.

    `again`: the steps it left undone are made again, and there is no new input. `superseded`: it was not the
    newest of its conversation. Not `exact`: it may be an older one.
    """

    checkpoint: str
    again: bool
    superseded: bool = False
    exact: bool = True


def loaded_from(config: Mapping[str, Any]) -> Loaded | None:
    """Of the innermost graph that is running; None where it cannot be found out."""
    loop: Any = running_loop_of(config)
    if loop is None or not all(hasattr(loop, name) for name in LOOP_NAMES):
        return None
    if not loop.checkpointer or not loop._has_persisted_parent:  # noqa: SLF001 - no public way to ask for this
        return Loaded(checkpoint="", again=False)
    # With a run id in the metadata, an input may be taken for a resume: then nothing counts as lost.
    named = "run_id" in (loop.config.get("metadata") or {})
    again = loop.is_nested or loop.input is None or isinstance(loop.input, Command) or named
    superseded = not loop._loaded_latest  # noqa: SLF001 - as above
    return Loaded(checkpoint=str(loop.checkpoint_id_saved), again=again, superseded=superseded)


def tell_of_end(config: Mapping[str, Any], told: Callable[[], Awaitable[None]]) -> bool:
    """Have `told` awaited when the outermost graph, in whose node we are, has come to its end.

    Not when it pauses or fails. False where it cannot be done: another graph is around this one, or there is
    no such place. To be called on the event loop that `told` needs.
    """
    loop: Any = running_loop_of(config)
    stack = getattr(loop, "stack", None)
    if loop is None or loop.is_nested or not hasattr(loop, "status"):
        return False

    def over(error: BaseException | None) -> bool:
        return error is None and loop.status == "done"

    async def leave(_kind: object, error: BaseException | None, _trace: object) -> None:
        if over(error):
            await told()

    if isinstance(stack, contextlib.AsyncExitStack):
        stack.push_async_exit(leave)
        return True
    if not isinstance(stack, contextlib.ExitStack):
        return False
    here = asyncio.get_running_loop()

    def leave_sync(kind: object, error: BaseException | None, trace: object) -> None:
        if over(error) and here.is_running():
            asyncio.run_coroutine_threadsafe(leave(kind, error, trace), here).result()

    stack.push(leave_sync)
    return True


def checkpoints_above(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of every graph around the node that is running, the outermost first: namespace, newest checkpoint."""
    found = (config.get("configurable") or {}).get(CONFIG_KEY_CHECKPOINT_MAP) or {}
    return sorted(((str(name), str(newest)) for name, newest in found.items()), key=lambda item: len(item[0]))
