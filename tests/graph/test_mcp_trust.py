"""What an MCP server says of its tools: believed at once against a tool, in its favour only when trusted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool
from mcp.types import Tool, ToolAnnotations

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import AnnotationError, PolicyError
from specflow.graph.mcp_call import mcp_call_of, merged_hints
from specflow.graph.pairing import paired, unpaired
from specflow.graph.tools import same_body, spec_of
from specflow.policy.diff.settings import of_defaults
from specflow.policy.lint import lint
from specflow.policy.load import load, loads, survey
from specflow.policy.policy import Policy
from specflow.policy.verdict import Verdict

HERE = "https://rooms.example/mcp"
READS = {"readOnlyHint": True}


def served(
    name: str = "look",
    hints: dict[str, bool] | None = None,
    *,
    at: str = HERE,
    server: str = "desk",
    **more: Any,
) -> BaseTool:
    """A tool as the adapter makes it of what a server lists."""
    options = {key: more.pop(key) for key in ("tool_interceptors", "session") if key in more}
    connection: Any = {"transport": "streamable_http", "url": at}
    if at.startswith("run "):
        connection = {"transport": "stdio", "command": "run", "args": at.split()[1:]}
    listed = Tool(
        name=name,
        inputSchema={"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]},
        annotations=ToolAnnotations(**hints) if hints else None,
        **more,
    )
    return convert_mcp_tool_to_langchain_tool(
        options.pop("session", None), listed, connection=connection, server_name=server, **options
    )


def verdict(text: str, *tools: BaseTool, of: str = "look") -> Verdict:
    registry = ToolRegistry(map(spec_of, tools))
    spec = registry.require(of)
    return loads(text, tools=registry).judge(spec, spec.call({"room": "tower"}), context={})


def codes(made: Verdict) -> set[str]:
    return {reason.code for reason in made.reasons}


def trust(spec: ToolSpec, **changed: Any) -> str:
    part = {"name": "desk", "at": HERE, "schemas": {"look": spec.schema_hash}, **changed}
    return str(yaml.safe_dump({"version": 1, "trusted_mcp_servers": [part]}))


def test_a_word_in_its_favour_is_not_believed_and_the_verdict_says_how_it_would_be() -> None:
    tool = served(hints=READS)
    made = verdict("version: 1\n", tool)
    assert (made.effect, made.speculate) == ("confirmation_required", "never")
    (reason,) = [reason for reason in made.reasons if reason.code == "unlisted"]
    advice = re.search(r"add `(.*)` to trusted_mcp_servers", reason.message)
    assert advice is not None
    made = verdict(f"version: 1\ntrusted_mcp_servers:\n  - {advice[1]}\n", tool)
    assert (made.effect, made.speculate) == ("read_only", "now")
    assert "hinted" in codes(made)


def test_nothing_is_advised_where_there_is_nothing_to_believe() -> None:
    for tool in (served(), served(hints={"readOnlyHint": False}), served(hints=READS, server="")):
        assert not any(
            "trusted_mcp_servers" in reason.message for reason in verdict("version: 1\n", tool).reasons
        )


@pytest.mark.parametrize(
    "now",
    [
        served(hints=READS, at="https://rooms.example/other"),
        served(hints=READS, at="http://rooms.example/mcp"),
        served(hints=READS, at="run rooms.example"),
        served(hints=READS, server="annex"),
        served(hints={**READS, "openWorldHint": True}),
        served(hints=READS, outputSchema={"type": "object", "properties": {"x": {"type": "string"}}}),
        served(hints={**READS, "destructiveHint": True}),
    ],
    ids=["path", "scheme", "program", "name", "hints", "result", "contradiction"],
)
def test_trust_is_in_one_server_and_in_the_tools_that_were_reviewed(now: BaseTool) -> None:
    reviewed = served(hints=READS)
    text = trust(spec_of(reviewed))
    assert verdict(text, reviewed).effect == "read_only"
    assert verdict(text, now).effect == "confirmation_required"


def test_trust_in_a_program_is_in_its_command() -> None:
    tool = served(hints=READS, at="run desk --token=s3cret")
    spec = spec_of(tool)
    assert spec.origin is not None
    assert spec.origin.at == "run desk --token=***"
    text = trust(spec, at=spec.origin.at)
    assert verdict(text, tool).effect == "read_only"
    assert verdict(text, served(hints=READS, at="run desk --lies")).effect == "confirmation_required"


def test_trust_never_makes_a_listed_tool_looser() -> None:
    tool = served(hints=READS)
    entry = 'tools: {"mcp:desk/look": {effect: confirmation_required}}\n'
    assert verdict(trust(spec_of(tool)) + entry, tool).effect == "confirmation_required"


def test_a_bare_name_is_not_believed_and_lint_says_so() -> None:
    tool = served(hints=READS)
    text = "version: 1\ntrusted_mcp_servers: [desk]\n"
    assert verdict(text, tool).effect == "confirmation_required"
    found = survey(text, tools=ToolRegistry([spec_of(tool)]))
    assert found.compiled is not None
    findings = lint(Policy(found.compiled, tools=ToolRegistry([spec_of(tool)])), found.reads)
    assert [item.path for item in findings if item.code == "SF408"] == ["trusted_mcp_servers[0]"]


def test_several_files_trust_what_all_of_them_trust(tmp_path: Path) -> None:
    tool = served(hints=READS)
    spec = spec_of(tool)
    texts = {
        "both": (trust(spec), trust(spec)),
        "one": (trust(spec), trust(spec, at="https://elsewhere.example/mcp")),
    }
    for name, several in texts.items():
        files = [tmp_path / f"{name}{number}.yaml" for number in range(len(several))]
        for file, text in zip(files, several, strict=True):
            file.write_text(text)
        made = load(files, tools=ToolRegistry([spec])).judge(spec, spec.call({"room": "x"}), context={})
        assert made.effect == ("read_only" if name == "both" else "confirmation_required")


def test_trust_is_a_part_of_what_a_policy_means() -> None:
    spec = spec_of(served(hints=READS))
    old, new = loads("version: 1\n"), loads(trust(spec))
    assert old.hash != new.hash != loads(trust(spec, at="https://elsewhere.example")).hash
    (change,) = of_defaults(old.compiled.defaults, new.compiled.defaults)
    assert (change.setting, change.direction) == ("trusted_mcp_servers", "looser")
    assert HERE in change.new


@pytest.mark.parametrize(
    ("part", "message"),
    [({"at": ""}, "at"), ({"schemas": {}}, "schemas"), ({"schemas": {"look": "abc"}}, "64 hex digits")],
)
def test_a_trust_that_is_not_written_out_does_not_load(part: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        loads(trust(spec_of(served(hints=READS)), **part))


@pytest.mark.parametrize(
    ("hints", "listed", "effect"),
    [
        ({"readOnlyHint": False}, "read_only", "compensatable"),
        ({"readOnlyHint": False}, "compensatable", "compensatable"),
        ({"destructiveHint": True}, "read_only", "confirmation_required"),
        ({"readOnlyHint": False, "destructiveHint": True}, "compensatable", "confirmation_required"),
        ({"readOnlyHint": True, "destructiveHint": True}, "read_only", "confirmation_required"),
        ({"readOnlyHint": False, "destructiveHint": False}, "compensatable", "compensatable"),
        ({"readOnlyHint": True}, "read_only", "read_only"),
        ({"openWorldHint": True}, "read_only", "read_only"),
    ],
)
def test_a_word_against_a_tool_is_believed_of_anybody(
    hints: dict[str, bool], listed: str, effect: str
) -> None:
    tool = served(hints=hints)
    text = f'version: 1\ntools: {{"mcp:desk/look": {{effect: {listed}}}}}\n'
    made = verdict(text, tool)
    assert made.effect == effect
    assert ("hint_floor" in codes(made)) == (effect != listed)
    # Until somebody has looked at this very tool.
    reviewed = text.replace("{effect:", f"{{reviewed: {spec_of(tool).schema_hash}, effect:")
    assert verdict(reviewed, tool).effect == listed
    changed = served(hints={**hints, "idempotentHint": True})
    assert verdict(reviewed, changed).effect == "confirmation_required"


def test_hints_that_contradict_each_other_are_taken_at_their_worst() -> None:
    tool = served(hints=READS)
    tool.metadata = {"mcp": {"tool": {"annotations": {"read_only_hint": False, "open_world_hint": True}}}}
    assert dict(spec_of(tool).hints) == {"readOnlyHint": False, "openWorldHint": True}
    assert merged_hints({"idempotentHint": True}, {"idempotentHint": False}) == {"idempotentHint": False}


def test_a_policy_speaks_of_a_tool_by_either_name_and_the_strictest_counts() -> None:
    tool = served()
    read = "{effect: read_only}"
    held = "{effect: confirmation_required}"
    for entries, effect in {
        f'"mcp:desk/look": {read}': "read_only",
        f"look: {read}": "read_only",
        f'"mcp:desk/*": {read}': "read_only",
        f'"mcp:annex/look": {read}': "confirmation_required",
        f'"mcp:desk/look": {read}, look: {held}': "confirmation_required",
        f'"mcp:desk/look": {held}, look: {read}': "confirmation_required",
    }.items():
        assert verdict(f"version: 1\ntools: {{{entries}}}\n", tool).effect == effect, entries


def test_a_registry_knows_both_names_and_refuses_a_second_tool_of_one() -> None:
    registry = ToolRegistry([spec_of(served())])
    assert registry.require("mcp:desk/look") is registry.require("look")
    assert "mcp:desk/look" in registry
    renamed = served()
    renamed.name = "desk_look"
    with pytest.raises(AnnotationError, match="both 'mcp:desk/look'"):
        registry.add(spec_of(renamed))


UNDO = """
version: 1
tools:
  "mcp:desk/book":
    effect: compensatable
    speculate: now
    min_confidence: 0.9
    writes: ["room:{args.room}"]
    compensate: {tool: "mcp:desk/cancel", with: {room: result.id}}
    verify: {tool: "mcp:desk/find", with: {room: args.room}}
  "mcp:desk/cancel": {effect: confirmation_required, compensator_for: ["mcp:desk/book"]}
  "mcp:desk/find": {effect: read_only}
"""


def test_undo_and_verification_are_recorded_under_the_names_that_are_called() -> None:
    registry = ToolRegistry(spec_of(served(name)) for name in ("book", "cancel", "find"))
    found = survey(UNDO, tools=registry)
    assert found.compiled is not None
    policy = Policy(found.compiled, tools=registry)
    settings = policy.settings(registry.require("book"))
    assert settings.undo is not None
    assert settings.verify is not None
    assert (settings.undo.tool, settings.verify.tool) == ("cancel", "find")
    assert policy.compensates("cancel", "book", registry.require("book"))
    assert not policy.compensates("find", "book", registry.require("book"))
    assert lint(policy, found.reads) == []


# -------------------------------------------------------------- what the adapter keeps, and what it returns


def test_the_adapter_keeps_what_specflow_reads_of_it() -> None:
    """A canary: without these nothing of MCP would run early."""

    async def interceptor(request: Any, handler: Any) -> Any: ...

    session = object()
    tool = served(
        hints=READS, tool_interceptors=[interceptor], outputSchema={"type": "object"}, session=session
    )
    call = mcp_call_of(tool)
    assert call is not None
    assert (call.server, call.name, call.output) == ("desk", "look", {"type": "object"})
    assert call.connection == {"transport": "streamable_http", "url": HERE}
    assert call.session is session
    assert call.interceptors == (interceptor,)
    spec = spec_of(tool)
    assert spec.injected == {"runtime"}
    assert spec_of(served()).injected == frozenset()
    assert spec_of(served()).hidden == {"runtime"}


def test_the_same_tool_listed_twice_is_the_same_and_others_are_not() -> None:
    one = served(hints=READS, session=(session := object()))
    assert same_body(one, served(hints=READS, session=session))
    for other in (
        served(hints=READS),
        served(hints=READS, session=object()),
        served(hints=READS, session=session, at="https://elsewhere.example"),
        served("read", hints=READS, session=session),
    ):
        assert not same_body(one, other)


WRAPPED = {"type": "object", "properties": {"result": {"type": "integer"}}, "required": ["result"]}


@pytest.mark.parametrize(
    ("output", "content", "structured", "seen"),
    [
        ({"type": "object"}, ["{}"], {"id": 7}, {"id": 7}),
        (WRAPPED, ["7"], {"result": 7}, 7),
        (WRAPPED, ["7"], {"result": 7, "more": 1}, {"result": 7, "more": 1}),
        (WRAPPED, [], {"result": None}, None),
        (None, ['{"id": 7}'], None, {"id": 7}),
        (None, ["[1, 2]"], None, [1, 2]),
        (None, ["null"], None, None),
        (None, ["{broken"], None, "{broken"),
        (None, ["7"], None, "7"),
        (None, [], None, None),
    ],
)
def test_what_a_policy_sees_of_an_answer(output: Any, content: list[str], structured: Any, seen: Any) -> None:
    from specflow.effects.result import seen as seen_of

    tool = served(outputSchema=output)
    blocks = [{"type": "text", "text": text, "id": f"lc_{number}"} for number, text in enumerate(content)]
    given = (blocks, None if structured is None else {"structured_content": structured})
    made = paired(tool, given)
    assert seen_of(made) == seen
    back, artifact = unpaired(tool, made)
    assert ([block["text"] for block in back], artifact) == (content, given[1])
    again = paired(tool, ([{**block, "id": f"lc_other{block['id']}"} for block in blocks], given[1]))
    assert again == made, "the same answer is the same value"


def test_an_answer_that_is_no_data_stays_what_it_is() -> None:
    from langchain_core.messages import ToolMessage

    tool = served()
    for value in ((ToolMessage("x", tool_call_id="1"), None), (float("nan"), None), ([], object())):
        assert paired(tool, value) is value
        assert unpaired(tool, value) is value


def test_what_stands_in_the_place_of_an_answer_has_the_form_of_one() -> None:
    tool = served()
    assert unpaired(tool, "words") == ("words", None)
    content, artifact = unpaired(tool, {"id": 7})
    assert artifact == {"structured_content": {"id": 7}}
    assert content[0]["text"] == '{\n  "id": 7\n}'


def test_a_person_is_shown_the_data_of_an_answer() -> None:
    from specflow.graph.reading import _text

    made = paired(served(), ([{"type": "text", "text": "words"}], {"structured_content": {"a": 1, "b": 2}}))
    assert _text(made, ()) == '{"a": 1, "b": 2}'
    assert _text(made, ("result.b",)) == '{"a": 1, "b": "[redacted]"}'


def test_a_secret_in_an_answer_is_hidden_in_its_words_as_well() -> None:
    from specflow.effects.redaction import HIDDEN, hide

    answer = ([{"type": "text", "text": "the code is 1234"}], {"structured_content": {"code": "1234"}})
    made = paired(served(), answer)
    assert hide("result", made, ["result.code"]).shown == HIDDEN
    assert hide("result", made, ["args.code"]).shown == made
