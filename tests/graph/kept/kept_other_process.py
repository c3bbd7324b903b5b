"""Another process that has the same conversation for a while. Run as a script: URL, folder, thread, words."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from kept_agents import desk


async def main(url: str, folder: str, thread: str, text: str) -> None:
    async with desk(Path(folder), url=url) as one:
        sys.stdout.write(await one.ask(text, thread=thread))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
