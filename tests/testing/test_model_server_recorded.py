"""Recorded runs: read, played again over real HTTP, and checked against what the client sends."""

from __future__ import annotations

import copy
import json
import lzma
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from specflow.testing.model_server import ModelServer, Reply, recorded_script
from specflow.testing.model_server.compare import compare
from specflow.traces.recorded import RecordedRun, RecordedTurn, RecordingError, parse_run, read_runs

FILES = {"dev_airline_tasks0-9.jsonl.xz": 138, "dev_retail.jsonl.xz": 194}
SYSTEM = {"role": "system", "content": "the caller's own"}


def data() -> Path:
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("SPECFLOW_DATA", default))
    if not folder.is_dir():
        pytest.skip("no recorded runs: set SPECFLOW_DATA to the folder that has them")
    return folder


def turn(role: str, content: str | None = "", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def call(name: str, identity: str = "c0", **args: Any) -> dict[str, Any]:
    return {"id": identity, "name": name, "args": args}


def result(content: str, identity: str = "c0", error: bool = False) -> dict[str, Any]:
    return {"id": identity, "content": content, "error": error}


RUN = {
    "source": "made up",
    "model": "m",
    "task_id": 7,
    "turns": [
        turn("assistant", "Hi! What can I do?"),
        turn("user", "Two flights, please"),
        turn(
            "assistant",
            "Looking.",
            reasoning="Which? Both.",
            tool_calls=[call("find", to="Oslo", n=1), call("find", "c1", to="Bergen", n=2)],
            tool_results=[result("SK1"), result("Error: no flight", "c1", error=True)],
            gen_s=0.02,
            completion_tokens=12,
        ),
        turn(
            "assistant",
            None,
            tool_calls=[call("book", flight="SK1")],
            tool_results=[result('{"ok": true}')],
            gen_s=0.0,
        ),
        turn("assistant", "Booked SK1.", completion_tokens=5),
        turn("user", "bye"),
        turn("assistant", "Bye!"),
    ],
}


@pytest.fixture
def run() -> RecordedRun:
    return parse_run(json.dumps(RUN), number=12)


class Client:
    """The plain loop of an agent: asks, answers the calls with what the record says, goes on."""

    def __init__(self, run: RecordedRun, ask: Any, *, system: bool = True, greeted: bool = False) -> None:
        self.run = run
        self.ask = ask
        self.messages: list[Any] = [SYSTEM] if system else []
        self.greeted = greeted

    def go(self) -> list[Any]:
        for position, recorded in enumerate(self.run.turns):
            if recorded.role == "user":
                self.messages.append({"role": "user", "content": recorded.content})
            elif position == 0 and self.greeted:
                self.messages.append({"role": "assistant", "content": recorded.content})
            else:
                self.answer(recorded)
        return self.messages

    def answer(self, recorded: RecordedTurn) -> None:
        message = self.ask(self.messages)
        assert (message.content or "") == recorded.content
        assert (getattr(message, "reasoning_content", None) or "") == recorded.reasoning
        calls = message.tool_calls or []
        assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == [
            (c.name, c.args) for c in recorded.calls
        ]
        self.messages.append(
            {"role": "assistant", "content": message.content, "tool_calls": [c.model_dump() for c in calls]}
            if calls
            else {"role": "assistant", "content": message.content}
        )
        for made, said in zip(calls, recorded.results, strict=True):
            self.messages.append({"role": "tool", "tool_call_id": made.id, "content": said.content})


class Streamed:
    """Asks over HTTP with streaming, and puts the message together."""

    def __init__(self, client: openai.OpenAI, model: str) -> None:
        self.client = client
        self.model = model

    def __call__(self, messages: list[Any]) -> Any:
        whole = Message(Reply())
        stream = self.client.chat.completions.create(model=self.model, messages=messages, stream=True)
        for chunk in stream:
            delta = chunk.choices[0].delta
            whole.content += delta.content or ""
            whole.reasoning_content += getattr(delta, "reasoning_content", None) or ""
            for piece in delta.tool_calls or []:
                if piece.id:
                    whole.tool_calls.append(made_call(piece.id, piece.function.name, ""))
                whole.tool_calls[piece.index].function.arguments += piece.function.arguments
        return whole


def whole(client: openai.OpenAI, model: str) -> Any:
    return lambda messages: client.chat.completions.create(model=model, messages=messages).choices[0].message


@pytest.fixture
def openai_client() -> Iterator[Any]:
    made: list[openai.OpenAI] = []

    def client(server: ModelServer) -> openai.OpenAI:
        made.append(openai.OpenAI(base_url=server.url, api_key="none", timeout=60, max_retries=0))
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.mark.data
@pytest.mark.parametrize(("file", "count"), FILES.items())
def test_every_recorded_run_can_be_played_without_a_difference(file: str, count: int) -> None:
    """Every request of every run, without HTTP: what is expected is what a faithful client sends."""
    seen = 0
    for run in read_runs(data() / file):
        seen += 1
        script = recorded_script(run, speed=None)
        messages: list[dict[str, Any]] = [SYSTEM]
        asked = 0
        for recorded in run.turns:
            if recorded.role == "user":
                messages.append({"role": "user", "content": recorded.content})
                continue
            assert script.differences(messages) == []
            reply = script.reply_to(messages)
            assert reply.error is None
            assert (reply.text, reply.reasoning) == (recorded.content, recorded.reasoning)
            assert [(plan.name, plan.args) for plan in reply.calls] == [
                (c.name, c.args) for c in recorded.calls
            ]
            ids = [plan.id for plan in reply.calls]
            assert len(set(ids)) == len(ids)
            functions = [{"name": plan.name, "arguments": plan.args_text} for plan in reply.calls]
            calls = [
                {"id": f"{i}!", "type": "function", "function": f}
                for i, f in zip(ids, functions, strict=True)
            ]
            said = {"role": "assistant", "content": recorded.content or None}
            messages.append({**said, "tool_calls": calls} if calls else said)
            for answer, made in zip(recorded.results, calls, strict=True):
                messages.append({"role": "tool", "tool_call_id": made["id"], "content": answer.content})
            asked += 1
        assert asked == len(run.answers)
    assert seen == count


@pytest.mark.data
@pytest.mark.parametrize("streamed", [True, False])
def test_recorded_runs_over_http_in_a_plain_client_loop(openai_client: Any, streamed: bool) -> None:
    runs = [
        run
        for file in FILES
        for number, run in enumerate(read_runs(data() / file))
        if number % 16 == (3 if streamed else 11)
    ]
    runs += [run for run in read_runs(data() / next(iter(FILES))) if any(t.reasoning for t in run.turns)][:3]
    # The shorter ones: what a long run adds is more of the same.
    runs = sorted(runs, key=lambda run: sum(len(turn.reasoning) + len(turn.content) for turn in run.turns))[
        :20
    ]
    scripts = {f"run-{at}": recorded_script(run, speed=None) for at, run in enumerate(runs)}
    assert len(runs) >= 20
    with ModelServer(scripts) as server:
        client = openai_client(server)
        for at, run in enumerate(runs):
            ask = Streamed(client, f"run-{at}") if streamed else whole(client, f"run-{at}")
            greeted = bool(run.turns) and run.turns[0].role == "assistant" and at % 2 == 0
            Client(run, ask, greeted=greeted).go()
        assert server.differences == []
        assert len(server.requests) >= 10 * len(runs) / 2


@pytest.mark.parametrize("greeted", [True, False])
@pytest.mark.parametrize("shape", ["field", "inline"])
def test_a_made_up_run_plays_with_either_shape_of_reasoning(
    openai_client: Any, run: RecordedRun, greeted: bool, shape: Any
) -> None:
    def ask(messages: list[Any]) -> Any:
        message = client.chat.completions.create(model="m", messages=messages).choices[0].message
        if shape == "inline" and message.content and message.content.startswith("<think>"):
            sent_back.append(message.content)
        return message

    sent_back: list[str] = []
    with ModelServer(recorded_script(run, reasoning_as=shape)) as server:
        client = openai_client(server)
        loop = Client(run, ask, greeted=greeted)
        if shape == "inline":
            # This client leaves the thoughts in the text, as a simple one would.
            loop.answer = lambda recorded: Inline.answer(loop, recorded)  # type: ignore[method-assign]  # on purpose
        loop.go()
        assert server.differences == []
    assert sent_back == (["<think>Which? Both.</think>Looking."] if shape == "inline" else [])


class Inline(Client):
    def answer(self, recorded: RecordedTurn) -> None:
        message = self.ask(self.messages)
        thought = f"<think>{recorded.reasoning}</think>" if recorded.reasoning else ""
        assert (message.content or "") == thought + recorded.content
        calls = [c.model_dump() for c in message.tool_calls or []]
        said = {"role": "assistant", "content": message.content}
        self.messages.append({**said, "tool_calls": calls} if calls else said)
        for made, answer in zip(calls, recorded.results, strict=True):
            self.messages.append({"role": "tool", "tool_call_id": made["id"], "content": answer.content})


def transcript(run: RecordedRun) -> list[Any]:
    """The request for the last answer, as a faithful client sends it."""
    script = recorded_script(run)

    def ask(messages: list[Any]) -> Any:
        reply = script.reply_to(messages)
        sent.append(copy.deepcopy(messages))
        return Message(reply)

    sent: list[list[Any]] = []
    Client(run, ask).go()
    return sent[-1]


class Message:
    """A reply in the shape of the client's message."""

    def __init__(self, reply: Reply) -> None:
        self.content = reply.text
        self.reasoning_content = reply.reasoning
        self.tool_calls = [made_call(plan.id, plan.name, plan.args_text) for plan in reply.calls]


def made_call(identity: str, name: str, arguments: str) -> Any:
    return openai.types.chat.ChatCompletionMessageFunctionToolCall.model_validate(
        {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
    )


def tampered(messages: list[Any], how: str) -> list[Any]:
    changed = copy.deepcopy(messages)
    calls = changed[3]["tool_calls"]
    if how == "result":
        changed[4]["content"] = "SK2"
    elif how == "argument":
        calls[1]["function"]["arguments"] = '{"to": "Bergen", "n": 3}'
    elif how == "not json":
        calls[1]["function"]["arguments"] = "{"
    elif how == "name":
        calls[1]["function"]["name"] = "book"
    elif how == "text":
        changed[2]["content"] = "Two flights, pleas"
    elif how == "call dropped":
        del calls[1], changed[5]
    elif how == "swapped":
        changed[4], changed[5] = changed[5], changed[4]
    elif how == "dropped":
        del changed[2]
    elif how == "added":
        changed.append({"role": "user", "content": "hello?"})
    elif how == "cut":
        changed.pop()
    elif how == "ids and system":
        changed = [{"role": "developer", "content": "mine"}, *changed]
        changed[4]["tool_calls"][0]["id"] = changed[5]["tool_call_id"] = "renamed"
        changed[4]["tool_calls"][0]["function"]["arguments"] = '{ "n": 1.0, "to": "Oslo" }'
        changed[3]["content"] = [
            {"type": "text", "text": "Two flights,"},
            {"type": "text", "text": " please"},
        ]
    return changed


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("result", "run 12, request 5, message 5: tool result: expected 'SK1' got 'SK2'"),
        ("argument", 'message 4: call 2 (find): arguments: expected \'{"n":2,"to":"Bergen"}\' got'),
        ("not json", 'message 4: call 2 (find): arguments: expected \'{"n":2,"to":"Bergen"}\' got \'{\''),
        ("name", "message 4: call 2: expected find("),
        ("text", "message 3: user's text: expected"),
        ("call dropped", "message 4: call 2: expected find("),
        ("swapped", "message 5: tool result: expected the answer to call 1 got the answer to call 2"),
        ("dropped", "message 3: expected user message 'Two flights, please' got assistant message"),
        ("added", "message 11: expected nothing got user message 'hello?'"),
        ("cut", "message 10: missing: expected user message 'bye'"),
        ("", ""),
        ("ids and system", ""),
    ],
)
def test_a_tampered_conversation_is_found_and_an_equal_one_is_not(
    run: RecordedRun, how: str, says: str
) -> None:
    found = compare(tampered(transcript(run), how), run, 4)
    if says:
        assert any(says in line for line in found), found
    else:
        assert found == []


def test_a_tampered_message_over_http_is_in_the_servers_differences(
    openai_client: Any, run: RecordedRun
) -> None:
    with ModelServer(recorded_script(run, speed=None)) as server:
        ask = whole(openai_client(server), "m")
        ask(transcript(run))
        assert server.differences == []
        ask(tampered(transcript(run), "result"))
        assert server.differences == ["run 12, request 5, message 5: tool result: expected 'SK1' got 'SK2'"]


def test_excerpts_are_short_and_show_the_place(run: RecordedRun) -> None:
    messages = transcript(run)
    messages[2]["content"] = "Two flights, plea" + "x" * 100_000 + "\x1b[31m"
    (line,) = compare(messages, run, 4)
    assert len(line) < 300
    assert "\x1b" not in line


def test_a_request_after_the_end_of_the_record_is_refused(openai_client: Any, run: RecordedRun) -> None:
    messages = [*transcript(run), {"role": "assistant", "content": "Bye!"}, {"role": "user", "content": "?"}]
    with ModelServer(recorded_script(run)) as server:
        with pytest.raises(openai.BadRequestError, match="5 replies"):
            whole(openai_client(server), "m")(messages)
        assert server.differences == ["run 12, request 6, message 12: expected nothing got user message '?'"]


def test_a_system_message_in_the_record_is_compared() -> None:
    run = RecordedRun.model_validate(
        {"turns": [turn("system", "be kind"), turn("user", "hi"), turn("assistant")]}
    )
    same = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
    assert compare(same, run, 0) == []
    assert compare(same[1:], run, 0)
    assert "system message" in compare([{"role": "system", "content": "be mean"}, same[1]], run, 0)[0]


def test_ids_that_repeat_within_a_message_are_told_apart() -> None:
    calls = [call("f", "x", n=1), call("f", "x", n=2), call("f", "", n=3)]
    results = [result("1", "x"), result("2", "x"), result("3", "")]
    run = RecordedRun.model_validate(
        {
            "turns": [
                turn("user", "go"),
                turn("assistant", tool_calls=calls, tool_results=results),
                turn("assistant"),
            ]
        }
    )
    reply = recorded_script(run).reply_to([{"role": "user", "content": "go"}])
    assert [plan.id for plan in reply.calls] == ["x", "call_0_1", "call_0_2"]
    assert compare(transcript(run), run, 1) == []


def test_recorded_times_are_kept_and_missing_ones_are_fifty_tokens_a_second(run: RecordedRun) -> None:
    def replies(speed: float | None) -> list[Reply]:
        script = recorded_script(run, speed=speed)
        return [script.reply_to([{"role": "assistant"}] * number) for number in range(5)]

    assert [reply.seconds for reply in replies(1.0)] == [None, 0.02, 0.0, 0.1, None]
    assert replies(2.0)[0].pace == 100.0
    assert [reply.seconds for reply in replies(2.0)] == [None, 0.01, 0.0, 0.05, None]
    assert {reply.seconds for reply in replies(None)} == {None, 0.0}
    assert replies(1.0)[1].usage.completion_tokens == 12


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", ":2: not JSON"),
        (b"[]", ":2: a run is a JSON object, not list"),
        (b'{"actor_s": 1}', ":2: no 'turns'"),
        (b'{"turns": [{"role": "robot"}]}', ":2: turns.0.role"),
        (b'{"turns": [{"role": "assistant", "gen_s": NaN}]}', ":2: not JSON: NaN"),
        (b'{"turns": [{"role": "assistant", "gen_s": -1}]}', ":2: turns.0.gen_s"),
        (
            b'{"turns": [{"role": "assistant", "tool_calls": [{"name": "f", "args": "{"}]}]}',
            "tool_calls.0.args",
        ),
        (b'{"turns": ' + b"[" * 100_000, ":2: not JSON"),
        (b"\xff\xfe", ":2: not JSON"),
        (b'{"turns": [], "x": "' + b"y" * 2000 + b'"}', ":2: the line is longer than 1000 bytes"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_broken_line_is_named_with_its_file(tmp_path: Path, line: bytes, says: str, packed: bool) -> None:
    path = tmp_path / ("runs.jsonl.xz" if packed else "runs.jsonl")
    text = b'{"turns": []}\n' + line + b"\n"
    path.write_bytes(lzma.compress(text) if packed else text)
    found = read_runs(path, max_line=200_000 if len(line) > 5000 else 1000)
    assert next(found).number == 1
    with pytest.raises(RecordingError, match="runs") as caught:
        next(found)
    assert says in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "cut.jsonl.xz"
    broken.write_bytes(lzma.compress(b'{"turns": []}\n' * 10_000)[:-40])
    not_xz = tmp_path / "not.jsonl.xz"
    not_xz.write_bytes(b'{"turns": []}\n')
    for path in (broken, not_xz, tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(RecordingError, match=path.name):
            list(read_runs(path))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.xz"
    path.write_bytes(lzma.compress(b"\n" * 10_000_000))
    with pytest.raises(RecordingError, match="larger than 100000 bytes"):
        list(read_runs(path, max_file=100_000))


def test_empty_lines_and_lenient_fields(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    made = {
        "turns": [turn("assistant", None, tool_calls=[{"name": "f", "args": '{"a": 1}'}], tool_results=None)]
    }
    path.write_text("\n" + json.dumps({**RUN, "more": 1}) + "\n\n" + json.dumps(made))
    first, second = read_runs(path)
    assert (first.number, first.task_id, second.number) == (2, "7", 4)
    assert second.turns[0].calls[0].args == {"a": 1}
    assert second.turns[0].content == ""
