"""The travel example, imported from where it travels with specflow."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from specflow.errors import ConfigurationError
from specflow.resources import bundled

PACKAGE = "specflow_example_travel"
"""The name the example is imported under, wherever its files are."""


class StoreLike(Protocol):
    """The desk's database."""

    path: Path

    def reset(self) -> None: ...
    def exists(self) -> bool: ...
    def state(self) -> dict[str, Any]: ...
    def world(self) -> str: ...


class DeskLike(Protocol):
    """The desk of the example."""

    store: StoreLike


class ToolsLike(Protocol):
    """The desk's tools, as LangChain tools."""

    @property
    def model(self) -> Sequence[Any]: ...
    @property
    def everything(self) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskParts:
    """The desk and its tools: all that recovery needs."""

    desk: Callable[..., DeskLike]
    tools: Callable[[Any], ToolsLike]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """The agent, what it is asked, and the script of its model."""

    agent: Callable[..., Any]
    ask_before_charging: Callable[[], Any]
    script: Callable[[Sequence[Mapping[str, Any]]], Any]
    request: str


def load_desk() -> DeskParts:
    """The desk of the travel example.

    Raises:
        ConfigurationError: when its files are not there.
    """
    desk, tools = _module("desk"), _module("tools")
    return DeskParts(desk=desk.Desk, tools=tools.travel_tools)


def load_agent() -> AgentParts:
    """The agent of the travel example.

    Raises:
        ConfigurationError: when its files are not there.
    """
    agent, script, seeds = _module("agent"), _module("script"), _module("seeds")
    return AgentParts(
        agent=agent.travel_agent,
        ask_before_charging=agent.ask_before_charging,
        script=script.travel_script,
        request=seeds.REQUEST,
    )


def _module(name: str) -> ModuleType:
    _register()
    return importlib.import_module(f"{PACKAGE}.{name}")


def _register() -> ModuleType:
    if (known := sys.modules.get(PACKAGE)) is not None:
        return known
    folder = bundled("examples/travel")
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"the travel example in {folder} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)
    return module
