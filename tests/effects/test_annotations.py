"""Decorators mark tools, in any order with `@tool`, and contradictions are told."""

from __future__ import annotations

import pytest
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool

import specflow as sf
from specflow.effects.annotate import annotation_of
from specflow.effects.kind import EffectClass, strictest
from specflow.errors import AnnotationError
from specflow.graph.tools import spec_of


def test_a_function_is_marked_and_otherwise_left_alone() -> None:
    @sf.read_only
    def look(seat: str) -> str:
        """Look at a seat."""
        return seat

    assert look("A1") == "A1"
    found = annotation_of(look)
    assert found is not None
    assert found.effect is EffectClass.READ_ONLY


@pytest.mark.parametrize("order", ["above", "below"])
def test_above_or_below_the_tool_decorator(order: str) -> None:
    def book(seat: str) -> str:
        """Book a seat."""
        return seat

    mark = sf.compensatable(undo="cancel", idempotency_key="key")
    made = mark(tool(book)) if order == "above" else tool(mark(book))
    found = annotation_of(made)
    assert found is not None
    assert (found.effect, found.undo, found.idempotency_key) == (EffectClass.COMPENSATABLE, "cancel", "key")


def test_marks_do_not_reach_the_provider() -> None:
    @sf.confirmation_required
    @tool
    def pay(amount: float) -> str:
        """Pay."""
        return str(amount)

    assert "specflow" not in str(convert_to_openai_tool(pay))


def test_two_different_marks_are_a_contradiction() -> None:
    @sf.read_only
    def pay(amount: float) -> str:
        """Pay."""
        return str(amount)

    with pytest.raises(AnnotationError, match="already marked read_only"):
        sf.confirmation_required(pay)
    assert sf.read_only(pay) is pay, "the same mark again is no contradiction"


def test_compensatable_needs_its_undo() -> None:
    with pytest.raises(AnnotationError, match="needs the name"):
        sf.compensatable(undo="")


def test_the_key_is_not_the_models_to_choose() -> None:
    @sf.compensatable(undo="cancel", idempotency_key="request_id")
    def book(seat: str, request_id: str = "") -> str:
        """Book a seat."""
        return seat

    spec = spec_of(book)
    assert set(spec.properties) == {"seat"}
    assert spec.call({"seat": "A1", "request_id": "mine"}).args == {"seat": "A1"}
    assert spec.injected == frozenset()


def test_the_lattice() -> None:
    order = [
        EffectClass.READ_ONLY,
        EffectClass.COMPENSATABLE,
        EffectClass.CONFIRMATION_REQUIRED,
        EffectClass.DENY,
    ]
    assert [kind.strictness for kind in order] == [0, 1, 2, 3]
    for place, kind in enumerate(order):
        for other in order[: place + 1]:
            assert strictest(kind, other) is strictest(other, kind) is kind
    assert strictest() is EffectClass.CONFIRMATION_REQUIRED, "silence means no"
