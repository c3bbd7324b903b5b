"""Which tool undoes which, with which arguments; and when the honest answer is: none."""

# ruff: noqa: E501 - tables of cases read best with a case per line

from __future__ import annotations

from typing import Any

import pytest

from specflow.effects.annotate import Annotation
from specflow.effects.kind import EffectClass
from specflow.policy.suggest import Subject
from specflow.policy.suggest.compensators import find
from specflow.policy.suggest.evidence import Trap
from specflow.policy.suggest.undo import Compensator


def tool(
    name: str, *needs: str, gives: tuple[str, ...] = (), told: str = "", types: str = "string", **more: Any
) -> Subject:
    def schema(names: tuple[str, ...]) -> dict[str, Any]:
        return {"type": "object", "properties": {n: {"type": types} for n in names}, "required": list(names)}

    return Subject(
        name=name,
        description=told,
        parameters=schema(needs),
        result=schema(gives) if gives else None,
        **more,
    )


def undo(*tools: Subject) -> Compensator | None:
    return find(tools[0], tools).compensator


FOUND = [
    ((tool("book_flight", "flight_id", gives=("booking_id",)), tool("cancel_booking", "booking_id")),
     {"booking_id": "result.booking_id"}),
    ((tool("createIssue", "title", gives=("issueId",)), tool("deleteIssue", "issue_id")),
     {"issue_id": "result.issueId"}),
    ((tool("create_order", "item", gives=("id",)), tool("cancel_order", "order_id")), {"order_id": "result.id"}),
    ((tool("create_comment", "id", gives=("comment_id",)), tool("delete_comment", "id")), {"id": "result.comment_id"}),
    ((tool("order_create", "item", gives=("while",)), tool("order_delete", "while")), {"while": 'result["while"]'}),
    ((tool("add_contact", "name", told="Add.\n\nReturns:\n  Unique identifier of the contact person"),
      tool("remove_contact", "person_id")), {"person_id": "result"}),
    ((tool("book_room", "room", told="Returns a dict with booking_id."), tool("cancel_booking", "booking_id")),
     {"booking_id": "result.booking_id"}),
    ((tool("add_tag", "item", "tag"), tool("remove_tag", "item", "tag")), {"item": "args.item", "tag": "args.tag"}),
    ((tool("remove_tag", "item", "tag"), tool("add_tag", "item", "tag")), {"item": "args.item", "tag": "args.tag"}),
    ((tool("turn_on_light", "room"), tool("turn_off_light", "room")), {"room": "args.room"}),
    ((tool("turn_off_light", "room"), tool("turn_on_light", "room")), {"room": "args.room"}),
    ((tool("lock_doors"), tool("unlock_doors")), {}),
    ((tool("login"), tool("logout")), {}),
    ((tool("add_policies", "name"), tool("delete_policy", "name")), {"name": "args.name"}),
    ((tool("create_vm", "spec", gives=("vm_id",)), tool("delete", "vm_id"), tool("get_vm", "vm_id")), None),
    ((tool("book", "x", gives=("booking_id",)), tool("cancel_booking", "booking_id")),
     {"booking_id": "result.booking_id"}),
]  # fmt: skip


@pytest.mark.parametrize(("tools", "arguments"), FOUND)
def test_found(tools: tuple[Subject, ...], arguments: dict[str, str] | None) -> None:
    found = undo(*tools)
    assert (found.arguments if found else None) == arguments
    if found:
        assert found.tool == tools[1].name


NOT_FOUND = [
    # Its id is not known, and the `id` it was given names something else.
    ((tool("create_comment", "id"), tool("delete_comment", "id")), "needs 'id'"),
    ((tool("create_order", "x", gives=("id",)), tool("cancel_order", "order_id"), tool("delete_order", "order_id")),
     "more than one tool"),
    ((tool("create_event", "x", gives=("id",)), tool("delete_event")), "requires no argument"),
    ((tool("lock_door", "door"), tool("unlock_door")), "requires no argument"),
    ((tool("remove_item", "item"), tool("add_item", "item", "count")), ""),
    ((tool("create_order", "x", gives=("order_id",), types="integer"), tool("cancel_order", "order_id")), "order_id"),
    ((tool("create_user", "name"), tool("delete_order", "order_id")), ""),
    ((tool("weather", "city"), tool("delete_weather", "city")), ""),
    ((tool("add_x", "bad name"), tool("remove_x", "bad name")), "bad name"),
    ((tool("book_room", "x", told="Returns a list of ids"), tool("cancel_booking", "booking_id")), "booking_id"),
    ((tool("book_room", "x", told="The booking_id is needed"), tool("cancel_booking", "booking_id")), "booking_id"),
    ((tool("create_ticket", "x", gives=("ticket_id", "ticketId")), tool("close_ticket", "ticket_id")), "ticket_id"),
    ((tool("create_a", "x", gives=("url",)), tool("delete_a", "a_id")), "a_id"),
    ((tool("create_a", "x", gives=("b_id",)), tool("delete_a", "id")), "'id'"),
    ((tool("create_a", "x", gives=("id",)), tool("delete_a", "other_id")), "other_id"),
    ((tool("follow_a", "x"), tool("unfollow_a", "a_id")), "a_id"),
    ((tool("create_a", "x", gives=("a_id",), opaque_result=True), tool("delete_a", "a_id")), "a_id"),
    ((tool("create_a", "x", gives=("id",)), tool("delete_a", "___")), "___"),
]  # fmt: skip


@pytest.mark.parametrize(("tools", "why"), NOT_FOUND)
def test_not_found(tools: tuple[Subject, ...], why: str) -> None:
    found = find(tools[0], tools)
    assert found.compensator is None
    assert why in found.why_not


@pytest.mark.parametrize(
    ("tools", "trap"),
    [
        ((tool("send_message", "text", gives=("message_id",)), tool("delete_message", "message_id")), Trap.SEEN_BY_OTHERS),
        ((tool("toggle_light", "room"),), Trap.TOGGLE),
        ((tool("update_user", "id"),), Trap.OLD_VALUE),
    ],
)  # fmt: skip
def test_traps_that_keep_a_tool_from_having_an_undo(tools: tuple[Subject, ...], trap: Trap) -> None:
    assert find(tools[0], tools).compensator is None
    assert find(tools[0], tools).trap is trap


def test_an_undo_by_arguments_alone_may_undo_what_was_there_before() -> None:
    by_arguments = undo(tool("enable_light", "room"), tool("disable_light", "room"))
    by_result = undo(tool("create_a", "x", gives=("a_id",)), tool("delete_a", "a_id"))
    assert by_arguments is not None
    assert by_result is not None
    assert (by_arguments.traps, by_result.traps) == ((Trap.ALREADY_SO,), ())


def test_what_the_author_declared_goes_before_guesses() -> None:
    annotation = Annotation(effect=EffectClass.COMPENSATABLE, undo="void_it")
    sent = tool("send_invoice", "invoice_id", annotation=annotation)
    found = undo(sent, tool("void_it", "invoice_id"), tool("cancel_invoice", "invoice_id"))
    assert found is not None
    assert (found.tool, found.arguments) == ("void_it", {"invoice_id": "args.invoice_id"})
