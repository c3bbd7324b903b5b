"""Tools of MCP servers: their schemas, and the hints the servers give about them.

Needs the extra `mcp` (`pip install 'specflow[mcp]'`). A server is a program or an address that the user
named; whatever it answers is untrusted, and bounded here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from specflow.errors import ConfigurationError, SpecflowError, WorldError
from specflow.graph.tools import spec_of
from specflow.policy.suggest import Hints, Subject

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp.types import Tool

_SECRET = re.compile(r"^-.*(token|key|secret|passw|auth|credential)|^[A-Z_]*(TOKEN|KEY|SECRET|PASSW)", re.I)

MAX_TOOLS = 2_000
MAX_PAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioServer:
    """A server that is started as a process. It sees a minimal environment, and the variables named here."""

    command: tuple[str, ...]
    variables: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The command without what looks like a secret in it: it is shown, and written into policies."""
        shown: list[str] = []
        for word in self.command:
            name, equals, _ = word.partition("=")
            if shown and _SECRET.search(shown[-1]) and "=" not in shown[-1] and not word.startswith("-"):
                shown.append("***")
            else:
                shown.append(f"{name}=***" if equals and _SECRET.search(name) else word)
        return " ".join(word if word.endswith("***") else shlex.quote(word) for word in shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """A server that speaks streamable HTTP at `url`; `headers` are sent with every request."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The address without the user, password and query in it."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


Server = StdioServer | HttpServer


def stdio_server(command: str, variables: tuple[str, ...] = ()) -> StdioServer:
    """The server that the shell-like text `command` starts. No shell runs.

    Raises:
        ConfigurationError: when it is empty or its quotes do not match.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"the command {command!r} cannot be read: {error}") from error
    if not words:
        raise ConfigurationError("an MCP server over stdio needs a command")
    return StdioServer(command=tuple(words), variables=variables)


def http_server(url: str, headers: Mapping[str, str] | None = None) -> HttpServer:
    """The server at `url`.

    Raises:
        ConfigurationError: when it is not an http or https address.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is not an address: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{url!r} is not an http:// or https:// address")
    return HttpServer(url=url, headers=dict(headers or {}))


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
        result=tool.outputSchema,
        hints=hints,
        trusted=trusted,
        origin=f"mcp {origin}",
        schema_hash=_schema_hash(tool),
        # An agent gets content blocks, not the structure that the output schema describes.
        opaque_result=True,
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
