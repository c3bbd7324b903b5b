"""What no recorder should write, and what some write: named with its place and left out, the rest is read."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specflow.traces.lines import RecordingError
from specflow.traces.recorded import RecordedRun

FORMATS = ("openai", "log", "langsmith", "otel", "otel-events")


def model_of(lines: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The first record of a request to a model."""
    if name == "langsmith":
        return next(line for line in lines if line["run_type"] == "llm")
    return next(
        span
        for line in lines
        for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]
        if span["name"] == "m0"
    )


def spoil(lines: list[dict[str, Any]], name: str, key: str, value: Any) -> None:
    if name == "langsmith":
        model_of(lines, name)[key] = value
        return
    span = model_of(lines, name)
    span["attributes"] = [pair for pair in span["attributes"] if pair["key"] != key]
    span["attributes"].append({"key": key, "value": value})


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("pack", [False, True])
def test_lines_that_cannot_be_read_are_named_and_the_rest_is(
    kit: Any, tmp_path: Path, name: str, pack: bool
) -> None:
    good = kit.formats[name](kit.run(), "t1")
    lines = [
        *good[:1],
        b"{",
        b"[]",
        b'{"x": NaN}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"",
        *good[1:],
        '{"cut": "of',
    ]
    file = kit.write(tmp_path / ("a.jsonl.xz" if pack else "a.jsonl"), lines, pack=pack)
    text = lzma.decompress(file.read_bytes()) if pack else file.read_bytes()
    file.write_bytes(lzma.compress(text[:-1]) if pack else text[:-1])  # the last line has no end
    (run, *more), reading = kit.read(file)
    assert len(more) == 0
    assert [len(turn.calls) for turn in run.turns] == [0, 2, 0]
    said = {broken.place.rpartition(":")[2]: broken.message for broken in reading.notes.broken}
    assert sorted(map(int, said))[:5] == [2, 3, 4, 5, 6]
    assert reading.notes.left_out == 6
    assert said["2"].startswith("not JSON")
    assert said["3"] == "a run is a JSON object, not list"
    assert said["4"] == "not JSON: NaN is not JSON"
    assert said["5"] == "not JSON: nested too deeply"
    assert said[str(len(lines))].endswith("the file ends here: it may have been cut off")
    assert all("\n" not in message for message in said.values())


@pytest.mark.parametrize("name", FORMATS)
def test_of_a_packed_file_that_was_cut_off_the_beginning_is_read(kit: Any, tmp_path: Path, name: str) -> None:
    lines = [
        line
        for number in range(300)
        for line in kit.formats[name](kit.run(order=f"A-{number}"), f"t{number}")
    ]
    file = kit.write(tmp_path / "a.jsonl.xz", lines, pack=True)
    file.write_bytes(file.read_bytes()[:-400])
    runs, reading = kit.read(file)
    assert 0 < len(runs) < 300
    assert f"{file}:" in str(reading.notes.broken[0])
    assert "cannot be read" in reading.notes.broken[0].message


@pytest.mark.parametrize("name", FORMATS)
def test_a_huge_line_is_passed_over(
    kit: Any, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import specflow.traces.reading as module

    huge = json.dumps({"messages": [{"role": "user", "content": "x" * 3_000_000}]})
    lines = kit.formats[name](kit.run(), "t1")
    file = kit.write(tmp_path / "a.jsonl", [*lines, huge, *kit.formats[name](kit.run(order="B"), "t2")])
    read = module.lines_of
    monkeypatch.setattr(module, "lines_of", lambda path: read(path, max_line=1_000_000))
    runs, reading = kit.read(file)
    assert len(runs) == 2
    assert [str(one) for one in reading.notes.broken] == [
        f"{file}:{len(lines) + 1}: the line is longer than 1000000 bytes"
    ]


BROKEN: dict[str, tuple[str, Callable[[list[dict[str, Any]]], None], str]] = {
    "no id": ("langsmith", lambda lines: lines[1].pop("id"), "a run without 'id'"),
    "no type": ("langsmith", lambda lines: lines[1].update(run_type=None), "a run without 'run_type'"),
    "no time": ("langsmith", lambda lines: lines[1].update(start_time="noon"), "'noon' is no time"),
    "a role that nobody has": (
        "langsmith",
        lambda lines: lines[1].update(inputs={"messages": [{"role": "nobody", "content": ""}]}),
        "messages.0: the role 'nobody' is not known",
    ),
    "messages that are none": (
        "langsmith",
        lambda lines: lines[1].update(inputs={"messages": "hi"}),
        "the messages are no list",
    ),
    "calls that could not be read": (
        "langsmith",
        lambda lines: lines[1]["outputs"]["generations"][0][0]["message"]["kwargs"].update(
            invalid_tool_calls=[{"args": "{"}]
        ),
        "invalid_tool_calls",
    ),
    "a call without a name": (
        "langsmith",
        lambda lines: lines[1]["outputs"]["generations"][0][0]["message"]["kwargs"].update(
            tool_calls=[{"args": {}}]
        ),
        "names no tool",
    ),
    "arguments that are a list": (
        "langsmith",
        lambda lines: lines[1]["outputs"]["generations"][0][0]["message"]["kwargs"].update(
            tool_calls=[{"name": "look", "args": [1]}]
        ),
        "the arguments of 'look' are no object but list",
    ),
    "arguments that are not JSON": (
        "openai",
        lambda lines: lines[0]["messages"][1]["tool_calls"][0]["function"].update(arguments='{"a": '),
        "the arguments of 'look' are not JSON",
    ),
    "arguments with NaN": (
        "openai",
        lambda lines: lines[0]["messages"][1]["tool_calls"][0]["function"].update(arguments='{"a": NaN}'),
        "NaN is not JSON",
    ),
    "arguments nested without end": (
        "openai",
        lambda lines: lines[0]["messages"][1]["tool_calls"][0]["function"].update(arguments="[" * 50_000),
        "nested too deeply",
    ),
    "messages without a list": (
        "openai",
        lambda lines: lines[0].update(messages=[7]),
        "a message is an object",
    ),
    "a request that is none": ("log", lambda lines: lines[0].update(request=None), "'request' is no object"),
    "an answer of the user": (
        "log",
        lambda lines: lines[0]["response"]["choices"][0]["message"].update(role="user"),
        "the model's answer is a message of the user",
    ),
    "an attribute that was cut off": (
        "otel",
        lambda lines: spoil(lines, "otel", "gen_ai.input.messages", {"stringValue": '[{"role": "us...'}),
        "not JSON (cut off?)",
    ),
    "a part that is none": (
        "otel",
        lambda lines: spoil(
            lines, "otel", "gen_ai.output.messages", {"stringValue": '[{"role": "assistant", "parts": [1]}]'}
        ),
        "a part of a message is no object",
    ),
    "a span without ids": (
        "otel",
        lambda lines: model_of(lines, "otel").update(traceId=""),
        "without 'traceId'",
    ),
    "schemas that were cut off": (
        "otel",
        lambda lines: lines[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].append(
            {"key": "gen_ai.tool.definitions", "value": {"stringValue": '[{"type": "func...'}}
        ),
        "not JSON (cut off?)",
    ),
    "spans that are none": (
        "otel",
        lambda lines: lines[0].update(resourceSpans=[7]),
        "resourceSpans.0 is no object",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_run_is_left_out_and_named(kit: Any, tmp_path: Path, what: str) -> None:
    name, change, message = BROKEN[what]
    broken = kit.formats[name](kit.run(order="B-1", task="b"), "t2")
    change(broken)
    whole = kit.formats[name](kit.run(), "t1")
    file = kit.write(tmp_path / "a.jsonl", [*whole, *broken])
    runs, reading = kit.read(file)
    assert [turn.content for turn in runs[0].turns] == ["Where is A-1?", "", "A-1 is on its way."]
    assert reading.notes.left_out >= 1
    first = str(reading.notes.broken[0])
    assert message in first
    place = first.removeprefix(f"{file}:").split(": ")[0]
    assert len(whole) < int(place) <= len(whole) + len(broken)
    # No other conversation is made of what is left of it, unless each line stands for itself.
    if name in {"openai"}:
        assert len(runs) == 1


@pytest.mark.parametrize("name", ["langsmith", "otel"])
def test_an_id_that_comes_twice(kit: Any, tmp_path: Path, name: str) -> None:
    lines = kit.formats[name](kit.run(), "t1")
    other = json.loads(json.dumps(lines))
    (run,), reading = kit.read(kit.write(tmp_path / "a.jsonl", [*lines, *other]))
    assert len(run.answers) == 2
    assert reading.notes.odd["repeated"] > 0
    assert reading.notes.odd["same_id"] == 0
    if name == "langsmith":
        other[1]["end_time"] = "2030-01-01T00:00:00Z"
    else:
        model_of(other, name)["endTimeUnixNano"] = "1"
    file = kit.write(tmp_path / "a.jsonl", [*lines, *other])
    (run,), reading = kit.read(file)
    assert [turn.gen_s for turn in run.answers] == [2.0, 1.0]
    assert reading.notes.odd["same_id"] == 1
    assert reading.notes.places["same_id"][0].startswith(f"{file}:")


@pytest.mark.parametrize("name", ["langsmith", "otel", "otel-events", "log"])
def test_a_clock_that_goes_back_gives_no_time(kit: Any, tmp_path: Path, name: str) -> None:
    lines = kit.formats[name](kit.run(), "t1")
    # The second answer begins before the first and ends before it begins.
    if name == "langsmith":
        second = [line for line in lines if line["run_type"] == "llm"][1]
        second |= {"start_time": "2020-01-01T00:00:02+00:00", "end_time": "2020-01-01T00:00:01+00:00"}
    elif name == "log":
        lines[1] |= {"start_time": "2020-01-01T00:00:02+00:00", "end_time": "2020-01-01T00:00:01+00:00"}
    else:
        for line in lines:
            for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                if span["name"] == "m1":
                    span |= {"startTimeUnixNano": "2000000000", "endTimeUnixNano": "1000000000"}
    (run,), reading = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert [turn.gen_s for turn in run.answers] == [2.0, None]
    assert [turn.given for turn in run.answers] == [False, False]
    assert reading.notes.odd["clock"] == 1


@pytest.mark.parametrize("name", ["langsmith", "otel", "otel-events"])
def test_without_times_there_are_none(kit: Any, tmp_path: Path, name: str) -> None:
    lines = kit.formats[name](kit.run(), "t1")
    for line in lines:
        if name == "langsmith":
            line.pop("start_time", None)
            line.pop("end_time", None)
        else:
            for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                del span["startTimeUnixNano"]
                span["endTimeUnixNano"] = "0"
    (run,), _ = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert [(turn.gen_s, turn.t) for turn in run.answers] == [(None, None)] * 2
    assert [result.seconds for result in run.turns[1].results] == [None, None]


@pytest.mark.parametrize("name", ["langsmith", "otel"])
def test_orphans_are_used_and_counted(kit: Any, tmp_path: Path, name: str) -> None:
    lines = kit.formats[name](kit.run(), "t1")
    if name == "langsmith":
        lines = [line for line in lines if line["run_type"] != "chain"]
    else:
        lines[0]["resourceSpans"][0]["scopeSpans"][0]["spans"].pop(0)
    (run,), reading = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert len(run.answers) == 2
    assert reading.notes.odd["orphans"] == 4


def test_a_request_recorded_by_two_counts_once(kit: Any, tmp_path: Path) -> None:
    lines = kit.formats["langsmith"](kit.run(), "t1")
    inner = [
        {**line, "id": f"{line['id']}-inner", "parent_run_id": f"{line['id']}-chain"}
        for line in lines
        if line["run_type"] == "llm"
    ]
    between = [
        {
            "id": line["parent_run_id"],
            "trace_id": "t1",
            "parent_run_id": line["id"].removesuffix("-inner"),
            "run_type": "chain",
        }
        for line in inner
    ]
    (run,), reading = kit.read(kit.write(tmp_path / "a.jsonl", [*inner, *between, *lines]))
    assert len(run.answers) == 2
    assert reading.notes.odd["nested"] == 2


@pytest.mark.parametrize("under", ["t1", "t1-m0"], ids=["beside the request", "under the request"])
def test_a_request_under_a_tool_is_a_conversation_of_its_own(kit: Any, tmp_path: Path, under: str) -> None:
    lines = kit.formats["langsmith"](kit.run(), "t1")
    tool = next(line for line in lines if line["run_type"] == "tool")
    tool["parent_run_id"] = under
    (sub,) = [line for line in kit.formats["langsmith"](kit.run(order="Z"), "t1") if line["id"] == "t1-m0"]
    sub |= {"id": "sub", "parent_run_id": tool["id"]}
    runs, reading = kit.read(kit.write(tmp_path / "a.jsonl", [*lines, sub]))
    assert sorted(run.turns[0].content for run in runs) == ["Where is A-1?", "Where is Z?"]
    assert {run.task_id for run in runs} == {"t1"}
    assert reading.notes.odd["nested"] == 0


@pytest.mark.parametrize("name", ["log", "langsmith", "otel"])
def test_each_answer_counts_once_when_the_history_was_cut(kit: Any, tmp_path: Path, name: str) -> None:
    """The client sends only the last messages: what it sends along is history, not another step."""
    lines = kit.formats[name](kit.run(), "t1")
    if name == "log":
        del lines[1]["request"]["messages"][0]
    elif name == "langsmith":
        second = [line for line in lines if line["run_type"] == "llm"][1]
        del second["inputs"]["messages"][0][0]
    else:
        for line in lines:
            for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                for pair in span["attributes"]:
                    if span["name"] == "m1" and pair["key"] == "gen_ai.input.messages":
                        pair["value"]["stringValue"] = json.dumps(
                            json.loads(pair["value"]["stringValue"])[1:]
                        )
    runs, _ = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert [[turn.given for turn in run.answers] for run in runs] == [[False], [True, False]]
    assert [turn.gen_s for run in runs for turn in run.answers if not turn.given] == [2.0, 1.0]


def test_a_conversation_over_several_traces_is_one_run(kit: Any, tmp_path: Path) -> None:
    """A chat makes a trace for each thing the user says, and each repeats the history."""
    first, second = kit.run(), kit.run(order="B-2")
    both = {**first, "turns": [*first["turns"], *second["turns"]]}
    lines = kit.formats["langsmith"](both, "t1")
    for number, line in enumerate(lines):
        line["extra"] = {**line.get("extra", {}), "metadata": {"thread_id": "alice"}}
        if number > 4:
            line["trace_id"] = "t2"
    (run,), _ = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert run.task_id == "alice"
    assert [turn.given for turn in run.answers] == [False] * 4


def test_spans_without_messages_give_calls_where_these_were_recorded(kit: Any, tmp_path: Path) -> None:
    """As specflow's own: times of the model, and calls with their arguments."""
    lines = kit.formats["otel"](kit.run(), "t1")
    for line in lines:
        for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            span["attributes"] = [
                pair for pair in span["attributes"] if not pair["key"].endswith("put.messages")
            ]
    (run,), _ = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert [turn.gen_s for turn in run.turns] == [2.0, 1.0]
    assert [(call.name, call.args) for call in run.turns[0].calls] == [
        ("look", {"order_id": "A-1", "part": 1}),
        ("look", {"order_id": "A-1", "part": 2}),
    ]
    assert [result.content for result in run.turns[0].results] == ["part 1", "part 2"]
    for line in lines:
        for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            span["attributes"] = [
                pair for pair in span["attributes"] if not pair["key"].endswith("call.arguments")
            ]
    runs, reading = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert runs == []
    assert "the arguments of 'look' were not recorded" in reading.notes.broken[0].message


def test_log_records_give_the_messages_of_their_span(kit: Any, tmp_path: Path) -> None:
    lines = kit.formats["otel"](kit.run(), "t1")
    records = []
    for line in lines:
        for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]:
            moved = [pair for pair in span["attributes"] if pair["key"].endswith("put.messages")]
            span["attributes"] = [pair for pair in span["attributes"] if pair not in moved]
            if moved:
                record = {"traceId": "t1", "spanId": span["spanId"], "attributes": moved, "timeUnixNano": "5"}
                records.append({**record, "eventName": "gen_ai.client.inference.operation.details"})
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    (run,), _ = kit.read(kit.write(tmp_path / "a.jsonl", [logs, *lines]))
    want = RecordedRun.model_validate(kit.run())
    assert [turn.content for turn in run.turns] == [turn.content for turn in want.turns]
    assert run.turns[1].calls == want.turns[1].calls


@pytest.mark.parametrize("name", ["langsmith", "otel"])
@pytest.mark.parametrize("seen", [True, False], ids=["the model saw it", "the run ended with it"])
def test_a_tool_that_failed(kit: Any, tmp_path: Path, name: str, seen: bool) -> None:
    lines = kit.formats[name](kit.run(), "t1")
    if name == "langsmith":
        if not seen:
            lines = [line for line in lines if line["id"] != "t1-m1"]
        failed = next(line for line in lines if line["run_type"] == "tool")
        failed |= {"error": "TimeoutError('late')", "outputs": None}
    else:
        spans = [span for line in lines for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]]
        failed = next(span for span in spans if span["name"] == "m0-0")
        failed["status"] = {"code": 2, "message": "late"}
        failed["attributes"] = [pair for pair in failed["attributes"] if not pair["key"].endswith("result")]
        if not seen:
            lines = [kit.request(*(span for span in spans if span["name"] != "m1"))]
    (run,), _ = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    said = {
        (True, "langsmith"): "part 1",
        (True, "otel"): "part 1",
        (False, "langsmith"): "TimeoutError('late')",
    }
    assert [(result.content, result.error) for result in run.turns[1].results] == [
        (said.get((seen, name), ""), True),
        ("part 2", False),
    ]
    assert [result.seconds for result in run.turns[1].results] == [0.5, 0.5]


def test_a_result_that_answers_nothing_is_left_out_and_counted(kit: Any, tmp_path: Path) -> None:
    lines = kit.formats["openai"](kit.run(), "t1")
    lines[0]["messages"].insert(2, {"role": "tool", "tool_call_id": "of nobody", "content": "?"})
    (run,), reading = kit.read(kit.write(tmp_path / "a.jsonl", lines))
    assert [result.content for result in run.turns[1].results] == ["part 1", "part 2"]
    assert reading.notes.odd["stray_results"] == 1


def test_a_file_in_no_known_format_is_refused(kit: Any, tmp_path: Path) -> None:
    file = kit.write(tmp_path / "a.jsonl", [{"hello": 1}])
    with pytest.raises(RecordingError, match=r"a\.jsonl:1: in no format that is known"):
        kit.read(file)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e300, 1e300) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += paths(inner, (*at, key))
    return found


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_in_any_place_is_read_or_named(
    kit: Any, tmp_path: Path, name: str, data: st.DataObject
) -> None:
    lines = json.loads(json.dumps(kit.formats[name](kit.run(), "t1")))
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from(paths(lines)))
        holder = lines
        try:
            for key in way:
                holder = holder[key]
            holder[last] = data.draw(VALUE)
        except (KeyError, IndexError, TypeError):
            continue
    try:
        runs, _ = kit.read(kit.write(tmp_path / "a.jsonl", [json.dumps(line) for line in lines]))
    except RecordingError as error:
        assert "a.jsonl" in str(error)  # noqa: PT017 - either ending is fine
        return
    for run in runs:
        for turn in run.answers:
            assert turn.gen_s is None or turn.gen_s >= 0
