"""A conversation made a recorded run: results and times of the tools put beside their calls."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from specflow.traces.notes import Notes
from specflow.traces.recorded import RecordedRun, first_flaw
from specflow.traces.said import MalformedError, ToolRun
from specflow.traces.threads import Thread, Turn

BILLION = 10**9


def finished(
    thread: Thread, runs: list[ToolRun], *, source: str, task: str, notes: Notes
) -> dict[str, Any] | None:
    """The run as its line says it; None where no answer is in it. What is taken of `runs` is removed.

    Raises:
        MalformedError: it cannot be made one.
    """
    if thread.blind:
        _by_time(thread, runs)
    for number, turn in enumerate(thread.turns):
        if number in thread.times:
            _time(turn, *thread.times[number], place=thread.place, notes=notes)
        if turn.get("tool_calls") and not turn.get("given"):
            _results(turn, runs, place=thread.place, notes=notes)
        for call in turn.get("tool_calls", ()):
            call.pop("said", None)
    notes.note("stray_results", thread.place if thread.stray else "", thread.stray)
    for name in thread.changed:
        notes.note("changed_tool", f"{thread.place} ({name})")
    if not any(turn["role"] == "assistant" and not turn.get("given") for turn in thread.turns):
        return None
    return {
        "source": source,
        "model": thread.model,
        "task_id": task,
        "tools": list(thread.tools.values()),
        "turns": thread.turns,
    }


def checked(run: dict[str, Any], *, number: int) -> RecordedRun:
    """The run as its readers have it.

    Raises:
        MalformedError: it is none.
    """
    try:
        return RecordedRun.model_validate({**run, "number": number})
    except (ValidationError, RecursionError) as error:
        raise MalformedError(first_flaw(error)) from error


def _time(turn: Turn, began: int | None, ended: int | None, *, place: str, notes: Notes) -> None:
    if ended is not None:
        turn["t"] = ended / BILLION
    if began is None or ended is None:
        return
    if ended < began:
        # Made by two clocks, or by one that was set back: nobody knows how long it took.
        notes.note("clock", place)
        return
    turn["gen_s"] = (ended - began) / BILLION


def _results(turn: Turn, runs: list[ToolRun], *, place: str, notes: Notes) -> None:
    there = {result["id"]: result for result in turn["tool_results"]}
    for call in turn["tool_calls"]:
        run = _take(runs, call)
        if run is None:
            continue
        result = there.get(call["id"])
        if result is None:
            if run.result is None and not run.error:
                continue
            result = {"id": call["id"], "content": run.result or "", "error": run.error}
            there[call["id"]] = result
        result["error"] = result["error"] or run.error
        _took(result, run, place=place, notes=notes)
    turn["tool_results"] = [there[call["id"]] for call in turn["tool_calls"] if call["id"] in there]


def _took(result: dict[str, Any], run: ToolRun, *, place: str, notes: Notes) -> None:
    if run.ended is None or run.began is None:
        return
    if run.ended < run.began:
        notes.note("clock", place)
        return
    result["t"] = run.ended / BILLION
    if run.real:
        result["seconds"] = (run.ended - run.began) / BILLION


def _take(runs: list[ToolRun], call: dict[str, Any]) -> ToolRun | None:
    """The execution of a call: by its id where both have one, else the first of that name."""
    said = call["said"].strip()
    for number, run in enumerate(runs):
        by_id = bool(said and run.call_id)
        if (run.call_id.strip() == said) if by_id else (run.name == call["name"]):
            return runs.pop(number)
    return None


def _by_time(thread: Thread, runs: list[ToolRun]) -> None:
    """The calls of answers of which only the time is known: the tools that ran before the next answer."""
    times = ((thread.times[at][0], at) for at in thread.blind)
    blind = sorted((began, at) for began, at in times if began is not None)
    starts = [began for began, _at in blind]
    mine: dict[int, list[ToolRun]] = {}
    for run in runs:
        if run.began is not None and (before := bisect_right(starts, run.began)):
            mine.setdefault(blind[before - 1][1], []).append(run)
    if not mine:
        raise MalformedError("neither messages nor calls were recorded, only times")
    for at, its in mine.items():
        thread.turns[at]["tool_calls"] = [_called(run, at, number) for number, run in enumerate(its)]
        thread.turns[at].setdefault("tool_results", [])


def _called(run: ToolRun, turn: int, number: int) -> dict[str, Any]:
    if run.args is None:
        raise MalformedError(f"the arguments of {run.name!r} were not recorded")
    return {
        "id": f"call_{turn}_{number}",
        "name": run.name,
        "args": dict(run.args),
        "said": run.call_id,
    }


def in_order(runs: Iterable[ToolRun]) -> list[ToolRun]:
    """By the time they began; those without one first."""
    return sorted(runs, key=lambda run: run.began or 0)
