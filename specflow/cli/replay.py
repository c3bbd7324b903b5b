"""`specflow replay`: what speculation would have saved on recorded runs, with its bound beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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
    "`specflow replay runs.jsonl --policy p.yaml --tool-latency lognormal:1.5,0.6 --each --json`"
)
INTERRUPTED = 130


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
    each: Annotated[bool, typer.Option("--each", help="Also replay every predictor alone.")] = False,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="By the wall clock instead of virtual time.")
    ] = False,
    speed: Annotated[
        float, typer.Option("--speed", help="With --real-time: so many times as fast.", min=0.01, max=1000)
    ] = 1.0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many runs.")] = 1_000_000,
    model: Annotated[str, typer.Option("--model", help="Only runs whose model's name contains this.")] = "",
) -> None:
    """Play recorded runs through the real coordinator and policy on virtual time, and add up the saving.

    Tokens are spread evenly over each step's recorded model time. The oracle is what right guesses, made at
    once, would save one step ahead under the same policy (without its budgets); the regret is what the
    predictors' own right guesses would have saved if made at once, minus what they saved.
    """
    from specflow.cli.replay_page import show
    from specflow.policy.load import load
    from specflow.replay.latency import latency

    if speed != 1.0 and not real_time:
        raise ConfigurationError("--speed needs --real-time", hint="virtual time waits for nothing")
    names = _names(predictors)
    # Alone only where that is something else than together.
    alone = [(name,) for name in names] if each and len(names) > 1 else []
    replays = _Replays(
        policy=policy,
        takes=latency(tool_latency),
        sets=[tuple(names), *alone],
        speed=speed if real_time else None,
    )
    load(policy)  # a broken policy is said before the first run is read
    interrupted = False
    try:
        for file, run in _shown(_wanted(traces, model, limit)):
            replays.add(run, place=f"{file}:{run.number}")
    except KeyboardInterrupt:
        interrupted = True
    total = replays.total
    if interrupted:
        typer.echo(f"interrupted: what follows is of the {total.runs} runs replayed so far", err=True)
    elif not total.runs:
        raise ConfigurationError("no run was replayed", hint="check the files, --model and --limit")
    found = replays.as_json(each=each)
    if as_json:
        typer.echo(json.dumps({**found, "interrupted": interrupted}, indent=2, allow_nan=False))
    elif total.runs:
        sets = found["by_predictor_set"] if each else []
        show(found, found["models"], sets, takes=tool_latency, real_time=real_time)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


@dataclass(slots=True, kw_only=True)
class _Replays:
    """Replays one run after the other and adds them up; the first of `sets` is the one that counts."""

    policy: list[Path]
    takes: Any  # specflow.replay.latency.Latency; imported with the command, not with the program
    sets: list[tuple[str, ...]]
    speed: float | None
    by_set: dict[tuple[str, ...], Summary] = field(default_factory=dict)
    by_model: dict[str, Summary] = field(default_factory=dict)

    @property
    def total(self) -> Summary:
        from specflow.replay.summary import Summary

        return self.by_set.setdefault(self.sets[0], Summary())

    def add(self, run: RecordedRun, *, place: str) -> None:
        """Replay a run with every set; an interruption leaves it out of all of them."""
        from specflow.policy.load import load
        from specflow.replay.summary import Summary, replay_run

        found = [
            replay_run(
                run,
                Summary(),
                judge_for=lambda registry: load(self.policy, tools=registry),
                predictors=_fresh(names),
                latency=self.takes,
                speed=self.speed,
                place=place,
            )
            for names in self.sets
        ]
        for names, one in zip(self.sets, found, strict=True):
            self.by_set.setdefault(names, Summary()).include(one)
        self.by_model.setdefault(run.model or "unknown", Summary()).include(found[0])

    def as_json(self, *, each: bool) -> dict[str, Any]:
        total = self.total.as_json()
        found = {**total, "models": {name: one.as_json() for name, one in sorted(self.by_model.items())}}
        if each:
            rows = [(names, self.by_set[names].as_json()) for names in self.sets if names in self.by_set]
            found["by_predictor_set"] = [{"set": list(names), **row} for names, row in rows]
        return found


def _wanted(files: Iterable[Path], model: str, limit: int) -> Iterator[tuple[Path, RecordedRun]]:
    from specflow.traces.recorded import read_runs

    taken = 0
    for file in files:
        for run in read_runs(file):
            if taken >= limit:
                return
            if model in run.model:
                taken += 1
                yield file, run


def _names(text: str) -> list[str]:
    known = {"sniffer", "partial_call"}
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"there is no predictor {name!r}", hint=f"known: {', '.join(sorted(known))}"
            )
    if not names:
        raise ConfigurationError("no predictor was named", hint=f"known: {', '.join(sorted(known))}")
    return names


def _fresh(names: Iterable[str]) -> list[Predictor]:
    from specflow.prediction.partial_call import PartialCallPredictor
    from specflow.prediction.sniffer import ReasoningSniffer

    made = {"sniffer": ReasoningSniffer, "partial_call": PartialCallPredictor}
    return [made[name]() for name in names]


def _shown(runs: Iterator[tuple[Path, RecordedRun]]) -> Iterator[tuple[Path, RecordedRun]]:
    """The runs, with progress on a terminal."""
    if not sys.stderr.isatty():
        yield from runs
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replaying")
        for number, (file, run) in enumerate(runs, start=1):
            about = f"replaying run {number} ({run.model}, task {run.task_id})"
            progress.update(task, description=escape(about))
            yield file, run
