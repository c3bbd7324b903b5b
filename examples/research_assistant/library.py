"""The library, an MCP server of somebody else's with slow shelves. `python library.py PACE [LOG]`.

PACE multiplies every latency; LOG is a file that gets a line for each call.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations

READS = ToolAnnotations(readOnlyHint=True, openWorldHint=False)
PAPERS = [
    ("LIB101", "caching", "Leases for caches", "a lease bounds how stale a cache may be"),
    ("LIB102", "caching", "What to throw away", "evicting what was used least often beats recency"),
    ("LIB201", "consensus", "Agreement in one round", "one round is enough when nobody is in conflict"),
    ("LIB202", "consensus", "Quorums that move", "members may change between any two decisions"),
    ("LIB301", "scheduling", "Tails at scale", "a second request after the 95th percentile cuts the tail"),
]


def library(pace: float, log: Path | None) -> FastMCP:
    """The server."""
    server = FastMCP("library", log_level="ERROR")

    async def fetched(seconds: float, line: str) -> None:
        if log is not None:
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        await asyncio.sleep(seconds * pace)

    @server.tool(annotations=READS)
    async def search_papers(topic: str) -> list[dict[str, str]]:
        """Search for papers on a topic."""
        await fetched(2.0, f"search {topic}")
        return [{"paper_id": number, "title": title} for number, about, title, _ in PAPERS if about == topic]

    @server.tool(annotations=READS)
    async def read_paper(paper_id: str) -> dict[str, Any]:
        """Read a paper by its number, such as LIB900."""
        await fetched(1.6, f"read {paper_id}")
        for number, _, title, finding in PAPERS:
            if number == paper_id:
                return {"paper_id": number, "title": title, "finding": finding}
        raise ValueError(f"there is no paper {paper_id}")

    return server


if __name__ == "__main__":
    library(float(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None).run()
