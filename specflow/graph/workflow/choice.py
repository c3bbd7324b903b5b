"""Steps that run only under a condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from specflow.errors import ConfigurationError
from specflow.graph.workflow.reference import Reference

Branching = Callable[[Any], AbstractContextManager["Choice"]]


class Choice:
    """What `flow.when` gives: its opposite is at hand."""

    def __init__(self, when: Branching, condition: Reference) -> None:
        self._when = when
        self._condition = condition

    @contextmanager
    def otherwise(self) -> Iterator[Choice]:
        """Steps declared inside run when the condition does not hold."""
        with self._when(~self._condition) as opposite:
            yield opposite


def condition_of(name: str, value: Any) -> Reference:
    """The condition given as `name`.

    Raises:
        ConfigurationError: it is a plain value.
    """
    if not isinstance(value, Reference):
        raise ConfigurationError(
            f"{name}={value!r} is decided already", hint="compare references, such as choose.price > 0"
        )
    return value
