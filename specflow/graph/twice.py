"""The same thing wrapped more than once: by one runtime it counts once, by two it cannot work."""

from __future__ import annotations

from langchain_core.tools import BaseTool

from specflow.errors import ConfigurationError
from specflow.graph.host import Host
from specflow.graph.intercept import standing_about
from specflow.graph.real_run import RealRun


def already(host: Host, tool: BaseTool) -> bool:
    """Whether a call of the tool is this runtime's already: it came through a wrapper further out.

    Raises:
        ConfigurationError: it is another runtime's; each would journal, adopt and undo without the other.
    """
    about = [one for one in standing_about(tool) if isinstance(one, RealRun)]
    if any(one.host is not host for one in about):
        raise two_runtimes(f"the calls of {tool.name}")
    return bool(about)


def two_runtimes(what: str) -> ConfigurationError:
    """What to raise where two of them stand about the same."""
    return ConfigurationError(f"two runtimes stand about {what}", hint="use one Runtime for the whole graph")
