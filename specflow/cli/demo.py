"""`specflow demo`: the main job, sequential beside speculative, on real HTTP and a real SQLite file."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from specflow.errors import ConfigurationError, InvariantError, SpecflowError

EPILOG = (
    "Examples: `specflow demo` | `specflow demo --yes --json` | "
    "`specflow demo --model openai:gpt-5-mini` | `specflow demo --run runs.jsonl.xz:3 --speed 10`"
)


def demo(  # noqa: PLR0917 - typer reads the options off the signature; nobody calls it by position
    yes: Annotated[bool, typer.Option("--yes", help="Approve the charge without asking.")] = False,
    db: Annotated[
        str, typer.Option("--db", help="SQLite database for journal and desk: sqlite:///FILE or a path.")
    ] = "sqlite:///specflow-demo.db",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    model: Annotated[
        str, typer.Option("--model", help="A real model instead of the script: openai:NAME.")
    ] = "",
    otlp: Annotated[str, typer.Option("--otlp", help="Send traces to this OTLP/HTTP endpoint.")] = "",
    run: Annotated[
        str, typer.Option("--run", help="Play recorded run N of FILE instead: FILE or FILE:N.")
    ] = "",
    runs: Annotated[int, typer.Option("--runs", min=1, help="With --run FILE: how many runs to play.")] = 1,
    speed: Annotated[float, typer.Option("--speed", help="Divide every waiting time by this.")] = 1.0,
    tool_latency: Annotated[
        float, typer.Option("--tool-latency", help="With --run: seconds that each tool takes.")
    ] = 1.0,
) -> None:
    """Run a travel agent twice at the same time, as LangGraph runs it and with specflow, and compare.

    The agent searches, books and pays at a desk in a real SQLite file. The model is scripted and served
    over HTTP, so no key is needed. A booking that the model thinks better of really appears, and is
    really taken back.
    """
    try:
        code = asyncio.run(
            _demo(
                yes=yes,
                db=db,
                as_json=as_json,
                model=model,
                otlp=otlp,
                run=run,
                runs=runs,
                speed=speed,
                tool_latency=tool_latency,
            )
        )
    except KeyboardInterrupt:
        print("stopped; what ran early is undone, or in the journal for the next run", file=sys.stderr)
        raise typer.Exit(130) from None
    except InvariantError:
        raise
    except (SpecflowError, sqlite3.Error, OSError) as error:
        print(f"specflow demo: {' '.join(str(error).split())}", file=sys.stderr)
        raise typer.Exit(2) from None
    except Exception as error:
        if not (run or model):
            raise
        # A provider's library has errors of its own; what a person needs of them is one line.
        print(f"specflow demo: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


async def _demo(
    *,
    yes: bool,
    db: str,
    as_json: bool,
    model: str,
    otlp: str,
    run: str,
    runs: int,
    speed: float,
    tool_latency: float,
) -> int:
    # The heavy imports wait until the command is really run: `specflow --help` stays quick.
    if not 0 < speed < float("inf") or not 0 <= tool_latency < float("inf"):
        raise ConfigurationError("--speed must be above 0, and --tool-latency 0 or more")
    if otlp:
        from specflow.telemetry import auto

        auto(endpoint=otlp)
    if run:
        return await _recorded(run, runs=runs, db=db, as_json=as_json, speed=speed, tool_latency=tool_latency)
    return await _travel(yes=yes, db=db, as_json=as_json, model=_model_name(model), speed=speed)


async def _travel(*, yes: bool, db: str, as_json: bool, model: str, speed: float) -> int:
    from specflow.demo.approval import Approval, say_no, say_yes
    from specflow.demo.database import open_database
    from specflow.demo.live import Screen
    from specflow.demo.page import print_comparison, print_timeline
    from specflow.demo.sidebyside import Setup, compare

    # With --json the picture goes to stderr, so that stdout is one document.
    console = _console(stderr=as_json)
    screen = Screen(console)
    drawn = console.is_terminal
    ask = say_yes if yes else screen.ask if drawn and sys.stdin.isatty() else say_no
    found = await compare(
        Setup(database=open_database(db), model=model, speed=speed),
        Approval(ask),
        show=screen.show if drawn else None,
    )
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        if not drawn:
            for line in found.timelines:
                print_timeline(console, line)
        print_comparison(console, found)
    # Two runs of a real model may well differ; two of the script may not.
    return 0 if found.same or model else 1


async def _recorded(run: str, *, runs: int, db: str, as_json: bool, speed: float, tool_latency: float) -> int:
    from specflow.demo.database import open_database
    from specflow.demo.recorded import play
    from specflow.demo.recorded_page import print_recorded

    file, first = _run_name(run)
    console = _console(stderr=True)
    played = await play(
        file,
        first=first,
        count=runs,
        database=open_database(db),
        speed=speed,
        tool_latency=tool_latency,
        tell=lambda line: _tell(console, line),
    )
    if as_json:
        found = [one.as_json() for one in played]
        print(json.dumps(found[0] if runs == 1 else {"runs": found}))
    else:
        print_recorded(_console(), played)
    return 0 if all(one.same for one in played) else 1


def _tell(console: Console, line: str) -> None:
    # Progress is for a person who waits; what was left out is for everybody.
    if console.is_terminal or not line.startswith("played"):
        console.print(line, markup=False, soft_wrap=True)


def _console(*, stderr: bool = False) -> Console:
    """Colours and the terminal's width on a terminal; plain and wide in a pipe."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=160)


def _model_name(text: str) -> str:
    if not text:
        return ""
    provider, separator, name = text.partition(":")
    if provider != "openai" or not separator or not name.strip():
        raise ConfigurationError(f"--model {text!r} is not understood", hint="write openai:NAME")
    return name.strip()


def _run_name(text: str) -> tuple[Path, int]:
    name, separator, number = text.rpartition(":")
    if separator and number.isdigit():
        return Path(name), int(number)
    return Path(text), 0
