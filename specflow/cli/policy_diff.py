"""`specflow policy diff`: which calls a new policy permits and the old one did not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from specflow.cli.policy import AsJson, Tools, _cannot, _policy, _print_json, _registry, _safe
from specflow.policy.diff.compare import CALLS, compare

EPILOG = "Example: specflow policy diff policies/old.yaml policies/new.yaml --tools travel.tools:TOOLS"

Old = Annotated[Path, typer.Argument(metavar="OLD", help="A policy file, or a folder of *.yaml.")]
New = Annotated[Path, typer.Argument(metavar="NEW", help="The same, as it is meant to become.")]


def diff(
    old: Old,
    new: New,
    *,
    tools: Tools = "",
    calls: Annotated[
        int, typer.Option("--calls", min=1, max=1_000_000, help="Different calls to try for each tool.")
    ] = CALLS,
    seed: Annotated[int, typer.Option("--seed", help="The same seed tries the same calls.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Find calls that NEW runs early or without confirmation and OLD did not.

    Calls are made from the tools' schemas and from the constants in both policies: boundaries, missing
    fields, wrong types, every pair of values, then chance. Each loosening is shown by the smallest call
    that has it. It is a search and no proof; what was tried is said. What became tighter is listed, too.

    Exit 0: no loosening found, 1: some, 2: a policy cannot be used.
    """
    registry = _registry(tools)
    one, other = _policy([old], registry), _policy([new], registry)
    if registry is not None and not len(registry):
        _cannot(f"--tools {tools}: there are no tools in it")
    with _progress() as tell:
        report = compare(one, other, tools=registry, calls=calls, seed=seed, tell=tell)
    if as_json:
        _print_json({"old": str(old), "new": str(new), "calls": calls, "seed": seed, **report.as_dict()})
    else:
        for line in report.lines():
            typer.echo(_safe(line))
    if report.loosened:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """On a terminal: which tool is being looked at."""
    if not sys.stderr.isatty():
        yield lambda _tool: None
        return
    with Console(stderr=True).status("") as status:
        yield lambda tool: status.update(Text(f"trying calls of {_safe(tool)[:60]}"))
