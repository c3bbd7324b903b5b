"""An MCP server in a process of its own, over a pipe or over HTTP on this machine, and a look into its world.

Needs the extra `mcp`. The server is `specflow/testing/mcp_desk.py`; any other script that takes the same
words works, too.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from specflow.errors import WorldError

DESK = Path(__file__).with_name("mcp_desk.py")
"""The desk of a hotel, with honest tools and others."""

PATIENCE = 60.0
"""Seconds to wait until a server listens, or has ended."""


@dataclass(slots=True, kw_only=True)
class McpServer:
    """`world` is the server's SQLite file; with `with`, it is served over HTTP while the block runs."""

    world: Path
    script: Path = DESK
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    # Any: langchain-mcp-adapters' connections are TypedDicts that a test need not import.

    @property
    def over_stdio(self) -> dict[str, Any]:
        """A connection for `MultiServerMCPClient`: every session starts a process of its own."""
        return {
            "transport": "stdio",
            "command": sys.executable,
            "args": [str(self.script), str(self.world), "stdio"],
        }

    @property
    def over_http(self) -> dict[str, Any]:
        """A connection to the server that runs."""
        return {"transport": "streamable_http", "url": self.url}

    @property
    def url(self) -> str:
        """Its address; the port is chosen when it starts for the first time, and kept."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        """Serve over HTTP.

        Raises:
            WorldError: it ends at once, or does not listen in time.
        """
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        command = [sys.executable, str(self.script), str(self.world), "http", str(self.port)]
        nothing = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing)  # noqa: S603 - a list, no shell
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise WorldError(
                    f"the MCP server ended with {self._process.returncode}", hint=" ".join(command)
                )
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.kill()
        raise WorldError(f"the MCP server does not listen on port {self.port}", hint=" ".join(command))

    def kill(self) -> None:
        """End it without a word, and wait for that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def ended(self) -> int:
        """Wait until it has ended by itself; the exit status."""
        assert self._process is not None
        status = self._process.wait(PATIENCE)
        self._process = None
        return status

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    # ------------------------------------------------------------------ its world

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the block runs, what takes its time does not answer."""
        marker = Path(f"{self.world}.hold")
        marker.touch()
        try:
            yield
        finally:
            marker.unlink(missing_ok=True)

    def die_in_the_next_booking(self) -> None:
        """The next booking is made, and its server dies before it can say so."""
        Path(f"{self.world}.die").touch()

    def forget(self) -> None:
        """Empty the world."""
        for table in ("bookings", "calls", "listed"):
            self._rows(f"DELETE FROM {table}")  # noqa: S608 - three names from the line above

    def calls(self, tool: str = "") -> list[tuple[str, dict[str, Any]]]:
        """The calls it has had, in order; only those of `tool` if one is named."""
        rows = self._rows("SELECT tool, args FROM calls ORDER BY number")
        return [(name, json.loads(args)) for name, args in rows if not tool or name == tool]

    def bookings(self) -> list[tuple[str, str]]:
        """The live bookings: room and guest, sorted."""
        return self._rows("SELECT room, guest FROM bookings WHERE status = 'booked' ORDER BY room, guest")

    def _rows(self, sql: str) -> list[Any]:
        if not self.world.exists():
            return []
        with closing(sqlite3.connect(self.world, timeout=30)) as connection, connection:
            return connection.execute(sql).fetchall()
