"""Reading tools from real MCP servers, over a pipe and over HTTP on loopback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import httpx
import pytest
from langchain_core.tools import tool

from specflow.effects.registry import ToolRegistry
from specflow.errors import ConfigurationError, WorldError
from specflow.graph import mcp_tools
from specflow.graph.mcp_tools import HttpServer, http_server, stdio_server, subjects_of
from specflow.graph.tools import spec_of, specs_of
from specflow.policy.lint import lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy
from specflow.policy.suggest import propose

SERVER = '''
import os, sys
from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations

sys.stderr.write("\\x1b[31mnoise\\n")
server = FastMCP("test", host="127.0.0.1", port=int(sys.argv[2]))

@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
def get_thing(thing_id: str) -> str:
    """Returns a thing with its parts."""
    return thing_id

@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def purge(thing_id: str) -> str:
    """This tool is read-only, trust me."""
    return thing_id

@server.tool(annotations=ToolAnnotations(readOnlyHint=False))
def look_up(query: str) -> str:
    """Returns what matches."""
    return query

@server.tool()
def get_variable(name: str) -> str:
    """Says a variable."""
    return name

if "SPECFLOW_TEST_VARIABLE" in os.environ:
    server.tool(name="saw_" + os.environ["SPECFLOW_TEST_VARIABLE"])(look_up)

server.run(sys.argv[1])
'''

PAGES = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "initialize":
        answer = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "x", "version": "1"}}
    elif asked["method"] == "tools/list":
        page = int((asked.get("params") or {}).get("cursor") or 0)
        tools = [{"name": f"tool_{page}_{n}", "inputSchema": {}} for n in range(int(sys.argv[1]))]
        answer = {"tools": tools, **({"nextCursor": str(page + 1)} if page + 1 < int(sys.argv[2]) else {})}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}), flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "server.py"
    path.write_text(SERVER)
    return path


@pytest.fixture
def address(script: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = Popen(
        [sys.executable, str(script), "streamable-http", str(port)], stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        for _ in range(600):
            try:
                httpx.get(f"http://127.0.0.1:{port}/", timeout=5)
                break
            except httpx.TransportError:
                assert process.poll() is None
                signal.sigtimedwait([], 0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


def stdio(script: Path, *words: str, variables: tuple[str, ...] = ()) -> mcp_tools.StdioServer:
    return mcp_tools.StdioServer(command=(sys.executable, str(script), *words), variables=variables)


def effects(subjects: list[Any]) -> dict[str, str]:
    return {item.subject.name: item.effect.value for item in propose(subjects)}


UNTRUSTED = dict.fromkeys(["get_thing", "purge", "look_up", "get_variable"], "confirmation_required")


async def test_over_stdio(script: Path) -> None:
    server = stdio(script, "stdio", "0")
    subjects = await subjects_of(server, seconds=60)
    assert effects(subjects) == UNTRUSTED
    thing = next(subject for subject in subjects if subject.name == "get_thing")
    assert (thing.hints.read_only, thing.hints.open_world, thing.trusted) == (True, False, False)
    assert (thing.required, thing.opaque_result) == ({"thing_id"}, False)
    trusted = effects(await subjects_of(server, trusted=True, seconds=60))
    assert trusted == {**UNTRUSTED, "get_thing": "read_only"}


async def test_over_http(address: str) -> None:
    subjects = await subjects_of(http_server(address, {"X-Key": "secret"}), trusted=True, seconds=60)
    assert effects(subjects) == {**UNTRUSTED, "get_thing": "read_only"}
    assert {subject.origin for subject in subjects} == {f"mcp {address}"}


async def test_the_schema_hash_is_the_one_at_run_time(script: Path) -> None:
    from langchain_mcp_adapters.tools import load_mcp_tools

    server = stdio(script, "stdio", "0")
    async with mcp_tools._session(server) as session:
        await session.initialize()
        running = {tool.name: spec_of(tool).schema_hash for tool in await load_mcp_tools(session)}
    assert len(running) == 4
    assert {subject.name: subject.schema_hash for subject in await subjects_of(server, seconds=60)} == running


async def test_only_the_variables_named_are_passed_on(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECFLOW_TEST_VARIABLE", "it")
    without = await subjects_of(stdio(script, "stdio", "0"), seconds=60)
    named = stdio(script, "stdio", "0", variables=("SPECFLOW_TEST_VARIABLE", "SPECFLOW_TEST_ABSENT"))
    names = {subject.name for subject in await subjects_of(named, seconds=60)}
    assert names - {subject.name for subject in without} == {"saw_it"}


async def test_pages(tmp_path: Path) -> None:
    path = tmp_path / "pages.py"
    path.write_text(PAGES)
    assert len(await subjects_of(stdio(path, "3", "4"), seconds=60)) == 12
    with pytest.raises(WorldError, match="more than 200 pages"):
        await subjects_of(stdio(path, "1", "1000"), seconds=60)
    with pytest.raises(WorldError, match="more than 2,000 tools"):
        await subjects_of(stdio(path, "500", "1000"), seconds=60)


async def test_servers_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be started"):
        await subjects_of(stdio_server("specflow-no-such-command"))
    with pytest.raises(WorldError, match="does not answer as an MCP server"):
        await subjects_of(stdio_server(f"{sys.executable} -c 'print(1)'"), seconds=60)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(WorldError, match="does not answer as an MCP server"):
            await subjects_of(http_server(f"http://127.0.0.1:{closed.getsockname()[1]}/mcp"), seconds=60)


async def test_a_server_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        f"import os, pathlib, time; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(600)"
    )
    server = mcp_tools.StdioServer(command=(sys.executable, "-c", code))
    with pytest.raises(WorldError, match="no answer within 5 s"):
        await subjects_of(server, seconds=5)
    for _ in range(600):
        try:
            os.kill(int(pid.read_text()), 0)
        except ProcessLookupError:
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the server still runs")


async def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_mcp_adapters.sessions", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'specflow\[mcp\]'"):
        await subjects_of(stdio_server("true"))


async def test_a_live_tool_carries_its_servers_hints_and_lint_reads_them(address: str) -> None:
    from langchain_mcp_adapters.client import MultiServerMCPClient

    client = MultiServerMCPClient({"test": {"transport": "streamable_http", "url": address}})
    specs = specs_of(await client.get_tools())
    hints = {spec.name: dict(spec.hints) for spec in specs}
    assert hints == {
        "get_thing": {"readOnlyHint": True, "openWorldHint": False},
        "purge": {"readOnlyHint": True},
        "look_up": {"readOnlyHint": False},
        "get_variable": {},
    }
    registry = ToolRegistry(specs)
    text = "version: 1\ntools:\n  look_up: {effect: read_only}\n  get_thing: {effect: read_only}\n"
    loaded = survey(text, tools=registry)
    assert loaded.compiled is not None
    found = lint(Policy(loaded.compiled, tools=registry), loaded.reads)
    assert [item.path for item in found if item.code == "SF404"] == ["tools.look_up.effect"]


def test_only_truth_values_are_hints() -> None:
    @tool
    def odd(x: str) -> str:
        """Does something."""
        return x

    assert dict(spec_of(odd).hints) == {}
    odd.metadata = {"readOnlyHint": "yes", "destructiveHint": None, "idempotentHint": True, "title": "Odd"}
    assert dict(spec_of(odd).hints) == {"idempotentHint": True}


def test_a_schema_that_cannot_be_used_has_no_hash() -> None:
    from mcp.types import Tool

    assert mcp_tools._schema_hash(Tool(name="x", inputSchema={"properties": {"a": float("nan")}})) == ""


@pytest.mark.parametrize("command", ["", "  ", "'unclosed"])
def test_commands_that_are_refused(command: str) -> None:
    with pytest.raises(ConfigurationError):
        stdio_server(command)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://[", "", "x"])
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not an"):
        http_server(url)


def test_secrets_are_not_shown() -> None:
    command = "run --api-key s3cret --token=s3cret GITHUB_TOKEN=s3cret --verbose 'a b' --key --plain"
    assert str(stdio_server(command)) == (
        "run --api-key *** --token=*** GITHUB_TOKEN=*** --verbose 'a b' --key --plain"
    )
    assert str(HttpServer(url="https://me:s3cret@x.example:8/mcp?key=s3cret#f")) == "https://x.example:8/mcp"
