"""The store a fork sees: reads go through to the user's, writes stay here."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from langgraph.store.base import BaseStore, GetOp, Item, Op, PutOp, Result

from specflow.graph.fork.current import Fork
from specflow.graph.fork.effects import noted_put


class OverlayStore(BaseStore):
    """One fork's view of the store. After a write of its own a search ends the fork.

    What a search would find then, in which order, only the store itself can say.
    """

    def __init__(self, inner: BaseStore, fork: Fork) -> None:
        self.supports_ttl = inner.supports_ttl
        self.ttl_config = inner.ttl_config
        self._inner = inner
        self._fork = fork
        self._written: dict[tuple[tuple[str, ...], str], Mapping[str, Any] | None] = {}

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return [self._own(op) if self._is_own(op) else self._inner.batch([op])[0] for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return [self._own(op) if self._is_own(op) else (await self._inner.abatch([op]))[0] for op in ops]

    def _is_own(self, op: Op) -> bool:
        """# INVARIANT: no write of a fork reaches the user's store."""
        if isinstance(op, PutOp):
            return True
        if isinstance(op, GetOp):
            return (tuple(op.namespace), op.key) in self._written
        if self._written:
            self._fork.halt("a search of the store after a write")
        return False

    def _own(self, op: Op) -> Result:
        if isinstance(op, PutOp):
            # A put cannot be changed by who changes its value afterwards: the user's store may serialise it.
            self._written[tuple(op.namespace), op.key] = copy.deepcopy(op.value)
            noted_put(op._replace(value=copy.deepcopy(op.value)))
            return None
        assert isinstance(op, GetOp)
        value = self._written[tuple(op.namespace), op.key]
        if value is None:
            return None
        now = datetime.now(UTC)
        return Item(
            value=dict(copy.deepcopy(value)),
            key=op.key,
            namespace=tuple(op.namespace),
            created_at=now,
            updated_at=now,
        )
