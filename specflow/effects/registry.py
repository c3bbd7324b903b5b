"""The tools that exist in this process: the only ones specflow will ever run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from specflow.effects.tool import ToolSpec
from specflow.errors import AnnotationError, UnknownToolError


class ToolRegistry:
    """Tool specifications by name. Never imports a name found in data.

    A tool of an MCP server is also found as `mcp:server/tool`.
    """

    def __init__(self, tools: Iterable[ToolSpec] = ()) -> None:
        self._tools: dict[str, ToolSpec] = {}
        self._of_servers: dict[str, str] = {}
        for tool in tools:
            self.add(tool)

    def add(self, tool: ToolSpec) -> None:
        """Register a tool.

        Raises:
            AnnotationError: when another tool already has the name.
        """
        known = self._tools.get(tool.name)
        if known is not None and known != tool:
            raise AnnotationError(f"two tools are called {tool.name!r}", hint="rename one of them")
        for name in tool.names[1:]:
            if self._of_servers.setdefault(name, tool.name) != tool.name:
                raise AnnotationError(
                    f"{self._of_servers[name]!r} and {tool.name!r} are both {name!r}",
                    hint="register one of them",
                )
        self._tools[tool.name] = tool

    def hide(self, name: str, parameter: str) -> None:
        """The policy fills this parameter itself: it is not the model's to choose."""
        tool = self.require(name)
        self._tools[tool.name] = replace(
            tool, hidden=tool.hidden | {parameter}, injected=tool.injected - {parameter}
        )

    def get(self, name: str) -> ToolSpec | None:
        """The tool of that name, or None."""
        return self._tools.get(name) or self._tools.get(self._of_servers.get(name, ""))

    def require(self, name: str) -> ToolSpec:
        """The tool of that name.

        Raises:
            UnknownToolError: with the nearest known name.
        """
        tool = self.get(name)
        if tool is None:
            near = difflib.get_close_matches(name, [*self._tools, *self._of_servers], n=1)
            raise UnknownToolError(
                f"unknown tool {name!r}", hint=f"did you mean {near[0]!r}?" if near else "", tool=name
            )
        return tool

    def __iter__(self) -> Iterator[ToolSpec]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools or name in self._of_servers
