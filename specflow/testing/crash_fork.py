"""The fork server's own process: imports the scenario once, then forks one child per stage of a trial.

It talks JSON lines: one with the scenario comes in first, then one per trial; each is answered by one. It
stays single-threaded, for only then is a fork safe; a scenario whose import starts threads is refused.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import importlib
import inspect
import json
import os
import select
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TextIO

from specflow import probe
from specflow.testing.faults import kill_self

Body = Callable[..., Any]  # the user's function: any signature, any result
POLL = 0.2


def serve() -> None:
    """Answer until the parent closes the pipe."""
    # Prints of the scenario must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    order = json.loads(sys.stdin.readline())
    try:
        bodies = {role: _load(order[role]) for role in ("run", "recover", "check")}
        if order["prepare"]:
            _load(order["prepare"])(**order["args"])
    except Exception as error:  # noqa: BLE001 - whatever an import raises goes to the parent
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    extra = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if extra:
        _answer(
            answers, {"error": f"importing or preparing the scenario started threads: {', '.join(extra)}"}
        )
        return
    # Collected once here instead of copied and collected in every child.
    gc.collect()
    gc.freeze()
    _answer(answers, {"ready": True})
    runs = _Runs(bodies["run"], order["args"], order["timeout"], kept=order["contained"])
    for line in sys.stdin:
        trial = json.loads(line)
        stages = _trial(bodies, runs, trial["crashes"], Path(trial["world"]), trial["args"])
        _answer(answers, {"stages": stages})


def _answer(answers: TextIO, message: Mapping[str, object]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _load(name: str) -> Body:
    module, _, attribute = name.partition(":")
    body = getattr(importlib.import_module(module), attribute, None)
    if not callable(body):
        raise TypeError(f"{name!r} names no function; write it as 'package.module:function'")
    loaded: Body = body
    return loaded


def _trial(
    bodies: Mapping[str, Body],
    runs: _Runs,
    crashes: list[list[Any] | None],
    world: Path,
    more: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Run, then recover as often as it takes, each killed where the trial says; recover unharmed; check."""
    armed, args = crashes or [None], {**runs.args, **more}
    plan = [("run" if index == 0 else "recover", crash) for index, crash in enumerate(armed)]
    plan += [("recover", None), ("check", None)]
    stages: list[dict[str, Any]] = []
    for role, crash in plan:
        if role == "run":
            stage = runs.make(world, crash, args)
        else:
            stage = _stage(bodies[role], world, args, crash, runs.timeout)
        stages.append({"role": role, "crash": crash, **stage})
        if stage["error"]:
            break
    return stages


class _Runs:
    """Runs killed at one point; what each left is kept, where a copy of it is as good as another run."""

    def __init__(self, body: Body, args: Mapping[str, Any], timeout: float, *, kept: bool) -> None:
        self.args, self.timeout = args, timeout
        self._body, self._keeps = body, kept
        self._left: dict[str, tuple[Path, dict[str, Any]]] = {}

    def make(self, world: Path, crash: list[Any] | None, args: Mapping[str, Any]) -> dict[str, Any]:
        name = json.dumps([crash, args])
        if name in self._left:
            left, stage = self._left[name]
            shutil.copytree(left, world)
            return stage
        world.mkdir(parents=True, exist_ok=True)
        stage = _stage(self._body, world, args, crash, self.timeout)
        if self._keeps and not stage["error"]:
            left = world.with_name(f"left_{len(self._left)}_{world.name}")
            shutil.copytree(world, left)
            self._left[name] = left, stage
        return stage


def _stage(
    body: Body, world: Path, args: Mapping[str, Any], crash: list[Any] | None, timeout: float
) -> dict[str, Any]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(body, world, args, crash, writer)
    os.close(writer)
    told, status = _listen(reader, pid, time.monotonic() + timeout)
    os.close(reader)
    _end_group(pid)
    lines = told.decode("utf-8", "replace").splitlines()
    points = [line[1:] for line in lines if line.startswith("P")]
    killed = "K" in lines
    error = "".join(json.loads(line[1:]) for line in lines if line.startswith("E"))
    if status is None:
        error = f"still running after {timeout} s, at {points[-1] if points else 'no point yet'}"
    elif not error and status != 0 and not killed:
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        error = f"ended with {how}, which nobody asked for"
    if error:
        output = world.with_suffix(".out")
        error += f"\n{output.read_text(errors='replace')[-2000:]}" if output.exists() else ""
    return {"points": points, "killed": killed, "error": error}


def _listen(reader: int, pid: int, deadline: float) -> tuple[bytes, int | None]:
    """What the child said, and its wait status; None for the status when it had to be ended."""
    told = bytearray()
    status: int | None = None
    open_ended = True
    while status is None:
        if time.monotonic() > deadline:
            _end_group(pid)
            os.waitpid(pid, 0)
            return bytes(told), None
        if open_ended and select.select([reader], [], [], POLL)[0]:
            said = os.read(reader, 65536)
            told += said
            if said:
                continue
            open_ended = False
        ended, raw = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = raw
        elif not open_ended:
            time.sleep(0.00005)
    # A grandchild may hold the pipe open; what the child itself said is in it by now.
    while open_ended and select.select([reader], [], [], 0)[0]:
        said = os.read(reader, 65536)
        told += said
        open_ended = bool(said)
    return bytes(told), status


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Gone already (or, on macOS, gone and not yet reaped).
        return


def _child(
    body: Body, world: Path, args: Mapping[str, Any], crash: list[Any] | None, writer: int
) -> NoReturn:
    try:
        os.setpgid(0, 0)
        output = os.open(world.with_suffix(".out"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        probe.install(_hook(crash, writer))
        if inspect.iscoroutinefunction(body):
            asyncio.run(body(world, **args))
        else:
            body(world, **args)
    except BaseException:  # noqa: BLE001 - nothing may leave this process but by the pipe
        os.write(writer, b"E" + json.dumps(traceback.format_exc()[-4000:]).encode() + b"\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _hook(crash: list[Any] | None, writer: int) -> probe.Hook:
    counts: collections.Counter[str] = collections.Counter()
    lock = threading.Lock()

    def hook(name: str) -> None:
        with lock:
            counts[name] += 1
            os.write(writer, f"P{name}\n".encode())
            if crash is not None and name == crash[0] and counts[name] == crash[1]:
                os.write(writer, b"K\n")
                kill_self()

    return hook
