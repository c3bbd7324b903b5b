"""Tools named on the command line as `pkg.mod:attr`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import ConfigurationError

T = TypeVar("T")


def load_tools(name: str) -> ToolRegistry:
    """The tools that `pkg.mod:attr` names: a list of functions, LangChain tools or ToolSpecs.

    The current directory is searched first, as `python -m` does.

    Raises:
        ConfigurationError: whatever goes wrong in the user's own module, in one line.
    """
    return load_attribute(name, _registry, asked_for="--tools")


def load_attribute(name: str, use: Callable[[Any], T], *, asked_for: str) -> T:
    """What `use` makes of what `pkg.mod:attr` names; `asked_for` is how errors call it.

    Raises:
        ConfigurationError: as `load_tools`.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigurationError(f"{asked_for} {name}: must be written pkg.mod:attr")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
        return use(found)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(f"{asked_for} {name}: {type(error).__name__}: {error}") from error


def _registry(found: Any) -> ToolRegistry:
    if isinstance(found, ToolRegistry):
        return found
    if isinstance(found, str | bytes | dict) or not hasattr(found, "__iter__"):
        raise TypeError("must be a list of functions, LangChain tools or ToolSpecs")
    tools = list(found)
    if all(isinstance(tool, ToolSpec) for tool in tools):
        return ToolRegistry(tools)
    # Only here is LangChain needed, and importing it takes a second.
    from specflow.graph.tools import spec_of

    return ToolRegistry(tool if isinstance(tool, ToolSpec) else spec_of(tool) for tool in tools)
