"""The same conversation as different programs write its messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from specflow.traces import threads as module
from specflow.traces.message import conversation, tools_of
from specflow.traces.said import Asked, Said

CALL = Asked(name="look", args={"id": 1}, id="c1")
HEARD = (
    Said(role="system", text="Be brief."),
    Said(role="user", text="Where?"),
    Said(role="assistant", text="I look.", reasoning="Hm.", calls=(CALL,)),
    Said(role="tool", text="here", call_id="c1"),
    Said(role="user", text="Thanks"),
)


def lc(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", kind], "kwargs": kwargs}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


ARGS = {"name": "look", "arguments": '{"id": 1}'}
FORMS: dict[str, list[Any]] = {
    "openai": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [text("Wh"), {"type": "image_url"}, text("ere?")]},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Hm.",
            "tool_calls": [{"id": "c1", "function": ARGS}],
        },
        {"role": "tool", "content": "here", "tool_call_id": "c1"},
        {"role": "user", "content": "Thanks"},
    ],
    "anthropic": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"id": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "here"}]},
                {"type": "text", "text": "Thanks"},
            ],
        },
    ],
    "langchain, dumped": [
        lc("SystemMessage", content="Be brief."),
        lc("HumanMessage", content="Where?", type="human"),
        lc(
            "AIMessageChunk",
            content=[
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
                text("I look."),
            ],
            tool_calls=[{"id": "c1", "name": "look", "args": {"id": 1}, "type": "tool_call"}],
        ),
        lc("ToolMessage", content="here", tool_call_id="c1", status="success"),
        lc("HumanMessage", content="Thanks"),
    ],
    "langchain, as objects and pairs": [
        ["system", "Be brief."],
        {"type": "human", "content": "Where?"},
        {
            "type": "ai",
            "data": {
                "content": "I look.",
                "additional_kwargs": {
                    "reasoning_content": "Hm.",
                    "tool_calls": [{"id": "c1", "function": ARGS}],
                },
            },
        },
        {"type": "tool", "content": "here", "tool_call_id": "c1"},
        ["human", "Thanks"],
    ],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str) -> None:
    assert conversation(FORMS[form]) == HEARD
    assert conversation([FORMS[form]]) == HEARD  # LangChain's batches


def test_functions_as_they_were_before_tools() -> None:
    said = conversation(
        [
            {"role": "assistant", "content": None, "function_call": ARGS},
            {"role": "function", "name": "look", "content": "here"},
        ]
    )
    assert said[0].calls == (Asked(name="look", args={"id": 1}),)
    assert (said[1].role, said[1].tool) == ("tool", "look")


def test_a_call_that_is_only_described_is_text() -> None:
    text = (
        '{"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "pay", "arguments": "{}"}}]}'
    )
    (said,) = conversation([{"role": "assistant", "content": text}])
    assert (said.text, said.calls) == (text, ())


def test_tools_in_every_envelope() -> None:
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
    plain = {"name": "look", "description": "Looks.", "parameters": schema}
    forms = [
        plain,
        {"type": "function", **plain},
        {"type": "function", "function": plain},
        {"name": "look", "description": "Looks.", "input_schema": schema},
    ]
    assert tools_of(forms) == (plain,) * 4
    # What the provider runs, what has no name, and what is no tool.
    assert tools_of([{"type": "web_search"}, {"type": "bash_20250124", "name": "bash"}, {}, 7]) == ()
    assert tools_of([{"name": "bare"}]) == ({"name": "bare", "description": ""},)


def langsmith(number: int, heard: list[Any], outputs: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "trace_id": "t",
        "run_type": "llm",
        "inputs": {"messages": heard},
        "outputs": outputs,
        **more,
    }


SAID = {"role": "assistant", "content": "It is here."}


@pytest.mark.parametrize(
    ("outputs", "tokens"),
    [
        ({"choices": [{"message": SAID}], "usage": {"completion_tokens": 9}}, 9),
        ({**SAID, "usage": {"output_tokens": 9}}, 9),
        ({"message": SAID, "usage_metadata": {"output_tokens": 9}}, 9),
        ({"messages": [{"role": "user", "content": "Where?"}, SAID]}, None),
        ({"output": SAID}, None),
        ({"output": "It is here."}, None),
        ({"generations": [[{"text": "It is here."}]], "llm_output": {"usage": {"output_tokens": 9}}}, 9),
        (json.dumps({"message": SAID}), None),
        ({"message": SAID, "counted": True}, 11),
    ],
)  # fmt: skip
def test_answers_in_every_form(kit: Any, tmp_path: Path, outputs: Any, tokens: int | None) -> None:
    line = langsmith(1, [{"role": "user", "content": "Where?"}], outputs)
    # LangSmith's own count; 0 where nothing was counted.
    line["completion_tokens"] = 11 if isinstance(outputs, dict) and "counted" in outputs else 0
    (run,), _ = kit.read(kit.write(tmp_path / "a.jsonl", [line]))
    assert [(turn.role, turn.content) for turn in run.turns] == [
        ("user", "Where?"),
        ("assistant", "It is here."),
    ]
    assert run.answers[0].completion_tokens == tokens


def test_what_a_dataset_asks_again_is_one_task(kit: Any, tmp_path: Path) -> None:
    lines = [*kit.formats["langsmith"](kit.run(), "t1"), *kit.formats["langsmith"](kit.run(), "t2")]
    for line in lines:
        if line["run_type"] == "chain":
            line["reference_example_id"] = "example-5"
    runs, _ = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert [run.task_id for run in runs] == ["example-5"] * 2


def test_what_the_model_thought_aloud_before_does_not_part_a_conversation(kit: Any, tmp_path: Path) -> None:
    """The system's message tells the time, and the client drops the thoughts of its own messages."""
    first = [{"role": "system", "content": "It is 9:00."}, {"role": "user", "content": "Where?"}]
    thought = {"role": "assistant", "content": "<think>Hm.</think>Which one?"}
    second = [
        {"role": "system", "content": "It is 9:01."},
        first[1],
        {"role": "assistant", "content": "Which one?"},
        {"role": "user", "content": "A-1"},
    ]
    lines = [langsmith(1, first, {"message": thought}), langsmith(2, second, {"message": SAID})]
    (run,), _ = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert [turn.content for turn in run.turns] == [
        "It is 9:00.", "Where?", "<think>Hm.</think>Which one?", "A-1", "It is here.",
    ]  # fmt: skip
    assert [turn.given for turn in run.answers] == [False, False]


def test_a_request_that_failed_and_was_made_again_is_one_step(kit: Any, tmp_path: Path) -> None:
    lines = kit.formats["langsmith"](kit.run(), "t1")
    failed = {**lines[1], "id": "failed", "outputs": None, "error": "timeout"}
    (run,), reading = kit.read(kit.write(tmp_path / "a.jsonl", [failed, *lines]))
    assert len(run.answers) == 2
    assert reading.notes.odd["unanswered"] == 1


def test_an_answer_made_again_does_not_make_the_history_count_twice(kit: Any, tmp_path: Path) -> None:
    lines = kit.formats["log"](kit.run(), "c")
    again = json.loads(json.dumps(lines[1]))
    again["response"]["choices"][0]["message"]["content"] = "Or so I think."
    runs, _ = kit.read(kit.write(tmp_path / "a.jsonl", [*lines, again]))
    steps = [turn.content for run in runs for turn in run.answers if not turn.given]
    assert sorted(steps) == ["", "A-1 is on its way.", "Or so I think."]
    assert len({run.task_id for run in runs}) == 1


def test_logs_without_an_id_are_joined_by_how_they_go_on(kit: Any, tmp_path: Path) -> None:
    """All open with the same words; ids of calls tell nobody apart."""
    lines = []
    for number in range(5):
        run = kit.run(order=f"A-{number}")
        run["turns"][0]["content"] = "Hello"
        for line in kit.formats["log"](run):
            del line["conversation_id"]
            lines.append(line)
    runs, reading = kit.read(kit.write(tmp_path / "a.jsonl", lines[::-1]))
    assert sorted(run.answers[-1].content for run in runs) == [f"A-{n} is on its way." for n in range(5)]
    assert [len(run.answers) for run in runs] == [2] * 5
    assert len({run.task_id for run in runs}) == 1  # a training that leaves one out leaves out its twins
    assert reading.notes.left_out == 0
    for line in lines:
        line["request"]["metadata"] = {
            "session_id": line["request"]["messages"][0]["content"] + line["start_time"]
        }
    runs, _ = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert {run.task_id for run in runs} == {line["request"]["metadata"]["session_id"] for line in lines}


def test_more_conversations_than_are_kept_open(
    kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN", 2)
    made = [kit.formats["log"](kit.run(order=f"A-{number}"), "same") for number in range(5)]
    lines = [line for run in made for line in run]
    runs, _ = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    steps = [turn for run in runs for turn in run.answers if not turn.given]
    assert len(steps) == 10  # none is lost, and none counts twice
    assert len(runs) > 5
