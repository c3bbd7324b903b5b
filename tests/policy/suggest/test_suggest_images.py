"""Undos that write back what was there before: which are proposed, with what mapping, and which are refused."""

# ruff: noqa: E501 - tables of cases read best with a case per line

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.annotate import Annotation
from specflow.effects.kind import EffectClass
from specflow.policy import loads
from specflow.policy.condition import Cel, ConditionError
from specflow.policy.suggest import Hints, Subject, as_dict, as_yaml, propose, shapes
from specflow.policy.suggest.compensators import find
from specflow.policy.suggest.evidence import Trap
from specflow.policy.suggest.undo import Search

STRING = {"type": "string"}


def schema(*names: str, also: Any = (), **typed: Any) -> dict[str, Any]:
    """An object of strings; `also` are optional."""
    return {
        "type": "object",
        "properties": {**dict.fromkeys((*names, *also), STRING), **typed},
        "required": [*names, *typed],
    }


def tool(name: str, *needs: Any, told: str = "", gives: Any = None, **more: Any) -> Subject:
    parameters = needs[0] if needs and isinstance(needs[0], dict) else schema(*needs)
    return Subject(name=name, description=told, parameters=parameters, result=gives, **more)


def undo(*tools: Subject) -> Search:
    """Of the first of the tools, when all the others that look like reads may be made."""
    reads = frozenset(
        item.name for item in tools if item.name.split("_")[0] in {"get", "read", "search", "find"}
    )
    return find(tools[0], tools, reads)


ADDRESS = schema("street", "city")
USER = schema("user_id", "email", address=ADDRESS)
CONTACTS = {"type": "array", "items": schema("person_id", "name", "phone")}
TEXT = {"type": "string"}
ONE = "before[size(before) == 1 ? 0 : size(before)]"

FOUND: list[tuple[tuple[Subject, ...], tuple[str, dict[str, str]] | None, str, dict[str, str]]] = [
    ((tool("set_wifi", schema(on={"type": "boolean"})), tool("get_wifi", gives={"type": "boolean"})),
     ("get_wifi", {}), "set_wifi", {"on": "before"}),
    ((tool("set_wifi", schema(on={"type": "boolean"})), tool("get_wifi", told="Asks.\n\nReturns:\n    Boolean that says whether it is on")),
     ("get_wifi", {}), "set_wifi", {"on": "before"}),
    ((tool("set_level", schema("room", level={"type": "number"})), tool("get_level", "room", gives={"type": "integer"})),
     ("get_level", {"room": "args.room"}), "set_level", {"room": "args.room", "level": "before"}),
    ((tool("update_config", "theme", "size"), tool("get_config", gives=schema("theme", "size", "owner"))),
     ("get_config", {}), "update_config", {"theme": "before.theme", "size": "before.size"}),
    ((tool("modify_user_address", "user_id", "street", "city"), tool("get_user_details", "user_id", gives=USER)),
     ("get_user_details", {"user_id": "args.user_id"}), "modify_user_address",
     {"user_id": "args.user_id", "street": "before.address.street", "city": "before.address.city"}),
    # The field is written in another spelling, and the reader's own parameter is called `id`.
    ((tool("updateUser", "userId", "firstName"), tool("get_user", "id", gives=schema("first_name"))),
     ("get_user", {"id": "args.userId"}), "updateUser", {"userId": "args.userId", "firstName": "before.first_name"}),
    ((tool("update_user", "id", "name"), tool("get_user", "user_id", gives=schema("name"))),
     ("get_user", {"user_id": "args.id"}), "update_user", {"id": "args.id", "name": "before.name"}),
    ((tool("rename_file", "file_id", "new_name"), tool("get_file", "file_id", gives=schema("name", "size"))),
     ("get_file", {"file_id": "args.file_id"}), "rename_file", {"file_id": "args.file_id", "new_name": "before.name"}),
    ((tool("write_file", "path", "content"), tool("read_file", "path", gives=TEXT)),
     ("read_file", {"path": "args.path"}), "write_file", {"path": "args.path", "content": "before"}),
    ((tool("append_file", "path", "text"), tool("read_file", "path", gives=TEXT), tool("write_file", "path", "content")),
     ("read_file", {"path": "args.path"}), "write_file", {"path": "args.path", "content": "before"}),
    # An optional switch is left alone; an optional value is written back too.
    ((tool("edit_note", schema("note_id", also=("title",), body=TEXT, force={"type": "boolean"}) | {"required": ["note_id", "body"]}),
      tool("get_note", "note_id", gives=schema("title", "body"))),
     ("get_note", {"note_id": "args.note_id"}), "edit_note", {"note_id": "args.note_id", "title": "before.title", "body": "before.body"}),
    ((tool("remove_contact", "person_id"), tool("add_contact", "name", "phone"),
      tool("search_contacts", schema(also=("person_id", "group_id", "name")), gives=CONTACTS)),
     ("search_contacts", {"person_id": "args.person_id"}), "add_contact", {"name": f"{ONE}.name", "phone": f"{ONE}.phone"}),
    # Of two fields of the same name, the one inside the thing that the tool is named for.
    ((tool("set_order_shipping_city", "order_id", "city"),
      tool("get_order", "order_id", gives=schema(billing=ADDRESS, shipping=ADDRESS))),
     ("get_order", {"order_id": "args.order_id"}), "set_order_shipping_city", {"order_id": "args.order_id", "city": "before.shipping.city"}),
    # What names the very thing goes before what holds it.
    ((tool("set_user_name", "user_id", "name"), tool("get_user", "user_id", gives=schema("name")),
      tool("get_user_name", "user_id", gives=schema("name"))),
     ("get_user_name", {"user_id": "args.user_id"}), "set_user_name", {"user_id": "args.user_id", "name": "before.name"}),
    # MCP: a server that declares no result answers in words.
    ((tool("write_file", "path", "content"), tool("read_file", "path", told="The contents of a file.", opaque_result=True)),
     ("read_file", {"path": "args.path"}), "write_file", {"path": "args.path", "content": "before"}),
    ((tool("move_file", "source", "destination", told="If the destination exists, it fails."),),
     None, "move_file", {"source": "args.destination", "destination": "args.source"}),
    ((tool("rename_branch", "repo_id", "old_name", "new_name"),),
     None, "rename_branch", {"repo_id": "args.repo_id", "old_name": "args.new_name", "new_name": "args.old_name"}),
]  # fmt: skip


@pytest.mark.parametrize(("tools", "before", "target", "arguments"), FOUND)
def test_found(
    tools: tuple[Subject, ...],
    before: tuple[str, dict[str, str]] | None,
    target: str,
    arguments: dict[str, str],
) -> None:
    found = undo(*tools).compensator
    assert found is not None, undo(*tools)
    read = None if found.before is None else (found.before.tool, dict(found.before.arguments))
    assert (read, found.tool, dict(found.arguments)) == (before, target, arguments)


NOT_FOUND: list[tuple[tuple[Subject, ...], str]] = [
    # Nothing says what the reader returns, or it is of another type.
    ((tool("set_wifi", schema(on={"type": "boolean"})), tool("get_wifi")), "value from before"),
    ((tool("set_wifi", schema(on={"type": "boolean"})), tool("get_wifi", gives=TEXT)), "does not say what 'on' was"),
    ((tool("set_wifi", schema(on={})), tool("get_wifi", gives=TEXT)), "does not say what 'on' was"),
    # One value for two parameters; no parameter that is a value; no reader of the same thing.
    ((tool("set_point", "x", "y"), tool("get_point", gives=TEXT)), "does not say"),
    ((tool("update_user", "user_id"), tool("get_user", "user_id", gives=USER)), "does not say what 'user_id' was"),
    ((tool("set_wifi", "on"), tool("get_radio", gives=TEXT)), "value from before"),
    ((tool("set_wifi", "on"), tool("get_status", gives=schema("on"))), "value from before"),
    # A reader that needs what the call does not have, or whose argument is optional in the call.
    ((tool("update_user", "user_id", "name"), tool("get_user", "token", gives=USER)), "value from before"),
    ((tool("update_user", schema("name", also=("user_id",))), tool("get_user", "user_id", gives=schema("name"))), "value from before"),
    ((tool("update_user", schema("name", user_id={"type": "integer"})), tool("get_user", "user_id", gives=schema("name"))), "value from before"),
    # A bare `id` of something larger is not the id of the part.
    ((tool("update_order_item", "id", "size"), tool("get_order", "id", gives=schema("size"))), "value from before"),
    # An identifier is no value; something optional would stay changed; contents of a larger thing are others.
    ((tool("update_ticket", "ticket_id", "owner_id"), tool("get_ticket", "ticket_id", gives=schema("owner_id"))), "what 'owner_id' was"),
    ((tool("update_user", schema("user_id", "email", also=("nick",))), tool("get_user", "user_id", gives=USER)), "what 'nick' was"),
    ((tool("update_file_note", "file_id", "content"), tool("get_file", "file_id", gives=schema("content"))), "what 'content' was"),
    # Twice at the same depth, and the tool is named for neither.
    ((tool("update_user", "user_id", "city"), tool("get_user", "user_id", gives=schema(home=ADDRESS, work=ADDRESS))), "what 'city' was"),
    # Two reads that tell the same.
    ((tool("update_user", "user_id", "name"), tool("get_user", "user_id", gives=schema("name")), tool("read_user", "user_id", gives=schema("name"))), "more than one read"),
    # Names that cannot be written into an expression.
    ((tool("update_user", "user_id", "bad name"), tool("get_user", "user_id", gives=schema("bad name"))), "bad name"),
    ((tool("update_user", "user_id", "name"), tool("get_user", "user_id", gives=schema(**{"ad dress": schema("name")}))), "what 'name' was"),
    ((tool("update_user", "user id", "name"), tool("get_user", "user_id", gives=schema("name"))), "value from before"),
    ((tool("update_user", schema("user_id", "name", also=("user id",))), tool("get_user", "user_id", gives=schema("name"))), "user id"),
    # Searches: of things, by nothing that says which; a search that returns texts.
    ((tool("remove_contact", "person_id"), tool("add_contact", "name"), tool("search_contacts", "query", gives=CONTACTS)), ""),
    ((tool("remove_contact", "person_id"), tool("add_contact", "name"), tool("search_contacts", gives=CONTACTS)), ""),
    ((tool("remove_contact", "person_id"), tool("add_contact", "name"), tool("search_contacts", "person_id", gives={"type": "array", "items": TEXT})), ""),
    ((tool("remove_contact", "person_id"), tool("add_contact", "name"), tool("search_contacts", "person_id", gives=schema("name"))), ""),
    ((tool("remove_contact", "person_id"), tool("add_contact", "fax"), tool("search_contacts", "person_id", gives=CONTACTS)), "'fax' was"),
    # Results of MCP tools without a structure: only a file's contents are what their text is.
    ((tool("set_level", schema(level=TEXT)), tool("get_level", told="Returns: text", opaque_result=True)), "value from before"),
    ((tool("write_file", "path", "content"), tool("read_file", "path", told="Looks into it.", opaque_result=True)), ""),
    # A difference is no value: what it led from cannot be given in its place.
    ((tool("append_file", "path", "text"), tool("read_file", "path", gives=TEXT)), ""),
    ((tool("edit_file", "path", "text"), tool("read_file", "path", gives=TEXT)), "does not say what 'text' was"),
    ((tool("update_file", "path", "patch"), tool("read_file", "path", gives=TEXT)), "does not say what 'patch' was"),
    ((tool("update_stock", "item_id", "count", told="Increases the stock."), tool("get_stock", "item_id", gives=schema("count"))), "increase"),
    # More than a value.
    ((tool("update_payment", "payment_id", "method"), tool("get_payment", "payment_id", gives=schema("method"))), "money"),
    ((tool("update_ticket", "ticket_id", "state", told="Updates a ticket and notifies its watchers."), tool("get_ticket", "ticket_id", gives=schema("state"))), "notifies"),
    ((tool("set_power_mode", schema(on={"type": "boolean"})), tool("get_power_mode", gives={"type": "boolean"}), tool("set_radio", "on", told="Fails if power mode is on.")), "set_radio speaks of the power mode"),
    # Moves: without both ends, with something else that has to be known, with ends that are not told apart.
    ((tool("move_file", "path", "folder"),), "value from before"),
    ((tool("move_file", "source", "destination", "mode"),), "value from before"),
    ((tool("move_file", "source", "destination", "from_x", "to_x"),), "value from before"),
    ((tool("move_file", "from-path", "to-path"),), "value from before"),
]  # fmt: skip


@pytest.mark.parametrize(("tools", "why"), NOT_FOUND)
def test_not_found(tools: tuple[Subject, ...], why: str) -> None:
    found = undo(*tools)
    assert found.compensator is None
    assert why in found.why_not


def test_a_read_that_is_not_proposed_as_one_is_not_made() -> None:
    tools = (tool("set_wifi", schema(on={"type": "boolean"})), tool("get_wifi", gives={"type": "boolean"}))
    assert find(tools[0], tools, frozenset()).compensator is None


def test_what_is_uncertain_is_said() -> None:
    def notes(*tools: Subject) -> str:
        found = undo(*tools).compensator
        assert found is not None
        return "\n".join(found.notes)

    write = tool("update_user", "user_id", "name")
    null = {"type": "object", "properties": {"name": {"type": ["string", "null"]}}, "required": ["name"]}
    seen = tool("get_user", "user_id", gives=schema("name"), results_seen=1234)
    assert "1,234 recorded results of get_user" in notes(write, seen)
    assert notes(write, tool("get_user", "user_id", gives=schema("name"))) == ""
    assert "before.name is missing or null" in notes(write, tool("get_user", "user_id", gives=null))
    optional = {"type": "object", "properties": {"name": STRING}}
    assert "before.name is missing or null" in notes(write, tool("get_user", "user_id", gives=optional))
    # A parameter that takes null can be given what was missing a value.
    taking = tool("update_user", schema("user_id", name={"anyOf": [STRING, {"type": "null"}]}))
    assert notes(taking, tool("get_user", "user_id", gives=null)) == ""
    moved = undo(tool("move_file", "source", "destination")).compensator
    assert moved is not None
    assert (moved.traps, "overwritten" in moved.notes[0]) == ((Trap.ALREADY_SO,), True)


@pytest.mark.parametrize("found", [[], [{"name": "Ada"}, {"name": "Bob"}]])
def test_a_search_that_finds_none_or_several_gives_nothing_to_write_back(found: list[dict[str, str]]) -> None:
    source = Cel(f"{ONE}.name", frozenset({"before"}))
    assert source.evaluate({"before": [{"name": "Ada"}]}) == "Ada"
    with pytest.raises(ConditionError):
        source.evaluate({"before": found})


def test_traps_of_bringing_back() -> None:
    back = undo(
        tool("remove_contact", "person_id"),
        tool("add_contact", "name"),
        tool("get_contact", "person_id", gives=schema("name")),
    ).compensator
    assert back is not None
    assert back.traps == (Trap.NEW_THING,)
    # What is added back from the arguments alone needs no read.
    tag = undo(tool("remove_tag", "tag"), tool("add_tag", "tag"), tool("get_tag", "tag", gives=schema("tag")))
    assert tag.compensator is not None
    assert tag.compensator.before is None


def test_what_the_author_declared_is_not_replaced_by_a_guess() -> None:
    annotation = Annotation(effect=EffectClass.COMPENSATABLE, undo="reset_wifi")
    found = undo(
        tool("set_wifi", schema(on={"type": "boolean"}), annotation=annotation),
        tool("get_wifi", gives={"type": "boolean"}),
        tool("reset_wifi", "on"),
    ).compensator
    assert found is None or found.tool == "reset_wifi"


STAGE = tool("git_add", "repo", "files", told="Adds contents to the staging area")
UNSTAGE = tool("git_reset", "repo", told="Unstages all staged changes")


def test_a_sweeping_undo_is_named_and_stays_with_a_person() -> None:
    made = {item.subject.name: item for item in propose([STAGE, UNSTAGE])}
    assert made["git_add"].compensator is not None
    assert made["git_add"].compensator.tool == "git_reset"
    assert made["git_add"].effect is EffectClass.CONFIRMATION_REQUIRED
    assert Trap.COARSE in made["git_add"].traps
    assert made["git_reset"].compensator is None


@pytest.mark.parametrize(
    ("other", "trap"),
    [
        (tool("git_reset", "repo", "files", told="Unstages files"), Trap.ALREADY_SO),
        (tool("git_reset", "repo", told="Unstages files"), Trap.COARSE),
        (tool("shop_reset", "repo", told="Unstages files"), None),
        (tool("git_reset", "repo", told="Undoes"), None),
        (tool("git_reset", "repo", told="Unpacks it"), None),
        (tool("git_reset", "repo", told=""), None),
        (tool("git_show", "repo", told="Unstages files"), None),
    ],
)
def test_undos_that_descriptions_give_away(other: Subject, trap: Trap | None) -> None:
    found = undo(STAGE, other).compensator
    assert (found.traps if found else None) == ((trap,) if trap else None)


def test_shapes_that_are_too_large_tell_nothing() -> None:
    wide: dict[str, Any] = {"properties": {f"x{n}": {} for n in range(shapes.MAX_PLACES)} | {"name": {}}}
    assert shapes.places(wide, "name") == []
    deep: dict[str, Any] = {"properties": {"name": {}}}
    for _ in range(shapes.MAX_DEPTH):
        deep = {"properties": {"in": deep}}
    assert shapes.places(deep, "name") == []
    assert [
        place.path for place in shapes.places({"properties": {"a": {"properties": {"name": {}}}}}, "name")
    ] == [("a", "name")]
    assert shapes.places({"properties": "x", "required": 1}, "name") == []
    assert shapes.nullable("x")


# -- properties -----------------------------------------------------------------------------------------------

FIELDS = st.dictionaries(
    # No word of these is an identifier, money or a difference.
    st.from_regex(r"zz[a-z]{1,6}", fullmatch=True),
    st.one_of(st.text(max_size=5), st.integers(-9, 9), st.booleans()),
    min_size=1,
    max_size=5,
)
JSON = {str: "string", bool: "boolean", int: "integer"}


@given(FIELDS, st.sampled_from(["", "state", "while"]), st.text(min_size=1, max_size=5))
def test_what_the_mapping_gives_is_what_was_there(fields: dict[str, Any], inside: str, name: str) -> None:
    typed = {key: {"type": JSON[type(value)]} for key, value in fields.items()}
    held = schema(**{inside: schema(**typed)}) if inside else schema(**typed)
    write = tool("configure_thing", schema("thing_id", **typed))
    found = undo(write, tool("get_thing", "thing_id", gives=held))
    assert found.compensator is not None, found
    names = {"args": {"thing_id": name}, "before": {inside: fields} if inside else fields}
    roots = frozenset({"args", "before"})
    given_back = {
        key: Cel(source, roots).evaluate(names) for key, source in found.compensator.arguments.items()
    }
    assert given_back == {"thing_id": name, **fields}


def test_as_written_into_a_policy() -> None:
    tools = [
        tool("set_wifi", schema(on={"type": "boolean"}), told="Sets it"),
        tool("get_wifi", told="Returns whether the radio is on", gives={"type": "boolean"}),
        tool("modify_user", "user_id", "email", told="Modifies a user"),
        tool(
            "get_user",
            "user_id",
            told="Returns a user, with the address",
            gives=USER,
            hints=Hints(read_only=True),
        ),
    ]
    made = propose(tools)
    text = as_yaml(made)
    assert loads(text, file="proposed.yaml").hash
    assert 'before:\n        tool: "get_user"\n        with:\n          "user_id": "args.user_id"' in text
    assert 'before:\n        tool: "get_wifi"\n        with: {}' in text
    listed = {item["tool"]: item["compensate"] for item in as_dict(made)["tools"]}
    assert listed["modify_user"] == {
        "before": {"tool": "get_user", "with": {"user_id": "args.user_id"}},
        "tool": "modify_user",
        "with": {"user_id": "args.user_id", "email": "before.email"},
    }
    # It holds as a policy once a person has taken it over.
    accepted = text.replace("status: proposed", "status: reviewed")
    assert loads(accepted, file="accepted.yaml").hash


WORDS = ["string", "object", "array", "null", "#", "#/$defs/a", "x y", "result", "content"]
KEYS = [
    "type",
    "properties",
    "required",
    "items",
    "$ref",
    "anyOf",
    "enum",
    "const",
    "$defs",
    "a",
    "id",
    "name",
    "path",
]
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)
ODD_TOOLS = st.builds(
    lambda name, told, inputs, result, opaque, seen: Subject(
        name=name, description=told, parameters={"properties": inputs, "required": list(inputs)}, result=result,
        opaque_result=opaque, results_seen=seen, hints=Hints(read_only=True) if name.startswith(("get", "read", "search")) else None,
    ),
    st.sampled_from(["get_user", "set_user", "modify_user", "remove_user", "add_user", "read_file", "write_file", "edit_file",
                     "move_file", "search_users", "git_add", "git_reset", "a_to_b"]),
    st.sampled_from(["Returns its contents as text.", "Unstages it all", "Adds to staging", "x\n\nReturns:\n  Boolean"]),
    st.dictionaries(st.sampled_from(["id", "name", "content", "path", "source", "destination", "x y"]),
                    st.dictionaries(st.sampled_from(["type", "enum", "anyOf", "$ref"]), ODD, max_size=2), max_size=4),
    st.dictionaries(st.sampled_from(KEYS), ODD, max_size=4), st.booleans(), st.integers(0, 2),
)  # fmt: skip


@given(st.lists(ODD_TOOLS, max_size=5, unique_by=lambda item: item.name))
def test_no_schema_however_odd_makes_a_policy_that_does_not_load(tools: list[Subject]) -> None:
    text = as_yaml(propose(tools))
    assert loads(text.replace("status: proposed", "status: reviewed"), file="proposed.yaml").hash
