"""What names, descriptions, parameters and statements say, case by case."""

# ruff: noqa: E501 - tables of cases read best with a case per line

from __future__ import annotations

import importlib
from typing import Any

import pytest

from specflow.policy.suggest import names, parameters, prose, statements
from specflow.policy.suggest.docstring import Section, result_text, sections
from specflow.policy.suggest.evidence import Says, Trap
from specflow.policy.suggest.statements import Does


def said(found: list[Any]) -> set[Says]:
    return {item.says for item in found}


@pytest.mark.parametrize(
    "name",
    [
        "get_order", "getOrderStatus", "list_deleted_items", "search_booking", "mcp_v2_find_user", "flight_search",
        "find_book", "api.users.list", "calculate",
    ],
)  # fmt: skip
def test_names_that_read(name: str) -> None:
    assert said(names.evidence(name)) == {Says.READ}


@pytest.mark.parametrize(
    "name",
    [
        "create_order", "get_or_create_user", "find_and_modify", "check_in_passenger", "order_pizza", "deletes_rows",
        "get_and_set", "update_status", "clear_history", "order_status", "setValue", "return_items", "pop",
        "deleting_rows", "find_and_replace",
    ],
)  # fmt: skip
def test_names_that_write(name: str) -> None:
    assert Says.WRITE in said(names.evidence(name))
    assert Says.READ not in said(names.evidence(name))


@pytest.mark.parametrize("name", ["weather", "user_profile", "deleted_items", "", "____", "42", "reported"])
def test_names_that_say_nothing(name: str) -> None:
    assert names.evidence(name) == []


@pytest.mark.parametrize(
    ("name", "trap"),
    [
        ("get_next_job", Trap.CURSOR),
        ("get_random_fact", Trap.RANDOM_STATE),
        ("get_cached_page", Trap.HIDDEN_CACHE),
    ],
)
def test_names_give_traps_away(name: str, trap: Trap) -> None:
    assert {item.trap for item in names.evidence(name) if item.says is Says.UNSURE} == {trap}


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("cancelBooking", ("cancel", ("booking",))),
        ("booking_cancel", ("cancel", ("booking",))),
        ("weather", ("", ("weather",))),
        ("", ("", ())),
        ("deleted_item", ("", ("deleted", "item"))),
    ],
)
def test_the_act_of_a_name(name: str, act: tuple[str, tuple[str, ...]]) -> None:
    assert names.act(name) == act


@pytest.mark.parametrize(
    "text",
    [
        "Returns the weather of a city.",
        "Quickly compares two plans",
        "This tool allows you to get the balance of an account.",
        "Find flights that are cancelled or were booked by the user.",
        "Get a user. Does not modify anything.",
        "Checks if an order can be cancelled. Call this before deleting it.",
        "List orders and payments of a customer",
        "Show it, without changing or deleting anything",
        "Provides the forecast",
        "Lists fields:\n  - name\n  - exchange: where it is listed\n  - order\n",
        "Get it.\n\nArgs:\n    delete: the rows to delete\n    x (int): creates nothing\n    ---\n\nReturns:\n    Order of things",
        "Get it.\n\nReturns: request id\n\nRaises:\n    KeyError: deletes nothing",
        "Get the record by its id; the update is shown too",
        "Will not obtain information or change the database. ",
    ],
)  # fmt: skip
def test_descriptions_that_admit_no_write(text: str) -> None:
    assert said(prose.evidence(text)) <= {Says.READ}


@pytest.mark.parametrize(
    "text",
    [
        "Deletes the user.", "A tool that deletes files", "Book a flight", "Get the cart, or creates one",
        "Returns the next job and marks it as taken.", "Get the order. The order is then deleted.",
        "View it. The visit will be recorded.", "Function which, when invoked, wipes the disk.",
        "Get a page by deleting the old one", "Used for deleting files", "Search and book flights",
        "Check in a passenger.", "Checks off a task", "Find text and replace it", "Get it, updates the counter",
        "Gets the coupon, which is then consumed", "Get it. Updating the index follows.",
        "Lists things:\n - delete: removes it", "Get it.\n\nArgs:\n    x: what\nAfterwards the row is removed.",
        "Toggles the light.", "It toggles the light",
        "Get it.\n\n:param x: the thing\n:returns: the thing, and creates a copy",
        "Get it.\n\nWarning: deletes the rest.", "Get x, deleting y",
    ],
)  # fmt: skip
def test_descriptions_that_admit_a_write(text: str) -> None:
    assert Says.WRITE in said(prose.evidence(text))
    assert Says.READ not in said(prose.evidence(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Weather of a city",
        "The order",
        "Get a refund",
        "List a product for sale",
        "This tool",
        "A search",
        "()!?",
        "42",
        "Deleted items",
    ],
)
def test_descriptions_that_say_nothing(text: str) -> None:
    assert prose.evidence(text) == []


def test_what_is_too_long_to_be_read_is_not_believed() -> None:
    text = "Get the user. " + "word " * 5000
    assert said(prose.evidence(text)) == {Says.UNSURE}
    hidden = "Get the user. " + "word " * 5000 + "Deletes everything."
    assert Says.READ not in said(prose.evidence(hidden))


@pytest.mark.parametrize(
    ("text", "trap"),
    [
        ("Get it, which may be cached", Trap.HIDDEN_CACHE),
        ("Returns a random number", Trap.RANDOM_STATE),
        ("Flips the switch", Trap.TOGGLE),
    ],
)
def test_descriptions_give_traps_away(text: str, trap: Trap) -> None:
    assert trap in {item.trap for item in prose.evidence(text) if item.vetoes}


def test_a_description_that_only_repeats_the_name() -> None:
    assert prose.adds_nothing("Gets the users", ["get", "user"])
    assert not prose.adds_nothing("Gets the users of a tenant", ["get", "user"])


def test_sections_of_a_docstring() -> None:
    text = "Act.\n\nParameters\n----------\nx : int\n    about x\n\nReturns\n-------\nthe id\n\nNotes: more\n:return: again"
    found = sections(text)
    assert [section for section, _ in found] == [
        Section.ACTS, Section.PARAMETERS, Section.RESULT, Section.ACTS, Section.RESULT
    ]  # fmt: skip
    assert "the id" in result_text(text)
    assert "again" in result_text(text)
    # A sentence that only begins like a header is none.
    assert sections("returns a thing") == [(Section.ACTS, "returns a thing")]


def check(name: str, schema: dict[str, Any] | None = None, told: str = "") -> set[tuple[Says, Trap | None]]:
    return {(item.says, item.trap) for item in parameters.evidence({name: schema or {}}, told)}


@pytest.mark.parametrize(
    ("name", "schema", "told"),
    [
        ("command", {}, ""),
        ("sql", {"description": 3}, ""),
        ("query", {}, "Runs against the database with SQL"),
        ("query", {"description": "a Cypher query"}, ""),
        ("code", {}, "Executes Python"),
        ("action", {}, ""),
        ("operation", {"enum": ["read", "delete"]}, ""),
        ("mode", {"enum": ["append"]}, ""),
        ("kind", {"enum": ["create", "delete", 3]}, ""),
        ("kind", {"anyOf": [{"enum": ["create"]}, {"const": "x"}, 3, {"enum": 4}], "const": "delete"}, ""),
        ("type", {"oneOf": [{"enum": ["update"]}]}, ""),
        ("dry_run", {"type": "boolean"}, ""),
        ("delete_after", {"type": "boolean"}, ""),
        ("mark_as_read", {"type": "boolean"}, ""),
        ("update", {"type": "boolean"}, ""),
    ],
)
def test_parameters_that_decide_the_effect(name: str, schema: dict[str, Any], told: str) -> None:
    assert (Says.UNSURE, Trap.ARGUMENT_DEPENDENT) in check(name, schema, told)


@pytest.mark.parametrize("name", ["output_path", "webhookUrl", "new_status"])
def test_parameters_that_tell_of_a_write(name: str) -> None:
    assert (Says.WRITE, None) in check(name)


@pytest.mark.parametrize("name", ["url", "file_path", "email", "content"])
def test_parameters_worth_a_note(name: str) -> None:
    assert check(name) == {(Says.NOTE, None)}


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("query", {}), ("code", {"description": "airport"}), ("include_deleted", {"type": "boolean"}),
        ("mode", {"enum": ["fast", "slow"]}), ("operation", {"enum": ["get", "list"]}), ("new", {}), ("", {}),
        ("order_details", {"type": "boolean"}), ("order", {"type": "boolean"}), ("mode", {"anyOf": 3}),
    ],
)  # fmt: skip
def test_parameters_that_say_nothing(name: str, schema: dict[str, Any]) -> None:
    assert check(name, schema) == set()


def test_too_many_parameters_are_not_read() -> None:
    many = {f"p{number}": {} for number in range(300)}
    assert {item.says for item in parameters.evidence(many, "")} == {Says.UNSURE}


STATEMENTS = [
    ("SELECT a FROM b WHERE id = ?", Does.READS),
    ("SELECT count(*), date_trunc('day', x) FROM b UNION SELECT 1, 2", Does.READS),
    ("VALUES (1)", Does.READS),
    ("SELECT nextval('x')", Does.UNKNOWN),
    ("SELECT pg_terminate_backend(1)", Does.UNKNOWN),
    ("WITH x AS (INSERT INTO t VALUES (1) RETURNING id) SELECT * FROM x", Does.WRITES),
    ("SELECT * INTO y FROM b", Does.WRITES),
    ("SELECT * FROM b FOR UPDATE", Does.WRITES),
    ("UPDATE a SET b = 1", Does.WRITES),
    ("SELECT 1; DROP TABLE x", Does.WRITES),
    ("PRAGMA x = 1", Does.UNKNOWN),
    ("EXPLAIN ANALYZE DELETE FROM x", Does.UNKNOWN),
    ("", Does.UNKNOWN),
    ("garbage ((", Does.UNKNOWN),
    ("delete garbage ((", Does.WRITES),
    ("SELECT " + "(" * 15_000, Does.UNKNOWN),
    ("SELECT a FROM b -- " + "x" * 30_000, Does.UNKNOWN),
    ("DELETE FROM b -- " + "x" * 30_000, Does.WRITES),
]


@pytest.mark.parametrize(("text", "does"), STATEMENTS)
def test_statements(text: str, does: Does) -> None:
    assert statements.effect_of(text) is does


def test_without_sqlglot_no_statement_speaks_for_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert statements.effect_of("SELECT a FROM b") is Does.UNKNOWN
    assert statements.effect_of("DELETE FROM b") is Does.WRITES


def test_statements_in_prose() -> None:
    text = "Runs `UPDATE users SET name = 1` and SELECT a FROM x.b. Please update the users to set names."
    assert statements.quoted_in(text) == ["UPDATE users SET name = 1", "SELECT a FROM x.b"]
    assert not statements.looks_like_sql("Update failed (really)")
    assert statements.looks_like_sql("-- why\n delete from users")
