"""`python -m examples.research_assistant [--sequential]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_mcp_adapters.sessions import StdioConnection

from examples.running import Account, run

from .app import research
from .script import QUESTION, script

LIBRARY = Path(__file__).with_name("library.py")


async def serve(model: BaseChatModel, folder: Path, options: argparse.Namespace, account: Account) -> str:
    """One question."""
    return await research(
        QUESTION,
        model=model,
        library=StdioConnection(
            transport="stdio", command=sys.executable, args=[str(LIBRARY), str(1 / options.speed)]
        ),
        journal=f"sqlite:///{folder}/journal.db",
        mode="off" if options.sequential else "on",
        observers=[account],
    )


if __name__ == "__main__":
    asyncio.run(run("research_assistant", script, serve))
