"""`python -m examples.parcel_chat [--sequential]`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from examples.running import Account, run

from .app import chat
from .parcels import Parcels
from .script import MESSAGES, script

TYPES = 4.0
"""Seconds that the user takes for a message."""


async def serve(model: BaseChatModel, folder: Path, options: argparse.Namespace, account: Account) -> str:
    """Two messages of one user."""
    parcels = Parcels(pace=1 / options.speed)
    answers = await chat(
        MESSAGES,
        model=model,
        parcels=parcels,
        journal=f"sqlite:///{folder}/journal.db",
        user_types=lambda: asyncio.sleep(TYPES / options.speed),
        mode="off" if options.sequential else "on",
        observers=[account],
    )
    lines = []
    for message, answer in zip(MESSAGES, answers, strict=True):
        waited = f"{answer.seconds:.1f} s, {answer.for_tools:.1f} s of it for tools"
        lines += [f"user:  {message}", f"agent: {answer.text}", f"       ({waited})"]
    lines.append(f"calls of the carrier: {len(parcels.read)}")
    return "\n".join(lines)


if __name__ == "__main__":
    asyncio.run(run("parcel_chat", script, serve))
