"""References: what they say, what they refuse, and what they give when the workflow runs."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from specflow.graph.workflow.expression import SKIPPED, NotThereError, Root, SkippedError
from specflow.graph.workflow.reference import (
    STATE,
    Reference,
    either,
    needs,
    node_of,
    resolve,
    shape_of,
    text_of,
)
from specflow.graph.workflow.shape import UNKNOWN, Shape


class Leg(BaseModel):
    origin: str
    seats: int = 1


class Query(BaseModel):
    date: str
    legs: list[Leg]
    budget: float | None = None


def query() -> Any:
    return Reference(Root(name="ask", shape=Shape.of(Query)))


def anything(name: str = "search") -> Any:
    return Reference(Root(name=name))


def test_fields_of_a_declared_output_are_known_by_name() -> None:
    assert text_of(query().legs[0].origin) == "ask.legs[0].origin"
    assert str(shape_of(query().legs[0].seats)) == "integer"
    assert str(shape_of(query().budget)) == "number"


def test_a_field_that_is_not_there_is_refused_where_it_is_written() -> None:
    with pytest.raises(AttributeError, match="has no field 'dat'; did you mean 'date'"):
        _ = query().dat
    with pytest.raises(AttributeError, match="no field"):
        _ = query().legs[0].origin.city
    with pytest.raises(KeyError, match="0"):
        _ = query().date[0]


def test_what_is_not_declared_may_have_any_field() -> None:
    assert text_of(anything().a["b c"][3].d) == "search.a['b c'][3].d"
    assert not shape_of(anything().a).known


def test_a_reference_is_no_value_yet() -> None:
    with pytest.raises(TypeError, match="instead of and, or, not"):
        bool(query().budget > 3)
    with pytest.raises(TypeError, match=r"flow\.map"):
        list(query().legs)
    with pytest.raises(AttributeError, match="cannot be set"):
        query().date = "today"


def test_a_reference_can_be_copied_and_hashed() -> None:
    one = query().date
    assert text_of(copy.copy(one)) == text_of(copy.deepcopy(one)) == "ask.date"
    assert len({one, one}) == 1
    assert "reference to ask.date" in repr(one)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(one > 1)


def test_expressions_read_as_they_are_written() -> None:
    price = anything("choose").price
    condition = ((price > 100) & ~(anything("ask").vip == True)) | (price <= 0)  # noqa: E712 - a reference, not a truth
    assert text_of(condition) == "((choose.price > 100) and (not (ask.vip == True))) or (choose.price <= 0)"
    assert needs(condition) == {"choose", "ask"}


@given(
    price=st.integers(-5, 5) | st.floats(allow_nan=False),
    limit=st.integers(-5, 5),
    vip=st.booleans(),
)
def test_expressions_mean_what_python_means(price: float, limit: int, vip: bool) -> None:
    known = {"choose": {"price": price}, "ask": {"vip": vip}}
    seen = anything("choose").price
    for made, expected in (
        (seen > limit, price > limit),
        (seen >= limit, price >= limit),
        (seen < limit, price < limit),
        (seen <= limit, price <= limit),
        (seen == limit, price == limit),
        (seen != limit, price != limit),
        (~(seen > limit), not price > limit),
        ((seen > limit) & anything("ask").vip, price > limit and vip),
        ((seen > limit) | anything("ask").vip, price > limit or vip),
    ):
        assert resolve(made, known) is expected


def test_structures_are_resolved_inside() -> None:
    made = {"a": [anything().x, 1], "b": ({"c": anything().y},)}
    assert resolve(made, {"search": {"x": 2, "y": None}}) == {"a": [2, 1], "b": [{"c": None}]}
    assert needs(made) == {"search"}


def test_what_is_not_there_is_said_with_what_is() -> None:
    with pytest.raises(NotThereError, match=r"search has no 'x': it is \{'y': 1\}"):
        resolve(anything().x, {"search": {"y": 1}})
    with pytest.raises(NotThereError, match=r"has no 3"):
        resolve(anything()[3], {"search": [1]})
    with pytest.raises(NotThereError, match="has no 'x'"):
        resolve(anything().x, {"search": "text"})
    with pytest.raises(NotThereError, match="has not run"):
        resolve(anything(), {})
    with pytest.raises(NotThereError, match="cannot be told"):
        resolve(anything().x > 3, {"search": {"x": None}})
    long = "y" * 500
    with pytest.raises(NotThereError) as caught:
        resolve(anything().x, {"search": long})
    assert len(str(caught.value)) < 300


def test_the_first_that_was_not_skipped() -> None:
    made = either(anything("a").x, anything("b").x, 7)
    assert text_of(made) == "either(a.x, b.x, 7)"
    assert needs(made) == {"a", "b"}
    assert resolve(made, {"a": SKIPPED, "b": {"x": 2}}) == 2
    assert resolve(made, {"a": {"x": 1}, "b": {"x": 2}}) == 1
    assert resolve(made, {"a": SKIPPED, "b": SKIPPED}) == 7
    with pytest.raises(SkippedError, match="either"):
        resolve(either(anything("a")), {"a": SKIPPED})
    with pytest.raises(TypeError, match="at least one"):
        either()


def test_a_skipped_step_has_no_value() -> None:
    with pytest.raises(SkippedError, match="search"):
        resolve([anything().x], {"search": SKIPPED})
    assert repr(SKIPPED) == "SKIPPED"


def test_the_state_is_looked_into_like_a_result() -> None:
    state: Any = Reference(Root(name=STATE, shape=Shape.of(Query)))
    assert resolve(state.date, {STATE: {"date": "2026-12-01"}}) == "2026-12-01"
    assert node_of(state.date).roots() == {STATE}


@pytest.mark.parametrize(
    ("have", "want", "fits"),
    [
        (str, str, True),
        (int, float, True),
        (float, int, False),
        (str, int, False),
        (str | None, str, True),
        (list[str], list[str], True),
        (list[str], list[int], False),
        (Any, int, True),
        (Leg, dict[str, Any], True),
        (Leg, str, False),
        (dict[str, int], str, False),
        (int | str, str, True),
    ],
)
def test_shapes_fit(have: Any, want: Any, fits: bool) -> None:
    assert Shape.of(have).fits(Shape.of(want)) is fits


def test_shapes_know_no_more_than_they_are_told() -> None:
    assert Shape.of(object) == UNKNOWN
    assert Shape.of_schema(None) == UNKNOWN
    open_ended = Shape.of_schema(
        {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}}
    )
    found = open_ended.field("x")
    assert found is not None
    assert str(found) == "integer"
    assert Shape.of_schema({"enum": [1, "a"]}).fits(Shape.of(str))
    assert str(Shape.of_schema({"const": True})) == "boolean"
    assert str(Shape.of_schema({"type": ["string", "null"]})) == "null or string"
    assert str(Shape.of_schema({"$ref": "#/nowhere"})) == "anything"
    circular = {"$ref": "#/a", "a": {"$ref": "#/a"}}
    assert str(Shape.of_schema(circular)) == "anything"
