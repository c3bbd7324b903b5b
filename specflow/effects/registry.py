"""The tools that exist in this process: the only ones specflow will ever run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from specflow.effects.tool import ToolSpec
from specflow.errors import AnnotationError, UnknownToolError


class ToolRegistry:
    """Tool specifications by name. Never imports a name found in data."""

    def __init__(self, tools: Iterable[ToolSpec] = ()) -> None:
        self._tools: dict[str, ToolSpec] = {}
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
        self._tools[tool.name] = tool

    def hide(self, name: str, parameter: str) -> None:
        """The policy fills this parameter itself: it is not the model's to choose."""
        tool = self.require(name)
        self._tools[name] = replace(
            tool, hidden=tool.hidden | {parameter}, injected=tool.injected - {parameter}
        )

    def get(self, name: str) -> ToolSpec | None:
        """The tool of that name, or None."""
        return self._tools.get(name)

    def require(self, name: str) -> ToolSpec:
        """The tool of that name.

        Raises:
            UnknownToolError: with the nearest known name.
        """
        tool = self._tools.get(name)
        if tool is None:
            near = difflib.get_close_matches(name, self._tools, n=1)
            raise UnknownToolError(
                f"unknown tool {name!r}", hint=f"did you mean {near[0]!r}?" if near else "", tool=name
            )
        return tool

    def __iter__(self) -> Iterator[ToolSpec]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools
