"""A tool's schema judges arguments, and does nothing else: it fetches nothing and never raises."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from specflow.effects.tool import ToolSpec


class Server(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"type": "string"}')

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    requests: list[str] = []
    handler = type("Handler", (Server,), {"asked": requests})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", requests
    server.shutdown()
    server.server_close()


def test_a_reference_to_elsewhere_is_not_followed(asked: tuple[str, list[str]]) -> None:
    url, requests = asked
    spec = ToolSpec(
        name="t", parameters={"type": "object", "properties": {"a": {"$ref": f"{url}/schema.json"}}}
    )
    (problem,) = spec.problems({"a": "text"})
    assert "cannot be evaluated" in problem
    assert requests == []


def test_a_reference_within_is_followed() -> None:
    spec = ToolSpec(
        name="t",
        parameters={
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/seat"}},
            "$defs": {"seat": {"type": "string"}},
        },
    )
    assert spec.problems({"a": "A1"}) == ()
    assert spec.problems({"a": 1}) != ()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"pattern": "("}}},
        {"type": "no such type"},
        {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}},
    ],
    ids=["pattern", "type", "dangling", "endless"],
)
def test_a_broken_schema_fits_nothing(schema: dict[str, object]) -> None:
    assert ToolSpec(name="t", parameters=schema).problems({"a": "text"}) != ()


def test_problems_name_the_argument() -> None:
    spec = ToolSpec(
        name="t",
        parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a", "b"]},
    )
    problems = spec.problems({"a": "x"})
    assert any(problem.startswith("a: ") for problem in problems)
    assert any("'b' is a required" in problem for problem in problems)
