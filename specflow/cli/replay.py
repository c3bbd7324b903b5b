"""`specflow replay`: what speculation would have saved on recorded runs, with its bound beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from specflow.errors import ConfigurationError

if TYPE_CHECKING:
    from specflow.effects.registry import ToolRegistry
    from specflow.policy.settings import Judge

EPILOG = (
    "Examples: `specflow replay runs.jsonl.xz --policy policies/airline.yaml` | "
    "`specflow replay runs.jsonl --policy p.yaml --tool-latency lognormal:1.5,0.6 --each --json` | "
    "`specflow replay runs.jsonl --policy p.yaml --sweep threshold=0.3,0.5,0.7 -o page.html`"
)
INTERRUPTED = 130


def replay(  # noqa: PLR0917 - typer reads the options off the signature; nobody calls it by position
    traces: Annotated[
        list[Path], typer.Argument(help="Recorded runs, or other programs' traces: .jsonl, .jsonl.xz.")
    ],
    policy: Annotated[list[Path], typer.Option("--policy", help="Policy file or folder; may be repeated.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    tool_latency: Annotated[
        str, typer.Option("--tool-latency", help="2s, lognormal:MEDIAN,SIGMA (seconds), or recorded.")
    ] = "2s",
    user_takes: Annotated[
        str | None,
        typer.Option(
            "--user-takes",
            metavar="DURATION",
            help="Users take so long to answer, 20s for example; nothing by default. Counts in no step.",
        ),
    ] = None,
    predictors: Annotated[
        str, typer.Option("--predictors", help="Comma-separated: sniffer, partial_call, history.")
    ] = "sniffer,partial_call,history",
    train: Annotated[
        list[Path] | None,
        typer.Option("--train", help="More runs that history and the sniffer learn from; may be repeated."),
    ] = None,
    phrases: Annotated[
        bool,
        typer.Option("--phrases/--no-phrases", help="Whether the sniffer learns how calls are announced."),
    ] = True,
    score_only: Annotated[
        bool, typer.Option("--score-only", help="Only ask the predictors and score them; play nothing.")
    ] = False,
    each: Annotated[bool, typer.Option("--each", help="Also replay every predictor alone.")] = False,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            metavar="WHAT=VALUES",
            help="threshold=0.3,0.5,0.7, tool-latency=1s,2s,5s or user-takes=0s,20s: a row for each value; "
            "may be repeated.",
        ),
    ] = None,
    shuffle_text: Annotated[
        bool,
        typer.Option("--shuffle-text", help="Also replay with the words of every answer in another order."),
    ] = False,
    shuffle_seed: Annotated[int, typer.Option("--shuffle-seed", help="Which other order.")] = 0,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="By the wall clock instead of virtual time.")
    ] = False,
    speed: Annotated[
        float, typer.Option("--speed", help="With --real-time: so many times as fast.", min=0.01, max=1000)
    ] = 1.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write a page (HTML); takes --each with it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many runs.")] = 1_000_000,
    model: Annotated[str, typer.Option("--model", help="Only runs whose model's name contains this.")] = "",
) -> None:
    """Play recorded runs through the real coordinator and policy on virtual time, and add up the saving.

    `history` learns from the runs of all other tasks, those of --train among them, never from one of the same
    task: up to 12 tasks are left out one by one, more in five parts. With it, or with --train, the sniffer
    learns from the same runs in which words calls are announced.

    Tokens are spread evenly over each step's recorded model time. The oracle is what right guesses, made at
    once, would save one step ahead under the same policy (without its budgets); the regret is what the
    predictors' own right guesses would have saved if made at once, minus what they saved.
    """
    from specflow.cli.replay_page import show, write_page
    from specflow.cli.replay_play import played, variants_of
    from specflow.cli.replay_runs import wanted
    from specflow.policy.load import load
    from specflow.replay.cast import names_of
    from specflow.replay.variants import Replays

    if speed != 1.0 and not real_time:
        raise ConfigurationError("--speed needs --real-time", hint="virtual time waits for nothing")
    each = each or output is not None
    if score_only and (real_time or each or sweep or shuffle_text or user_takes is not None):
        more = "--each, --sweep, --shuffle-text, --user-takes, --output and --real-time"
        raise ConfigurationError("--score-only plays nothing", hint=f"leave {more} out")
    names = names_of(predictors)
    seed = shuffle_seed if shuffle_text else None
    variants = variants_of(names, tool_latency, user_takes, sweep or (), seed)
    # Alone only where that is something else than together.
    alone = [replace(variants[0], predictors=(name,)) for name in names] if len(names) > 1 else []

    def judge_for(registry: ToolRegistry) -> Judge:
        return load(policy, tools=registry)

    replays = Replays(
        judge_for=judge_for,
        variants=variants,
        sets=[variants[0], *alone] if each else [],
        speed=speed if real_time else None,
        plays=not score_only,
    )
    load(policy)  # a broken policy is said before the first run is read
    whole = played(replays, wanted(traces, model, limit), wanted(train or (), "", 1_000_000), phrases=phrases)
    total = replays.total
    if not whole:
        typer.echo(f"interrupted: what follows is of the {total.runs} runs replayed so far", err=True)
    elif not total.runs:
        raise ConfigurationError("no run was replayed", hint="check the files, --model and --limit")
    found = {**replays.as_json(), "interrupted": not whole}
    if as_json:
        typer.echo(json.dumps(found, indent=2, allow_nan=False))
    elif total.runs:
        show(found, takes="" if score_only else tool_latency, real_time=real_time)
    if output is not None and total.runs:
        write_page(found, output, takes=tool_latency, real_time=real_time)
    if not whole:
        raise typer.Exit(INTERRUPTED)
