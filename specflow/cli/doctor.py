"""`specflow doctor`: why speculation does or does not happen here."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specflow.cli.db import AsJson, url_of
from specflow.cli.tools import load_attribute
from specflow.errors import InvariantError, SpecflowError
from specflow.terminal import readable

if TYPE_CHECKING:
    from specflow.graph.remark import Remark

EPILOG = "Example: specflow doctor travel.app:agent --db sqlite:///specflow.db"


def doctor(
    target: Annotated[
        str,
        typer.Argument(
            metavar="[PKG.MOD:AGENT]",
            help="A Runtime, a compiled graph, a Workflow, or a function without arguments that returns one.",
            show_default=False,
        ),
    ] = "",
    policy: Annotated[
        list[Path],
        typer.Option(
            "--policy", metavar="FILE", help="Judge the tools by this policy. Repeatable.", show_default=False
        ),
    ] = [],  # noqa: B006 - typer reads the default and never changes it
    db: Annotated[
        str,
        typer.Option(
            "--db",
            metavar="URL",
            help="The journal to look into: sqlite:///FILE, a path, or postgresql://USER@HOST/NAME.",
            show_default=False,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say why speculation does or does not happen here. Exit 0: all is well, 1: findings, 2: cannot look.

    Looks at versions, telemetry, policy, tools, models, graph and journal. No tool and no model is called,
    and nothing is written; a module that is named is imported.
    """
    from specflow.doctor.examine import examine
    from specflow.graph.remark import Level

    def look(found: Any) -> list[Remark]:
        return examine(found, policy=policy, db=url_of(db) if db else "")

    try:
        # What the user's module prints is not our answer.
        with contextlib.redirect_stdout(sys.stderr):
            remarks = _of_target(target, look) if target else look(None)
    except InvariantError:
        raise
    except SpecflowError as error:
        typer.echo(f"specflow: {readable(' '.join(str(error).split()))}", err=True)
        raise typer.Exit(2) from error
    counts = Counter(remark.level for remark in remarks)
    findings = counts[Level.WARNING] + counts[Level.PROBLEM]
    if as_json:
        checks = [{**asdict(remark), "level": remark.level.value} for remark in remarks]
        typer.echo(
            json.dumps({"ok": not findings, "checks": checks, "counts": {x.value: counts[x] for x in Level}})
        )
    else:
        _print(remarks)
        typer.echo(
            f"{counts[Level.PROBLEM]} problems, {counts[Level.WARNING]} warnings, {counts[Level.OK]} ok"
        )
    raise typer.Exit(1 if findings else 0)


def _of_target(name: str, look: Callable[[Any], list[Remark]]) -> list[Remark]:
    found = load_attribute(name, _called, asked_for="doctor")
    return look(found)


def _called(found: Any) -> Any:
    """What it returns, if it is a function without arguments."""
    if not inspect.isfunction(found):
        return found
    needed = [
        one.name
        for one in inspect.signature(found).parameters.values()
        if one.default is one.empty and one.kind not in {one.VAR_POSITIONAL, one.VAR_KEYWORD}
    ]
    if needed:
        raise TypeError(f"it takes arguments ({', '.join(needed)})")
    made = found()
    return asyncio.run(_awaited(made)) if inspect.isawaitable(made) else made


async def _awaited(made: Any) -> Any:
    return await made


def _print(remarks: Sequence[Remark]) -> None:
    area = ""
    for remark in remarks:
        if remark.area != area:
            area = remark.area
            typer.echo(area)
        typer.echo(readable(f"  {remark.level.value:<8} {remark.subject}: {remark.found}"))
        if remark.mend:
            typer.echo(readable(f"           -> {remark.mend}"))
