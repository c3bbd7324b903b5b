"""A shop whose orders are in a file, the tools that look at one and change one, and a model that uses them.

What the user says decides: `think of A1` makes the model announce a read that it then does not make,
`find A1` makes it read without a word before, `change A1` makes it write.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool, tool

from specflow.testing.model_server.reply import CallPlan, Reply

PONDER = "Hmm, let me think about that a little more. " * 8
POLICY = """version: 1
tools:
  look_up: {{effect: read_only, reads: ['order:{{args.order}}'], cache: {{ttl: {ttl}, scope: {scope}}}}}
  change: {{effect: confirmation_required, confirm: host, writes: ['order:{{args.order}}']}}
"""


def script(messages: list[dict[str, Any]]) -> Reply:
    """What the model says next."""
    if messages[-1]["role"] == "tool":
        return Reply(text=f"answer: {messages[-1]['content']}")
    what, _, order = str(messages[-1]["content"]).rpartition(" ")
    if what == "think of":
        return Reply(reasoning=f'I will call look_up with order "{order}". {PONDER}', text="Later, maybe.")
    if what == "chat about":
        return Reply(text="So it is.")
    return Reply(calls=(CallPlan({"find": "look_up", "change": "change"}[what], {"order": order}),))


class Shop:
    """`asked` are the orders that were really looked up; while `closed`, nobody who looks gets an answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()

    def state(self, order: str) -> int:
        """How often it was changed, by whichever process."""
        file = self.folder / order
        return int(file.read_text()) if file.exists() else 0

    def _change(self, order: str) -> str:
        (self.folder / order).write_text(str(self.state(order) + 1))
        return f"{order} is changed"

    def tools(self, *, asynchronous: bool) -> list[BaseTool]:
        """`look_up`, which only reads, and `change`."""
        look_up: BaseTool
        change: BaseTool
        if asynchronous:

            @tool("look_up")
            async def look_up_async(order: str) -> str:
                """Look an order up."""
                self.asked.append(order)
                seen = self.state(order)
                while not self.open.is_set():
                    await asyncio.sleep(0.005)
                return f"{order} was changed {seen} times"

            @tool("change")
            async def change_async(order: str) -> str:
                """Change an order."""
                return self._change(order)

            look_up, change = look_up_async, change_async
        else:

            @tool("look_up")
            def look_up_sync(order: str) -> str:
                """Look an order up."""
                self.asked.append(order)
                seen = self.state(order)
                self.open.wait()
                return f"{order} was changed {seen} times"

            @tool("change")
            def change_sync(order: str) -> str:
                """Change an order."""
                return self._change(order)

            look_up, change = look_up_sync, change_sync
        return [look_up, change]
