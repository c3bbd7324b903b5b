"""`python -m examples.retail_support [--sequential] [--yes | --no]`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from examples.running import Account, answering, run

from .app import support
from .script import QUESTION, script
from .shop import Shop


async def serve(model: BaseChatModel, folder: Path, options: argparse.Namespace, account: Account) -> str:
    """One customer."""
    return await support(
        QUESTION,
        model=model,
        shop=Shop(folder / "shop.db", pace=1 / options.speed),
        journal=f"sqlite:///{folder}/journal.db",
        speculative=not options.sequential,
        ask=answering(options),
        observers=[account],
    )


if __name__ == "__main__":
    asyncio.run(run("retail_support", script, serve))
