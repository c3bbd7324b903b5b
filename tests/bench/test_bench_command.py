"""The command in a process and on a terminal of its own: bad names, progress, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest

from specflow.bench.catalogue import BENCHES

COMMAND = [sys.executable, "-c", "from specflow.cli import main; main()", "bench"]
PATIENCE = 90.0
"""Seconds after which something hangs; nothing is judged by its time."""


def test_an_unknown_name_is_refused_with_the_list() -> None:
    done = subprocess.run([*COMMAND, "chnuk"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "'chnuk'" in done.stderr
    assert all(name in done.stderr for name in BENCHES)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("runs", ["0", "-1", "many"])
def test_a_number_of_runs_that_means_nothing_is_refused(runs: str) -> None:
    arguments = [*COMMAND, "policy", "--runs", runs]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def interrupted(arguments: Sequence[str], when: str) -> tuple[int, str, str]:
    """Press Ctrl-C when the terminal shows `when`. Exit code, standard output, the terminal's text."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        start_new_session=True,
    )
    os.close(theirs)
    seen, pressed, limit = b"", False, time.monotonic() + PATIENCE
    try:
        while time.monotonic() < limit:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # the other end of a terminal closes with an error, not with an end
                break
            if not piece:
                break
            seen += piece
            if not pressed and when.encode() in seen:
                pressed = True
                process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(terminal)
    assert pressed, f"{when!r} was never shown: {seen!r}"
    return process.returncode, out, seen.decode(errors="replace")


def test_ctrl_c_prints_what_is_finished() -> None:
    code, out, terminal = interrupted(["--quick", "--runs", "1"], when="measuring journal")
    heading, *lines = out.splitlines()
    assert heading.startswith("bench ")
    assert {line.split()[0] for line in lines} >= {"chunk", "call"}
    assert "agent" not in {line.split()[0] for line in lines}
    assert f"interrupted; finished rows: {len(lines)}" in terminal
    assert code == 130
    assert "Traceback" not in terminal


def test_ctrl_c_leaves_a_whole_json_document_and_no_traceback() -> None:
    """In the middle of HTTP, a journal and an event loop."""
    code, out, terminal = interrupted(["agent", "--json"], when="agent: named")
    assert json.loads(out) == []
    assert code == 130
    assert "finished rows: 0" in terminal
    assert "Traceback" not in terminal
