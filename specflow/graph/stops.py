"""How a node or a tool stops without having failed."""

from __future__ import annotations

from specflow.graph.compat import is_control_flow, is_wrong_answer


def stops(error: BaseException) -> bool:
    """Whether LangGraph steers the run, or somebody is to be asked again: what stopped will begin anew.

    An answer that does not fit its question is raised where the question was asked, in the middle of a tool.
    """
    return is_control_flow(error) or is_wrong_answer(error)
