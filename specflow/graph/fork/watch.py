"""Seeing whether the model that a node of the user calls is one of ours."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager

from specflow.graph.fork.purity import ModelNode

_WATCHED: contextvars.ContextVar[ModelNode | None] = contextvars.ContextVar("specflow_watched", default=None)


@contextmanager
def watching(mark: ModelNode) -> Iterator[None]:
    """Around the real run of a model node."""
    token = _WATCHED.set(mark)
    try:
        yield
    finally:
        _WATCHED.reset(token)


def seen() -> None:
    """An adopting model is called here."""
    mark = _WATCHED.get()
    if mark is not None:
        mark.adopts = True
