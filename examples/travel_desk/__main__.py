"""`python -m examples.travel_desk [--sequential] [--yes | --no]`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from examples.running import Account, run
from examples.travel.desk import Desk

from .app import travel, trip
from .script import REQUEST, script


async def serve(model: BaseChatModel, folder: Path, options: argparse.Namespace, account: Account) -> str:
    """One customer."""
    desk = Desk(folder / "desk.db", pace=1 / options.speed)
    desk.store.reset()
    given = options.yes or options.no

    def ask(_question: Any) -> dict[str, bool]:
        return {"agreed": options.yes}

    return await travel(
        REQUEST,
        flow=trip(model, desk),
        ask=ask if given else None,
        journal=f"sqlite:///{folder}/journal.db",
        mode="off" if options.sequential else "on",
        observers=[account],
    )


if __name__ == "__main__":
    asyncio.run(run("travel_desk", script, serve))
