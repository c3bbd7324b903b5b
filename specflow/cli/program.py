"""All command groups under one name, and what happens when one of them cannot do its job."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import specflow
from specflow.cli import (
    bench,
    db,
    demo,
    doctor,
    journal,
    patterns,
    policy,
    policy_diff,
    replay,
    settle,
    suggest,
    traces,
)
from specflow.errors import InvariantError, SpecflowError

app = typer.Typer(
    name="specflow",
    help="Speculative tool execution for LangGraph agents, safe enough for production.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=demo.EPILOG)(demo.demo)
app.command(epilog=doctor.EPILOG)(doctor.doctor)
app.command(epilog=replay.EPILOG)(replay.replay)
app.command(epilog=bench.EPILOG)(bench.bench)
journal.app.command(
    epilog="Example: specflow journal recover --db sqlite:///specflow.db --tools app.tools:TOOLS"
)(settle.recover)
journal.app.command(epilog='Example: specflow journal resolve eff_3f2a --note "refunded by hand"')(
    settle.resolve
)
policy.app.command("diff", epilog=policy_diff.EPILOG)(policy_diff.diff)
policy.app.command("suggest", epilog=suggest.EPILOG)(suggest.suggest)
app.add_typer(policy.app, name="policy")
app.add_typer(journal.app, name="journal")
app.add_typer(db.app, name="db")
app.add_typer(patterns.app, name="patterns")
app.add_typer(traces.app, name="traces")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"specflow {specflow.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Run tools ahead of the model, under a policy, with an undo journal."""


def main() -> None:
    """Entry point: one clear line for whatever is wrong outside specflow, a traceback only for our bugs."""
    try:
        app()
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has stopped; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except InvariantError:
        raise
    except SpecflowError as error:
        typer.echo(f"specflow: {error}", err=True)
        sys.exit(2)
