"""The store of a fork: what it reads is the user's, what it writes is its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.errors import GraphInterrupt
from langgraph.store.memory import InMemoryStore

from specflow.graph.fork.effects import noting, result_of
from specflow.graph.fork.overlay import OverlayStore


class Halting:
    """A fork that only ends."""

    def halt(self, why: str) -> None:
        raise GraphInterrupt(())


def overlay() -> tuple[InMemoryStore, OverlayStore]:
    inner = InMemoryStore()
    inner.put(("a",), "k", {"v": 1})
    return inner, OverlayStore(inner, Halting())  # type: ignore[arg-type]  # all that is asked of a fork


def value(store: Any, key: str = "k") -> Any:
    item = store.get(("a",), key)
    return None if item is None else item.value


def test_reads_go_through_and_writes_stay() -> None:
    inner, store = overlay()
    assert value(store) == {"v": 1}
    assert [item.key for item in store.search(("a",))] == ["k"]
    assert store.list_namespaces() == [("a",)]
    store.put(("a",), "k", {"v": 2})
    store.put(("a",), "new", {"v": 3})
    assert (value(store), value(store, "new"), value(inner), value(inner, "new")) == (
        {"v": 2},
        {"v": 3},
        {"v": 1},
        None,
    )
    store.delete(("a",), "k")
    assert (value(store), value(inner)) == (None, {"v": 1})


async def test_the_same_asynchronously() -> None:
    inner, store = overlay()
    await store.aput(("a",), "k", {"v": 2})
    item = await store.aget(("a",), "k")
    assert item is not None
    assert (item.value, value(inner)) == ({"v": 2}, {"v": 1})
    assert await store.aget(("a",), "other") is None


def test_a_search_after_a_write_ends_the_fork() -> None:
    _inner, store = overlay()
    store.put(("b",), "k", {"v": 2})
    with pytest.raises(GraphInterrupt):
        store.search(("a",))


def test_what_was_put_is_what_it_was_when_it_was_put() -> None:
    inner, store = overlay()
    given = {"v": [1]}
    store.put(("a",), "k", given)
    given["v"].append(2)
    held = value(store)
    held["v"].append(3)
    assert value(store) == {"v": [1]}
    assert value(inner) == {"v": 1}


def test_a_fork_of_a_fork_sees_what_the_first_one_wrote() -> None:
    inner, first = overlay()
    first.put(("a",), "k", {"v": 2})
    second = OverlayStore(first, Halting())  # type: ignore[arg-type]  # as above
    assert value(second) == {"v": 2}
    second.put(("a",), "k", {"v": 3})
    assert (value(first), value(inner)) == ({"v": 2}, {"v": 1})


def test_puts_are_noted_for_the_adoption_in_their_order() -> None:
    _inner, store = overlay()
    store.put(("a",), "before", {"v": 0})
    with noting() as log:
        store.put(("a",), "one", {"v": 1})
        asyncio.run(store.aput(("a",), "two", {"v": 2}))
    store.put(("a",), "after", {"v": 3})
    assert [(kind, what.key) for kind, what in log.done] == [("put", "one"), ("put", "two")]
    assert result_of("value", log).value == "value"


def test_a_result_alone_stays_what_it_is() -> None:
    with noting() as log:
        pass
    assert result_of("value", log) == "value"
