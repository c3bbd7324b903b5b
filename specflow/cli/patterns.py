"""`specflow patterns`: what conversations have taught, trained from recorded runs and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from specflow.errors import ConfigurationError

app = typer.Typer(help="What earlier conversations teach about the next call.", no_args_is_help=True)


@app.command(epilog="Example: specflow patterns train runs.jsonl --policy p.yaml -o patterns.json")
def train(
    traces: Annotated[list[Path], typer.Argument(help="Recorded runs: .jsonl or .jsonl.xz files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", help="Says which tools are reads; may be repeated.")
    ] = None,
    phrases: Annotated[
        bool, typer.Option("--phrases/--no-phrases", help="Learn the words that announce a call, too.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Learn from recorded runs which call follows which, and where arguments come from.

    The file holds paths, shapes, weights and words of announcements, and no value of any conversation.
    Without a policy the tools whose names say that they read are taken for reads.
    """
    from specflow.cli.replay_runs import progress, wanted
    from specflow.policy.load import load
    from specflow.prediction.history.lesson import train as learn
    from specflow.prediction.history.predictor import reading
    from specflow.prediction.sniffer import ReasoningSniffer
    from specflow.replay.announced import Announcements
    from specflow.replay.lessons import early_by, lesson_of

    early: dict[str, bool] = {}
    announcements = Announcements()
    with progress() as tell:
        lessons = []
        for file, run in wanted(traces, "", 1_000_000):
            # Without words of announcements: those that are learned here are not known yet.
            listens = ReasoningSniffer(learns=False)
            lesson = lesson_of(run, place=f"{file}:{run.number}", listens=listens)
            lessons.append(lesson)
            if phrases:
                announcements.read(run, place=f"{file}:{run.number}")
            if not all(spec.name in early for spec in lesson.tools):
                tools = lesson.tools
                early.update(early_by(load(policy, tools=tools), tools) if policy else reading(tools))
        if not lessons:
            raise ConfigurationError("there is no run to learn from", hint="check the files")
        patterns = learn(
            lessons,
            early=lambda name: early.get(name, False),
            tell=tell,
        )
    patterns.triggers = announcements.without()
    try:
        patterns.save(output)
    except OSError as error:
        raise ConfigurationError(f"{output}: cannot be written: {error.strerror or error}") from error
    steps = patterns.tables.steps
    if as_json:
        typer.echo(json.dumps({"file": str(output), "runs": len(lessons), "steps": steps}))
    else:
        typer.echo(f"{output}: learned from {len(lessons)} runs, {steps} steps")


@app.command(epilog="Example: specflow patterns show patterns.json --tool get_order_details")
def show(
    file: Annotated[Path, typer.Argument(help="A file of patterns.")],
    tool: Annotated[str, typer.Option("--tool", help="Only this tool.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show where the arguments of each tool came from: parameter, path, how often, and which share.

    And how often it was called again after it had succeeded, and the words (stems) after which the model
    called it: in which share of the cases, and in how many conversations.

    The share is of the calls at whose time the path had values at all. A path is `TOOL:$.where` for results,
    `arg:TOOL.PARAMETER` for earlier arguments, `user~LOOKS` and `model~LOOKS` for what was said.
    """
    from specflow.prediction.history.patterns import Patterns

    patterns = Patterns.load(file)
    flows = [flow for flow in patterns.flows() if not tool or flow.tool == tool]
    rows = [
        {
            "tool": flow.tool,
            "parameter": flow.parameter,
            "path": flow.path,
            "count": flow.count,
            "share": round(flow.count / flow.calls, 4),
        }
        for flow in flows
    ]
    heard = [one for one in patterns.triggers.rows() if not tool or one.tool == tool]
    tables = patterns.tables
    settled = [(name, many) for name, many in sorted(tables.settled.items()) if not tool or name == tool]
    if as_json:
        found = {
            "conversations": patterns.tables.conversations,
            "steps": patterns.tables.steps,
            "flows": rows,
            "again": [
                {
                    "tool": name,
                    "settled": many,
                    "again": tables.again[name],
                    "over": tables.seldom_again(name),
                }
                for name, many in settled
            ],
            "phrases": [
                {"tool": one.tool, "phrase": one.phrase, "count": one.count, "share": round(one.share, 4)}
                for one in heard
            ],
        }
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(f"{patterns.tables.conversations} conversations, {patterns.tables.steps} steps")
    if not rows:
        typer.echo("no call with arguments was learned" + (f" of {tool}" if tool else ""))
    for (flow, row), before in zip(zip(flows, rows, strict=True), [None, *flows], strict=False):
        if before is None or (before.tool, before.parameter) != (flow.tool, flow.parameter):
            typer.echo(f"\n{flow.tool}({flow.parameter})")
        typer.echo(f"  {row['share']:>6.1%}  {flow.count:>5}  {flow.path}")
    if settled:
        typer.echo("\nmessages after it had succeeded that called it again")
    for name, many in settled:
        again, over = tables.again[name], "  (over: not looked at any more)" * tables.seldom_again(name)
        typer.echo(f"  {again / max(1, many):>6.1%}  {again:>5} of {many}  {name}{over}")
    for one, last in zip(heard, [None, *heard], strict=False):
        if last is None or last.tool != one.tool:
            typer.echo(f"\n{one.tool} after the words")
        typer.echo(f"  {one.share:>6.1%}  {one.count:>5}  {one.phrase}")
