"""`specflow traces`: traces of other programs, made recorded runs, and what they do not hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specflow.errors import ConfigurationError
from specflow.traces.formats import Format

if TYPE_CHECKING:
    from specflow.traces.gather import Imported
    from specflow.traces.reading import Reading
    from specflow.traces.survey import Survey

app = typer.Typer(
    help="Traces of other programs (LangSmith, OpenTelemetry, OpenAI): read them, and see what they lack.",
    no_args_is_help=True,
)
_NAMED = 10

Files = Annotated[list[Path], typer.Argument(metavar="IN...", help="Files of traces, .jsonl or .jsonl.xz.")]
Forced = Annotated[
    Format | None, typer.Option("--format", help="The format of all files; else each is looked into.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command(epilog="Example: specflow traces convert export.jsonl -o runs.jsonl.xz")
def convert(
    traces: Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; .xz packs it.")],
    kind: Forced = None,
    tools: Annotated[
        Path | None,
        typer.Option(
            "--tools", help="JSON list of function schemas, for tools that the traces do not describe."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the runs in the traces as recorded runs, one a line. What is broken is left out, and named.

    The file is there when all is done, and not before. Exit code 1 when something was left out or is missing.
    """
    from specflow.cli.replay_runs import progress
    from specflow.traces.survey import Survey
    from specflow.traces.writing import written

    for file in traces:
        if output.exists() and file.exists() and output.samefile(file):
            raise ConfigurationError(
                f"{output}: would be written over what is read", hint="another name for -o"
            )
    survey = Survey()
    with progress() as tell:
        reading = _reading(kind, tools)
        reading.tell = tell
        with written(output) as write:
            for imported in _counted(reading, traces, survey):
                try:
                    write(imported.line)
                except (ValueError, RecursionError) as error:
                    reading.notes.leave_out(imported.place, f"cannot be written as JSON: {error}")
                    continue
                survey.add(imported.run)
            if not survey.runs:
                raise ConfigurationError(_nothing(reading))
    _show(reading, survey, as_json=as_json, output=output)


@app.command(epilog="Example: specflow traces check export.jsonl --json")
def check(
    traces: Files,
    kind: Forced = None,
    as_json: AsJson = False,
) -> None:
    """Say what can be read, what is missing, and what a replay will therefore not be able to say.

    Exit code 0: nothing that would make its figures doubtful; 1: something was left out or is missing
    (times, schemas); 2: no run can be read.
    """
    from specflow.cli.replay_runs import progress
    from specflow.traces.survey import Survey

    survey = Survey()
    with progress() as tell:
        reading = _reading(kind, None)
        reading.tell = tell
        for imported in _counted(reading, traces, survey):
            survey.add(imported.run)
    if not survey.runs:
        raise ConfigurationError(_nothing(reading))
    _show(reading, survey, as_json=as_json)


def _reading(kind: Format | None, tools: Path | None) -> Reading:
    from specflow.traces.reading import Reading

    return Reading(forced=kind, tools=_schemas(tools) if tools else ())


def _schemas(file: Path) -> tuple[dict[str, Any], ...]:
    from specflow.traces.message import tools_of
    from specflow.traces.said import parsed

    try:
        found = parsed(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigurationError(f"{file}: not JSON: {error}") from error
    tools = tools_of(found)
    if not tools:
        raise ConfigurationError(f"{file}: no tool is described", hint="a JSON list of function objects")
    return tuple(dict(tool) for tool in tools)


def _counted(reading: Reading, traces: list[Path], survey: Survey) -> Iterator[Imported]:
    from specflow.cli.replay_runs import usable

    for imported in usable(reading, traces):
        if survey.runs % 100 == 0 and survey.runs:
            reading.tell(f"{survey.runs} runs, {survey.steps} steps")
        yield imported


def _nothing(reading: Reading) -> str:
    from specflow.traces.survey import Survey

    broken = reading.notes.broken
    first = f"; the first flaw: {broken[0]}" if broken else ""
    codes = {"no_model", "no_request", "unanswered"}
    more = [finding.message for finding in Survey().findings(reading.notes) if finding.code in codes]
    return f"no run can be read{first}" + "".join(f"; {message}" for message in more)


def _show(reading: Reading, survey: Survey, *, as_json: bool, output: Path | None = None) -> None:
    findings = survey.findings(reading.notes)
    if as_json:
        typer.echo(json.dumps(_document(reading, survey, output), indent=2))
    else:
        for line in _page(reading, survey, output):
            typer.echo(line)
    if any(finding.grave for finding in findings):
        raise typer.Exit(1)


def _document(reading: Reading, survey: Survey, output: Path | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "files": {file: str(kind) for file, kind in reading.formats.items()},
        "records": reading.notes.records,
        "runs": survey.runs,
        "steps": survey.steps,
        "timed_steps": survey.timed,
        "counted_steps": survey.counted,
        "reasoning_steps": survey.reasoned,
        "given_answers": survey.given,
        "calls": survey.calls,
        "calls_with_schema": survey.defined,
        "calls_with_result": survey.answered,
        "calls_with_tool_time": survey.took,
        "tool_latency": survey.latency or None,
        "models": dict(survey.models.most_common()),
        "tools": dict(survey.tools.most_common()),
        "left_out": reading.notes.left_out,
        "broken": [{"place": broken.place, "message": broken.message} for broken in reading.notes.broken],
        "findings": [finding.as_json() for finding in survey.findings(reading.notes)],
    }
    return found if output is None else {"output": str(output), **found}


def _page(reading: Reading, survey: Survey, output: Path | None) -> Iterator[str]:
    for file, kind in reading.formats.items():
        yield f"{file}: {kind}"
    if output is not None:
        yield f"{output}: written"
    yield f"{survey.runs} runs, {survey.steps} steps, {survey.calls} calls of {len(survey.tools)} tools"
    yield f"  times       {survey.timed} of {survey.steps} steps"
    yield f"  reasoning   {survey.reasoned} of {survey.steps} steps"
    yield f"  schemas     {survey.defined} of {survey.calls} calls"
    yield f"  results     {survey.answered} of {survey.calls} calls"
    yield f"  tool times  {survey.took} of {survey.calls} calls"
    if survey.latency:
        yield f"              replay them with --tool-latency recorded, or {survey.latency}"
    for finding in survey.findings(reading.notes):
        yield f"{'finding' if finding.grave else 'note'}: {finding.message}"
        if finding.means:
            yield f"  {finding.means}"
        for place in finding.places[:_NAMED]:
            yield f"  {place}"
        if len(finding.places) > _NAMED:
            yield f"  and {finding.count - _NAMED} more; --json names them"
