"""Tools of MCP servers: their schemas, and the hints the servers give about them.

Needs the extra `mcp` (`pip install 'specflow[mcp]'`). A server is a program or an address that the user
named; whatever it answers is untrusted, and bounded here.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from specflow.errors import ConfigurationError, SpecflowError, WorldError
from specflow.graph.mcp_call import result_schema
from specflow.graph.mcp_server import HttpServer, Server, StdioServer, http_server, stdio_server
from specflow.graph.tools import spec_of
from specflow.policy.suggest import Hints, Subject

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp.types import Tool

__all__ = ["HttpServer", "Server", "StdioServer", "http_server", "stdio_server", "subjects_of"]

MAX_TOOLS = 2_000
MAX_PAGES = 200


async def subjects_of(server: Server, *, trusted: bool = False, seconds: float = 30.0) -> list[Subject]:
    """The tools the server lists, for `specflow.policy.suggest`; `seconds` is the limit for all of it.

    `trusted`: the server is believed when it says that a tool only reads.

    Raises:
        ConfigurationError: when the extra is not installed, or the command is not there.
        WorldError: when the server does not answer as an MCP server in time.
    """
    try:
        async with asyncio.timeout(seconds), _session(server) as session:
            await session.initialize()
            listed = await _pages(session)
    except TimeoutError as error:
        raise WorldError(f"{server}: no answer within {seconds:g} s", hint="see --timeout") from error
    except SpecflowError:
        raise
    except (Exception, BaseExceptionGroup) as error:
        raise _refusal(server, error) from error
    return [_subject(tool, str(server), trusted=trusted) for tool in listed]


@asynccontextmanager
async def _session(server: Server) -> AsyncIterator[ClientSession]:
    try:
        from langchain_mcp_adapters.sessions import create_session  # noqa: PLC0415 - an extra
        from mcp import ClientSession, StdioServerParameters  # noqa: PLC0415 - an extra
        from mcp.client.stdio import get_default_environment, stdio_client  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "reading MCP servers needs an extra", hint="pip install 'specflow[mcp]'"
        ) from error
    if not (log := logging.getLogger("mcp")).handlers:
        # Without any handler Python prints the transport's tracebacks; an application's own still apply.
        log.addHandler(logging.NullHandler())
    if isinstance(server, HttpServer):
        headers = dict(server.headers)
        async with create_session(
            {"transport": "streamable_http", "url": server.url, "headers": headers}
        ) as session:
            yield session
        return
    given = {name: os.environ[name] for name in server.variables if name in os.environ}
    started = StdioServerParameters(
        command=server.command[0], args=list(server.command[1:]), env={**get_default_environment(), **given}
    )
    # What a server writes to its standard error could steer the terminal.
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: ASYNC230, PTH123 - the null device never blocks
        async with (
            stdio_client(started, errlog=nowhere) as (receive, send),
            ClientSession(receive, send) as own,
        ):
            yield own


async def _pages(session: ClientSession) -> list[Tool]:
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await session.list_tools(cursor=cursor)
        found.extend(page.tools)
        if len(found) > MAX_TOOLS:
            raise WorldError(f"the server lists more than {MAX_TOOLS:,} tools")
        cursor = page.nextCursor
        if not cursor:
            return found
    raise WorldError(f"the server lists its tools on more than {MAX_PAGES} pages")


def _subject(tool: Tool, origin: str, *, trusted: bool) -> Subject:
    told = tool.annotations
    hints = None
    if told is not None:
        hints = Hints(
            read_only=told.readOnlyHint,
            destructive=told.destructiveHint,
            idempotent=told.idempotentHint,
            open_world=told.openWorldHint,
        )
    return Subject(
        name=tool.name,
        description=tool.description or "",
        parameters=tool.inputSchema,
        result=result_schema(tool.outputSchema),
        hints=hints,
        trusted=trusted,
        origin=f"mcp {origin}",
        schema_hash=_schema_hash(tool),
        # Where nothing is declared, what an agent gets is words.
        opaque_result=tool.outputSchema is None,
    )


def _schema_hash(tool: Tool) -> str:
    """The hash under which the runtime knows the tool; "" when it could not be used there at all."""
    from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool  # noqa: PLC0415 - an extra

    try:
        # The connection is only kept for calls, and none is made.
        unused = {"transport": "streamable_http", "url": "http://localhost"}
        return spec_of(
            convert_mcp_tool_to_langchain_tool(None, tool, connection=unused)  # type: ignore[arg-type]  # a TypedDict union
        ).schema_hash
    except Exception:  # noqa: BLE001 - an input schema is whatever the server sent
        return ""


def _refusal(server: Server, error: BaseException) -> SpecflowError:
    """The first thing that went wrong inside a transport's task groups, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FileNotFoundError | PermissionError):
        return ConfigurationError(f"{server}: cannot be started: {error.strerror}")
    said = " ".join(str(error).split())[:300] or "it ended the connection"
    return WorldError(f"{server}: does not answer as an MCP server: {said}")
