"""Where an MCP server is: the program or the address that the user named, as it may be shown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from specflow.errors import ConfigurationError

_SECRET = re.compile(r"^-.*(token|key|secret|passw|auth|credential)|^[A-Z_]*(TOKEN|KEY|SECRET|PASSW)", re.I)


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
