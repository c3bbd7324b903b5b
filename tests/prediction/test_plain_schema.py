"""The quick yes agrees with the real validator, whatever the schema and the arguments."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.effects.tool import ToolSpec
from specflow.prediction.plain_schema import PlainSchema

NAMES = st.sampled_from(["a", "b", "c"])
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, 2.0]),
    st.sampled_from(["x", "y", "1"]),
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "number", "boolean", "array", ["string", "null"]]),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "description": st.just("Said."),
        "pattern": st.just("^x$"),
        "minimum": st.just(1),
        "const": VALUES,
    },
)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(NAMES, PARAMETERS, max_size=3)},
    optional={
        "required": st.lists(NAMES, unique=True, max_size=2),
        "additionalProperties": st.booleans(),
        "minProperties": st.just(2),
        "not": st.just({"required": ["a", "b"]}),
    },
)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, st.dictionaries(NAMES, VALUES, max_size=3))
def test_what_surely_fits_has_no_problems(schema: dict[str, Any], args: dict[str, Any]) -> None:
    if PlainSchema(schema).surely_fits(args):
        assert not ToolSpec(name="t", parameters=schema).problems(args)


def test_plain_schemas_need_no_validator() -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
        "required": ["city"],
    }
    assert PlainSchema(schema).surely_fits({"city": "Oslo", "unit": "C"})
    assert not PlainSchema(schema).surely_fits({"city": "Oslo", "unit": "K"})
    assert not PlainSchema(schema).surely_fits({"unit": "C"})
    assert not PlainSchema(schema).surely_fits({"city": 5})
