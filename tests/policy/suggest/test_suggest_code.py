"""What Python source does: it changes something, it only reads, or it cannot be followed."""

# Everything here is source to be read, never run: it is written to look like users' tools, flaws included.
# ruff: noqa: PLW0603, PLW1510, PLR0402, PLC3002, F821, F841, F842, RUF059, PTH107, PTH109, PTH123, SIM115, B007, B019, PIE790, E501

from __future__ import annotations

import collections
import copy
import functools
import json
import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import text

from specflow.policy.suggest import code, results
from specflow.policy.suggest.evidence import Says, Trap
from specflow.policy.suggest.functions import Code, body_of

ORDERS: dict[str, Any] = {}
COUNTER: collections.Counter[str] = collections.Counter()
_cache: dict[str, Any] = {}


@dataclass
class Plain:
    id: str


@dataclass
class Busy:
    id: str

    def __post_init__(self) -> None: ...


class Pair(NamedTuple):
    a: int


def says(*functions: Callable[..., Any]) -> set[Says]:
    return {item.says for item in code.evidence(Code(functions=functions))}


class Desk:
    version = 1

    def __init__(self) -> None:
        self.orders: dict[str, Any] = {}
        self.seen: list[str] = []
        self.cursor = iter(())
        self.rng = random.Random(1)

    def get(self, key: str) -> Any:
        return dict(self._find(key))

    def _find(self, key: str) -> Any:
        return self.orders[key]

    @staticmethod
    def _static(key: str) -> str:
        return key.upper()

    @classmethod
    def _class(cls) -> int:
        return cls.version

    def helpers(self, key: str) -> Any:
        return self._static(key), self._class(), Desk._static(key)

    def recursive(self, key: str) -> Any:
        return self.recursive(key) if key else None

    def aggregate(self) -> Any:
        found = []
        total = 0
        for order in self.orders.values():
            if isinstance(order, dict) or order:
                found.append(order.get("id"))
                total += order["price"]
        found.sort()
        *_, last = found or [1]
        first, (second, [third]) = 1, (2, [3])
        names: list[str] = list(found)
        names[0] = "x"
        if (head := [1]) and head:
            head.append(2)
        some = found if total else []
        some.append(1)
        other = found or []
        other.append(2)
        firsts = next(iter(self.orders.values()), None), next((x for x in self.orders), None)
        again = iter(names)
        next(again)
        unset: int
        with open("/dev/null") as file:
            text = file.read_text()
        try:
            json.loads(text)
        except ValueError as error:
            raise KeyError(str(error)) from error
        return Plain(id="x"), Pair(a=1), "a".replace("a", "b"), copy.deepcopy(found), Path("x").exists()

    def sql(self, db: Any, key: str) -> Any:
        return db.execute("SELECT a FROM b WHERE id = ?", (key,)).fetchone()

    def wrapped_sql(self, db: Any) -> Any:
        return db.execute(text("SELECT a FROM b")).fetchall()

    def http(self, key: str) -> Any:
        return httpx.get(f"https://api.example/{key}").json()

    async def slow(self, db: Any) -> Any:
        async for row in db:
            pass
        return os.getcwd()

    # writers

    def cancel(self, key: str) -> Any:
        order = self._find(key)
        order["status"] = "cancelled"
        return order

    def through_a_helper(self, key: str) -> Any:
        return self.cancel(key)

    def view(self, key: str) -> Any:
        self.seen.append(key)
        return self.orders[key]

    def advance(self) -> Any:
        return next(self.cursor)

    def advance_iterator(self) -> Any:
        return next(iter(self.cursor))

    def attribute(self, key: str) -> None:
        self.key, self.other = key, key

    def removes(self, key: str) -> None:
        del self.orders[key]

    def remembers(self, key: str) -> Any:
        if key not in _cache:
            _cache[key] = 1
        return _cache[key]

    def counts(self, key: str) -> Any:
        COUNTER.update([key])
        return COUNTER[key]

    def aliased(self) -> Any:
        found = ORDERS["all"]
        found += [1]
        return found

    def over(self) -> None:
        global ORDERS
        ORDERS = {}

    def sets(self, key: str) -> None:
        setattr(self, key, 1)

    def writes_file(self, key: str) -> None:
        with open(key, mode="w") as self.file:
            pass

    def writes_file_too(self, key: str) -> None:
        open(key, "ab")

    def runs(self) -> None:
        subprocess.run(["rm"])

    def deletes(self, key: str) -> None:
        os.remove(key)

    def posts(self) -> None:
        httpx.post("https://api.example")

    def posts_quietly(self) -> None:
        httpx.get("https://api.example", data={})

    def saves(self, client: Any) -> None:
        client.save_order()

    def sql_write(self, db: Any) -> None:
        db.execute("UPDATE a SET b = 1")

    def sql_text(self, db: Any) -> None:
        statement = "DELETE FROM users WHERE id = 1"
        db.go(statement)

    def moves(self, path: Any) -> None:
        path.replace("b")

    @functools.lru_cache
    def cached(self) -> int:
        return 1

    async def stores(self, db: Any) -> Any:
        async with db as self.session:
            async for self.row in db:
                pass

    # neither

    def rolls(self) -> Any:
        return self.rng.randint(1, 6)

    def rolls_a_die(self, die: Any) -> Any:
        return die.choice([1, 6])

    def rolls_too(self) -> Any:
        return random.random()

    def unknown(self, client: Any) -> Any:
        return client.frobnicate()

    def unknown_read(self, client: Any) -> Any:
        return client.list_orders()

    def dynamic_sql(self, db: Any, key: str) -> Any:
        return db.execute(f"SELECT a FROM b WHERE id = {key}")

    def other_sql(self, db: Any, key: str) -> Any:
        return db.execute(key), db.execute("garbage ((")

    def builds(self) -> Any:
        return Busy(id="x")

    def calls_a_call(self, factory: Any) -> Any:
        return factory()(), (lambda: 1)()

    def defines(self) -> Any:
        class Inner: ...

        def helper() -> int:
            return 1

        return Inner

    def lazily(self) -> Any:
        import secrets.thing as thing

        return thing.look(dict.fromkeys("ab"))

    def next_of_nothing(self) -> Any:
        return next()  # type: ignore[call-overload]  # source that is only read

    def stub(self) -> Any:
        """Says nothing."""
        ...

    def refuses(self) -> Any:
        raise NotImplementedError

    def passes(self) -> Any:
        pass


DESK = Desk()


@pytest.mark.parametrize(
    "name", ["get", "helpers", "recursive", "aggregate", "sql", "wrapped_sql", "http", "slow"]
)
def test_reads(name: str) -> None:
    found = code.evidence(Code(functions=(getattr(DESK, name),)))
    assert [(item.says, item.text) for item in found] == [
        (Says.READ, "its source was followed to its end and changes nothing")
    ]


@pytest.mark.parametrize(
    "name",
    [
        "cancel", "through_a_helper", "view", "advance", "advance_iterator", "attribute", "removes", "remembers",
        "counts", "aliased", "over", "sets", "writes_file", "writes_file_too", "runs", "deletes", "posts", "saves",
        "sql_write", "sql_text", "moves", "cached", "stores",
    ],
)  # fmt: skip
def test_writes(name: str) -> None:
    assert says(getattr(DESK, name)) == {Says.WRITE}


@pytest.mark.parametrize("name", ["rolls", "rolls_too", "rolls_a_die"])
def test_random_state(name: str) -> None:
    found = code.evidence(Code(functions=(getattr(DESK, name),)))
    assert {(item.says, item.trap) for item in found} == {(Says.UNSURE, Trap.RANDOM_STATE)}


@pytest.mark.parametrize("name", ["cached", "remembers"])
def test_hidden_cache(name: str) -> None:
    found = code.evidence(Code(functions=(getattr(DESK, name),)))
    assert Trap.HIDDEN_CACHE in {item.trap for item in found}


@pytest.mark.parametrize(
    "name",
    [
        "unknown", "unknown_read", "dynamic_sql", "other_sql", "builds", "calls_a_call", "defines", "lazily",
        "posts_quietly", "next_of_nothing",
    ],
)  # fmt: skip
def test_what_cannot_be_followed_speaks_neither_way(name: str) -> None:
    assert says(getattr(DESK, name)) <= {Says.NOTE}


@pytest.mark.parametrize("name", ["stub", "refuses", "passes"])
def test_a_body_that_does_nothing_says_nothing(name: str) -> None:
    assert says(getattr(DESK, name)) == set()


def test_functions_without_source() -> None:
    assert body_of(print) is None
    assert body_of(lambda: 1) is None
    assert says(print, len) == {Says.NOTE}
    namespace: dict[str, Any] = {}
    exec("def made(): return 1", namespace)
    assert body_of(namespace["made"]) is None

    def circle() -> None: ...

    circle.__wrapped__ = circle  # type: ignore[attr-defined]  # as a broken decorator leaves it
    assert body_of(circle) is None


def test_a_source_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specflow.policy.suggest.functions.MAX_SOURCE", 10)
    assert says(DESK.get) == {Says.NOTE}


def test_too_many_functions_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specflow.policy.suggest.code.MAX_FUNCTIONS", 1)
    assert says(DESK.get) == {Says.NOTE}


def test_closures_are_followed() -> None:
    orders: dict[str, Any] = {}

    def writer(key: str) -> None:
        orders[key] = 1

    def reader(key: str) -> Any:
        return orders.get(key), later

    def through(key: str) -> None:
        writer(key)

    assert says(through) == {Says.WRITE}
    assert says(reader) == {Says.READ}
    later = 1
    del later
    assert says(reader) == {Says.READ}  # the cell is empty now


def unknown_decorator(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def test_decorators_that_are_not_known() -> None:
    @unknown_decorator
    def reads() -> int:
        return 1

    assert says(reads) == {Says.NOTE}


def test_the_shape_of_results() -> None:
    def booked(flag: bool) -> Any:
        def inner() -> int:
            return 1

        if flag:
            return {"booking_id": 1, "status": "ok", **ORDERS}
        return {"booking_id": 2, 3: 4}

    def mixed(flag: bool) -> Any:
        if flag:
            return {"booking_id": 1}
        return None

    def silent() -> None:
        pass

    def schema(*functions: Callable[..., Any]) -> Any:
        return results.schema_of(Code(functions=functions))

    assert schema(booked) == {"type": "object", "properties": {"booking_id": {}}, "required": ["booking_id"]}
    assert [schema(mixed), schema(silent), schema(print)] == [None, None, None]
