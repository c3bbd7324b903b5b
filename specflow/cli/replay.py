"""`specflow replay`: what speculation would have saved on recorded runs, with its bound beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specflow.errors import ConfigurationError

if TYPE_CHECKING:
    from specflow.prediction.predictor import Predictor
    from specflow.replay.summary import Summary
    from specflow.traces.recorded import RecordedRun

EPILOG = (
    "Examples: `specflow replay runs.jsonl.xz --policy policies/airline.yaml` | "
    "`specflow replay runs.jsonl --policy p.yaml --tool-latency lognormal:1.5,0.6 --json`"
)


def replay(  # noqa: PLR0917 - typer reads the options off the signature; nobody calls it by position
    traces: Annotated[list[Path], typer.Argument(help="Recorded runs: .jsonl or .jsonl.xz files.")],
    policy: Annotated[list[Path], typer.Option("--policy", help="Policy file or folder; may be repeated.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    tool_latency: Annotated[
        str, typer.Option("--tool-latency", help="2s, or lognormal:MEDIAN,SIGMA (seconds).")
    ] = "2s",
    predictors: Annotated[
        str, typer.Option("--predictors", help="Comma-separated: sniffer, partial_call.")
    ] = "sniffer,partial_call",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many runs.")] = 1_000_000,
    model: Annotated[str, typer.Option("--model", help="Only runs whose model's name contains this.")] = "",
) -> None:
    """Play recorded runs through the real coordinator and policy on virtual time, and add up the saving.

    Tokens are spread evenly over each step's recorded model time. The oracle is the same run with right
    guesses made at once, one step ahead, under the same policy; the regret is what the predictors' own
    right guesses would have saved if made at once, minus what they saved.
    """
    from specflow.policy.load import load
    from specflow.replay.latency import latency
    from specflow.replay.summary import Summary, replay_run

    total, by_model = Summary(), {}
    takes = latency(tool_latency)
    names = _names(predictors)
    load(policy)  # a broken policy is said before the first run is read
    for run in _shown(_wanted(traces, model, limit), quiet=as_json):
        one = replay_run(
            run,
            total,
            judge_for=lambda registry: load(policy, tools=registry),
            predictors=_fresh(names),
            latency=takes,
        )
        by_model.setdefault(run.model or "unknown", Summary()).include(one)
    if not total.runs:
        raise ConfigurationError("no run was replayed", hint="check the files, --model and --limit")
    if as_json:
        by = {name: summary.as_json() for name, summary in sorted(by_model.items())}
        typer.echo(json.dumps({**total.as_json(), "models": by}, indent=2))
    else:
        _print(total, by_model)


def _wanted(files: Iterable[Path], model: str, limit: int) -> Iterator[RecordedRun]:
    from specflow.traces.recorded import read_runs

    taken = 0
    for file in files:
        for run in read_runs(file):
            if taken >= limit:
                return
            if model in run.model:
                taken += 1
                yield run


def _names(text: str) -> list[str]:
    known = {"sniffer", "partial_call"}
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"there is no predictor {name!r}", hint=f"known: {', '.join(sorted(known))}"
            )
    return names


def _fresh(names: Iterable[str]) -> list[Predictor]:
    from specflow.prediction.partial_call import PartialCallPredictor
    from specflow.prediction.sniffer import ReasoningSniffer

    made = {"sniffer": ReasoningSniffer, "partial_call": PartialCallPredictor}
    return [made[name]() for name in names]


def _shown(runs: Iterator[RecordedRun], *, quiet: bool) -> Iterator[RecordedRun]:
    """The runs, with progress on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield from runs
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying")
        for number, run in enumerate(runs, start=1):
            progress.update(task, description=f"replaying run {number} ({run.model}, task {run.task_id})")
            yield run


def _print(total: Summary, by_model: dict[str, Summary]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What speculation would have saved")
    for heading in (
        "model", "runs", "steps", "sequential", "saved", "oracle", "regret", "hit", "late", "miss", "wasted",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name, summary in [*sorted(by_model.items()), ("all", total)]:
        table.add_row(name, *_cells(summary))
    console = Console()
    console.print(table)
    for name, row in total.as_json()["predictors"].items():
        console.print(
            f"{name}: top-1 {row['top1']:.3f}, top-3 {row['top3']:.3f}, precision {row['precision']:.3f}, "
            f"recall {row['recall']:.3f}, n={row['n']} steps with calls",
            highlight=False,
        )


def _cells(summary: Summary) -> Iterator[str]:
    row: dict[str, Any] = summary.as_json()
    whole = row["sequential_seconds"] or 1.0
    yield str(row["runs"])
    yield str(row["steps"])
    yield f"{row['sequential_seconds']:.0f} s"
    for key in ("saved_seconds", "oracle_seconds", "regret_seconds"):
        yield f"{row[key]:.1f} s ({100 * row[key] / whole:.1f} %)"
    for outcome in ("hit", "late", "miss"):
        yield str(row["outcomes"][outcome])
    yield str(row["wasted_calls"])
