"""`auto` in processes of its own: what a program exports that lives, ends, or is told to end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from specflow.testing.otlp_receiver import OtlpReceiver

PROLOGUE = """
import os, signal, sys, threading, time
from specflow import telemetry
from specflow.journal.event import CallEvent, EventKind
from specflow.effects.call import Call

def emit(kind, **fields):
    for observer in observers:
        observer.see(CallEvent(kind=kind, at=0.0, session_id="ses_1", **fields))

def call(number=1):
    emit(EventKind.TURN_STARTED, turn_id="turn_1")
    emit(EventKind.CALL_STARTED, call_id=f"call_{number}", call=Call(tool="weather", args={}))
    emit(EventKind.CALL_ENDED, call_id=f"call_{number}", outcome="miss")

def ready():
    print("ready", flush=True)

"""


class Program:
    """A Python program that uses specflow's telemetry, with a receiver's address in its arguments."""

    def __init__(self, text: str, endpoint: str, **variables: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        # An hour: nothing is exported unless something flushes.
        slow = {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROLOGUE + textwrap.dedent(text), endpoint],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**clean, **slow, **variables},
        )

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "ready\n", self.process.communicate(timeout=60)[1]

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=90)
        return self.process.returncode, out, err


@pytest.fixture
def run() -> Iterator[Any]:
    started: list[Program] = []

    def start(text: str, endpoint: str = "", **variables: str) -> Program:
        started.append(Program(text, endpoint, **variables))
        return started[-1]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
            program.process.communicate()


@pytest.fixture(autouse=True)
def _empty(receiver: OtlpReceiver) -> None:
    receiver.clear()


SIMPLE = """
handle = telemetry.auto(sys.argv[1], service="trips")
observers = telemetry.observers(agent="travel")
"""


def test_everything_is_exported_when_the_program_ends(run: Any, receiver: OtlpReceiver) -> None:
    program = run(SIMPLE + "call()\nemit(EventKind.CALL_STARTED, call_id='c2')", receiver.endpoint)
    assert program.ended() == (0, "", "")
    found = {span.name: span for span in receiver.spans}
    assert set(found) == {
        "invoke_agent travel",
        "chat",
        "execute_tool weather",
        "execute_tool unknown",
    }
    assert found["execute_tool unknown"].attributes["specflow.outcome"] == "lost"
    assert {span.service for span in receiver.spans} == {"trips"}
    assert receiver.points("specflow.calls")[0][1] == {"tool": "weather", "outcome": "miss"}


def test_a_run_at_rest_is_flushed_while_the_program_lives(run: Any, receiver: OtlpReceiver) -> None:
    program = run(SIMPLE + "call()\nemit(EventKind.SETTLED)\nready()\nsys.stdin.read()", receiver.endpoint)
    program.wait_ready()
    receiver.wait_for(lambda spans: any(span.name == "invoke_agent travel" for span in spans), 60)
    assert program.process.poll() is None


def test_sigterm_loses_nothing_and_ends_the_program(run: Any, receiver: OtlpReceiver) -> None:
    program = run(SIMPLE + "call()\nready()\ntime.sleep(600)", receiver.endpoint)
    program.wait_ready()
    program.process.send_signal(signal.SIGTERM)
    assert program.ended()[0] == -signal.SIGTERM
    assert {span.name for span in receiver.spans} == {"invoke_agent travel", "chat", "execute_tool weather"}


def test_the_application_keeps_its_own_sigterm(run: Any, receiver: OtlpReceiver) -> None:
    text = """
    def bye(number, frame):
        emit(EventKind.SETTLED)
        os.write(1, b"bye\\n")  # the signal may come while `print` is still at work
        sys.exit(3)

    signal.signal(signal.SIGTERM, bye)
    """
    program = run(textwrap.dedent(text) + SIMPLE + "call()\nready()\ntime.sleep(600)", receiver.endpoint)
    program.wait_ready()
    program.process.send_signal(signal.SIGTERM)
    code, out, _ = program.ended()
    assert (code, out) == (3, "bye\n")
    found = {span.name: span for span in receiver.spans}
    assert "specflow.outcome" not in found["invoke_agent travel"].attributes, "settled in order, not lost"


def test_an_ignored_sigterm_stays_ignored(run: Any, receiver: OtlpReceiver) -> None:
    program = run(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        + SIMPLE
        + "ready()\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.2)\nprint('alive')",
        receiver.endpoint,
    )
    program.wait_ready()
    assert program.ended()[:2] == (0, "alive\n")


def test_shutdown_puts_the_signal_handler_back(run: Any, receiver: OtlpReceiver) -> None:
    text = (
        SIMPLE
        + """
call()
emit(EventKind.SETTLED)
assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
assert telemetry.auto() is handle
assert handle.flush() and handle.exporting
assert handle.shutdown() and handle.shutdown()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert not handle.exporting and handle.flush()
emit(EventKind.SETTLED)
assert not [thread for thread in threading.enumerate() if thread.name == "specflow-flush" and thread.join(60)]
"""
    )
    assert run(text, receiver.endpoint).ended() == (0, "", "")
    assert len(receiver.spans) == 3


def test_outside_the_main_thread_signals_are_left_alone(run: Any, receiver: OtlpReceiver) -> None:
    text = """
    def work():
        global observers
        telemetry.auto(sys.argv[1])
        observers = telemetry.observers()
        call()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    """
    assert run(text, receiver.endpoint).ended() == (0, "", "")
    assert len(receiver.spans) == 3


def test_a_collector_that_never_answers_cannot_hold_the_program(run: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        text = (
            "sys.modules['specflow.telemetry.auto'].FLUSH_TIMEOUT = 0.3\n"
            + SIMPLE
            + "call()\nemit(EventKind.SETTLED)\nassert not handle.flush(0.3)\nready()"
        )
        # The exporter itself would wait for ten minutes.
        program = run(text, f"http://127.0.0.1:{silent.getsockname()[1]}", OTEL_EXPORTER_OTLP_TIMEOUT="600")
        program.wait_ready()
        assert program.ended()[0] == 0


def test_no_collector_at_all_is_no_error(run: Any) -> None:
    program = run(SIMPLE + "call()\nhandle.shutdown(0.2)", "http://127.0.0.1:9")
    assert program.ended()[0] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_exports_its_own(run: Any, receiver: OtlpReceiver) -> None:
    text = (
        SIMPLE
        + """
child = os.fork()
if child == 0:
    call()
    emit(EventKind.SETTLED)
    ok = handle.flush(60)
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    )
    assert run(text, receiver.endpoint).ended()[0] == 0
    assert len(receiver.spans) == 3


def test_an_endpoint_alone_exports_nothing(run: Any, receiver: OtlpReceiver) -> None:
    program = run(
        "observers = telemetry.observers()\ncall()\nemit(EventKind.SETTLED)",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint,
    )
    assert program.ended() == (0, "", "")
    assert receiver.requests == []


def test_variables_count(run: Any, receiver: OtlpReceiver) -> None:
    text = """
    telemetry.auto()
    observers = telemetry.observers()
    call()
    from opentelemetry import trace
    processor = trace.get_tracer_provider()._active_span_processor._span_processors[0]
    print(processor._batch_processor._max_queue_size)
    """
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_SERVICE_NAME": "named",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    assert run(text, **variables).ended() == (0, "32768\n", "")
    assert {span.service for span in receiver.spans} == {"named"}
    assert set(receiver.requests) == {("http", "/v1/traces", "gzip")}
    assert run(text, **variables, OTEL_BSP_MAX_QUEUE_SIZE="4096").ended()[1] == "4096\n"


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    ],
)
def test_switched_off_by_variables(run: Any, receiver: OtlpReceiver, variables: dict[str, str]) -> None:
    text = SIMPLE + "assert not handle.exporting\ncall()\nemit(EventKind.SETTLED)\nassert handle.flush()"
    assert run(text, receiver.endpoint, **variables).ended() == (0, "", "")
    assert receiver.requests == []


def test_a_provider_that_is_there_is_left_in_charge(run: Any, receiver: OtlpReceiver) -> None:
    text = """
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    mine, kept = TracerProvider(), InMemorySpanExporter()
    mine.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(mine)
    metrics.set_meter_provider(MeterProvider())
    handle = telemetry.auto(sys.argv[1])
    observers = telemetry.observers()
    call()
    emit(EventKind.SETTLED)
    assert not handle.exporting and trace.get_tracer_provider() is mine
    assert handle.shutdown()
    print(len(kept.get_finished_spans()))
    """
    assert run(text, receiver.endpoint).ended() == (0, "3\n", "")
    assert receiver.requests == []


def test_observers_made_before_the_provider_use_it(run: Any, receiver: OtlpReceiver) -> None:
    text = """
    observers = telemetry.observers()
    telemetry.auto(sys.argv[1])
    call()
    emit(EventKind.SETTLED)
    """
    assert run(text, receiver.endpoint).ended() == (0, "", "")
    assert len(receiver.spans) == 3
    assert receiver.points("specflow.calls")


FAILING = """
from specflow.errors import ConfigurationError
{before}
try:
    telemetry.auto({endpoint!r})
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("before", "endpoint", "variables", "words"),
    [
        (
            "sys.modules['opentelemetry.exporter.otlp.proto.http'] = None",
            None,
            {},
            ["not installed", "specflow[otlp]"],
        ),
        ("", "localhost:4318", {}, ["'localhost:4318'", "http://localhost:4318"]),
        ("", "http://", {}, ["'http://'"]),
        ("", "http://host:port", {}, ["'http://host:port'"]),
        ("", None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["OTEL_EXPORTER_OTLP_PROTOCOL", "4318"]),
        ("", None, {"OTEL_TRACES_EXPORTER": "console"}, ["OTEL_TRACES_EXPORTER", "console"]),
        ("", None, {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "99999"}, ["max_export_batch_size", "OTEL_*"]),
    ],
)
def test_what_cannot_work_is_said_plainly(
    run: Any, before: str, endpoint: str | None, variables: dict[str, str], words: list[str]
) -> None:
    code, out, err = run(FAILING.format(before=before, endpoint=endpoint), **variables).ended()
    assert (code, err) == (0, "")
    assert not [word for word in words if word not in out], out
