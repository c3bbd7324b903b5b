"""`specflow policy`: check, explain, test, schema."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from specflow.cli.tools import load_tools
from specflow.effects.call import Call, NotJsonError
from specflow.effects.registry import ToolRegistry
from specflow.errors import ConfigurationError, PolicyError
from specflow.policy import explain as explaining
from specflow.policy import inline, load, schema
from specflow.policy.document import CallPart
from specflow.policy.finding import UNREADABLE, Finding, Severity
from specflow.policy.lint import lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy
from specflow.sealing.environment import sealer_of

app = typer.Typer(
    name="policy",
    help="Check, explain and test policies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Policy files, or folders of *.yaml.", show_default=False),
]
Tools = Annotated[
    str,
    typer.Option(
        "--tools", metavar="PKG.MOD:ATTR", help="A list of tools, to check names and arguments against."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@app.command("check", epilog="Example: specflow policy check policies/travel.yaml --tools travel.tools:TOOLS")
def check_command(files: Files, tools: Tools = "", as_json: AsJson = False) -> None:
    """Find what is wrong with a policy. Exit 0: nothing, 1: findings, 2: unreadable.

    Each finding is `file:line:col path: message`; the codes (SF101 ...) are explained one by one in
    the reference. Notes are no findings.
    """
    registry = _registry(tools)
    found = survey(files, tools=registry)
    everything = list(found.findings)
    if found.compiled is not None:
        policy = Policy(found.compiled, tools=registry, keeps_secrets=_keeps_secrets())
        everything += lint(policy, found.reads)
    unreadable = [finding for finding in everything if finding.code in UNREADABLE]
    findings = [finding for finding in everything if finding.severity is not Severity.NOTE]
    notes = [finding for finding in everything if finding.severity is Severity.NOTE]
    if as_json:
        rows = {"findings": findings, "notes": notes}
        _print_json({name: [finding.as_dict() for finding in several] for name, several in rows.items()})
    else:
        for finding in everything:
            if finding not in unreadable[:1]:
                typer.echo(_safe(str(finding)))
        if not findings:
            typer.echo(f"no findings in {_files(files)}")
    if unreadable:
        _cannot(str(unreadable[0]))
    if findings:
        raise typer.Exit(1)


@app.command(
    "explain",
    epilog="Example: specflow policy explain policies/travel.yaml "
    '--call \'{"tool": "weather", "args": {"city": "Oslo"}}\'',
)
def explain_command(
    files: Files,
    call: Annotated[
        str,
        typer.Option(
            "--call", metavar="JSON", help='{"tool": ..., "args": {...}, "context": {...}}; - reads stdin.'
        ),
    ],
    tools: Tools = "",
    as_json: AsJson = False,
) -> None:
    """Say what a policy decides about one call, and which rules gave it."""
    policy = _policy(files, _registry(tools))
    asked, part = _call(call)
    verdict = policy.explain(asked, context=part.context, tainted=part.tainted)
    if as_json:
        _print_json(explaining.as_dict(asked, verdict))
    else:
        typer.echo(_safe(explaining.as_text(asked, verdict)))


@app.command("test", epilog="Example: specflow policy test policies/travel.yaml")
def inline_command(files: Files, tools: Tools = "", as_json: AsJson = False) -> None:
    """Run the tests written in a policy. Exit 0: all hold, 1: some fail, 2: the policy cannot be used."""
    results = inline.run(_policy(files, _registry(tools)))
    failed = [result for result in results if not result.passed]
    if as_json:
        rows = [
            {"name": r.name, "where": r.where, "passed": r.passed, "failures": list(r.failures)}
            for r in results
        ]
        _print_json({"tests": rows, "passed": len(results) - len(failed), "failed": len(failed)})
    else:
        for result in results:
            typer.echo(_safe(f"{'ok  ' if result.passed else 'FAIL'} {result.name}"))
            for failure in result.failures:
                typer.echo(_safe(f"     {result.where}: {failure}"))
        typer.echo(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


@app.command("schema", epilog="Example: specflow policy schema > specflow-policy.v1.schema.json")
def schema_command() -> None:
    """Print the JSON Schema of policy files, for editors."""
    _print_json(schema.json_schema())


def _policy(files: list[Path], tools: ToolRegistry | None) -> Policy:
    try:
        return load(files, tools=tools, keeps_secrets=_keeps_secrets())
    except PolicyError as error:
        findings = error.facts["findings"]
        assert isinstance(findings, list)
        first: Finding = findings[0]
        more = len(findings) - 1
        others = f" (and {more} more: run `specflow policy check {_files(files)}`)" if more else ""
        _cannot(f"{first}{others}")


def _keeps_secrets() -> bool:
    """Whether a journal would keep what is redacted, in this environment."""
    try:
        return sealer_of(os.environ) is not None
    except ConfigurationError as error:
        _cannot(str(error))


def _call(text: str) -> tuple[Call, CallPart]:
    if text == "-":
        text = sys.stdin.read()
    try:
        part = CallPart.model_validate(json.loads(text))
        return Call(tool=part.tool, args=part.args), part
    except json.JSONDecodeError as error:
        _cannot(f"--call is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the call"
        _cannot(f'--call: {place}: {first["msg"]} (it looks like {{"tool": ..., "args": {{...}}}})')
    except (NotJsonError, RecursionError, ValueError) as error:
        _cannot(f"--call cannot be used: {error}")


def _registry(name: str) -> ToolRegistry | None:
    """The tools that `pkg.mod:attr` names; None when nothing is named."""
    try:
        return load_tools(name) if name else None
    except ConfigurationError as error:
        _cannot(str(error))


def _files(files: list[Path]) -> str:
    return " ".join(map(str, files))


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False))


def _safe(text: str) -> str:
    """Text that cannot steer a terminal: names and messages may come from a model."""
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", plain)


def _cannot(message: str) -> NoReturn:
    typer.echo(f"specflow: {_safe(' '.join(message.split()))}", err=True)
    raise typer.Exit(2)
