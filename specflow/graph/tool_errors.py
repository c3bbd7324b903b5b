"""`handle_tool_errors` of a ToolNode that has a wrapper, meaning what it means without one.

LangGraph asks twice about an error of a tool where a wrapper stands about its calls: where the tool ran, and
again outside the wrapper, where it turns any error into a message, also one that was not to be handled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from specflow.graph.compat import error_message

_PASSED = "__specflow_passed__"


def handled_as_without_wrapper(wanted: Any) -> Any:
    """What to give ToolNode in place of the user's `handle_tool_errors`.

    True, a text and False are the same both times. In all other forms an error that is not to be handled,
    or one that the user's own function raised, is raised whenever LangGraph asks about it.
    """
    if isinstance(wanted, bool | str) or wanted == ():
        return wanted
    return _handling(wanted)


def _handling(wanted: Any) -> Callable[[Exception], str]:
    def handle(error: Exception) -> str:
        if error.__dict__.pop(_PASSED, False):
            raise error
        try:
            told = error_message(error, wanted)
        except Exception as failure:
            failure.__dict__[_PASSED] = True
            raise
        if told is None:
            raise error
        return told

    return handle
