"""What steps leave in the graph's state: plain data under the step's name, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from specflow.errors import SpecflowError
from specflow.graph.workflow.expression import SKIPPED
from specflow.graph.workflow.reference import STATE
from specflow.graph.workflow.step import Step

STEPS = "steps"
"""The channel of the graph's state in which results are kept."""

RUN = "_run"
"""The key in it of the id of the logical run."""


class StepError(SpecflowError):
    """A step that cannot go on."""

    code = "step"


class StepRejectedError(StepError):
    """A person said no to a call."""

    code = "rejected"


def merged(one: dict[str, Any] | None, two: dict[str, Any] | None) -> dict[str, Any]:
    """Steps that ran side by side have each left something."""
    return {**(one or {}), **(two or {})}


def left(step: Step, value: Any) -> dict[str, Any]:
    """The update of the state for a step that has run and left this plain value."""
    return {STEPS: {step.name: {"value": value}}}


def skipped(step: Step, why: str) -> dict[str, Any]:
    """The update for a step that does not run."""
    return {STEPS: {step.name: {"skipped": why}}}


def plain(name: str, value: Any) -> Any:
    """The value as JSON has it: what references look into, and what a checkpoint keeps.

    Raises:
        StepError: it has no such form.
    """
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, ValueError) as error:
        raise StepError(
            f"{name} left {type(value).__name__}, which is no plain data: {error}",
            hint="return dicts, lists, texts, numbers, dataclasses or pydantic models",
        ) from error


def known(state: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """The values that references are resolved against."""
    found: dict[str, Any] = {
        name: item.get("value", SKIPPED)
        for name, item in (state.get(STEPS) or {}).items()
        if isinstance(item, Mapping)
    }
    found[STATE] = {name: plain(STATE, state[name]) for name in fields if name in state}
    return found
