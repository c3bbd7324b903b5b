"""`--model` against a real HTTP server, and `--otlp` into a real receiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from specflow.demo.bundle import load_agent
from specflow.testing.model_server import ModelServer, Reply
from specflow.testing.otlp_receiver import OtlpReceiver

RUN = "from specflow.cli import main; main()"


def demo(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "OTEL_"))}
    return subprocess.run(
        [sys.executable, "-c", RUN, "demo", *options],
        capture_output=True,
        text=True,
        timeout=110,
        stdin=subprocess.DEVNULL,
        env={**kept, **environment},
        check=False,
    )


def test_a_model_of_the_users_own_is_asked_over_http(tmp_path):
    with ModelServer(load_agent().script, speed=8) as server:
        done = demo(
            *("--yes", "--json", "--db", f"{tmp_path}/d.db", "--speed", "8", "--model", "openai:mine"),
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=server.url,
        )
        asked = {request.model for request in server.requests}
    assert done.returncode == 0, done.stderr
    assert asked == {"mine"}
    assert "paid" in json.loads(done.stdout)["speculative"]["answer"]


def test_a_model_that_cannot_be_used_is_one_clear_line(tmp_path):
    without_key = demo("--db", f"{tmp_path}/a.db", "--model", "openai:mine")
    with ModelServer([Reply(text="hi")]) as server:
        unknown = demo(
            *("--db", f"{tmp_path}/b.db", "--model", "openai:mine"),
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=server.url.replace("/v1", "/nothing-here"),
        )
    for done in (without_key, unknown):
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
        assert "specflow demo:" in done.stderr
    assert "OPENAI_API_KEY" in without_key.stderr


def test_traces_of_the_demo_arrive(tmp_path):
    with OtlpReceiver() as receiver:
        done = demo(
            "--yes", "--json", "--db", f"{tmp_path}/d.db", "--speed", "8", "--otlp", receiver.endpoint
        )
        names = {span.name for span in receiver.spans}
    assert done.returncode == 0, done.stderr
    assert {"specflow.speculate book_flight", "specflow.compensate cancel_booking"} <= names, names
