"""`specflow policy suggest`: entries proposed for tools that nobody has classed yet, with the evidence."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints, is_typeddict

import typer

from specflow.cli.tools import load_tools
from specflow.effects.tool import ToolSpec
from specflow.errors import ConfigurationError, InvariantError, SpecflowError
from specflow.policy.suggest import Proposal, Subject, as_dict, as_yaml, observed, openapi, propose, results
from specflow.policy.suggest.functions import Code

EPILOG = "Example: specflow policy suggest travel.tools:TOOLS -o policies/proposed.yaml"
_STDIO = "mcp+stdio:"
_HTTP = ("mcp+http://", "mcp+https://")
_PLAIN = {"boolean", "integer", "number", "string", "array"}
_DOCUMENTS = (".yaml", ".yml", ".json")

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="TOOLS...",
        help="pkg.mod:attr, an OpenAPI file, mcp+https://..., mcp+http://..., or 'mcp+stdio:COMMAND ARGS'.",
        show_default=False,
    ),
]
Trust = Annotated[
    list[str],
    typer.Option(
        "--trust",
        metavar="SOURCE",
        help="Believe this MCP server, written as above, when it says that a tool only reads. Repeatable.",
    ),
]
Headers = Annotated[
    list[str],
    typer.Option(
        "--header",
        metavar="NAME=VARIABLE",
        help="Send MCP servers over HTTP this header, with an environment variable's value. Repeatable.",
    ),
]
Variables = Annotated[
    list[str],
    typer.Option(
        "--env", metavar="VARIABLE", help="Pass this variable on to MCP servers over stdio. Repeatable."
    ),
]


def suggest(  # noqa: PLR0917 - typer makes options of them
    sources: Sources,
    trust: Trust = [],  # noqa: B006 - typer reads the default and never changes it
    header: Headers = [],  # noqa: B006 - as above
    env: Variables = [],  # noqa: B006 - as above
    observed_runs: Annotated[
        list[Path],
        typer.Option(
            "--observed",
            metavar="FILE",
            help="Recorded runs, a line of JSON each (.xz too): the shapes of results. Repeatable.",
        ),
    ] = [],  # noqa: B006 - as above
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to the screen.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Limit for each MCP server.")
    ] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Propose a policy for tools, with the evidence. No tool is run; nothing proposed is trusted."""
    try:
        _check_output(output, force=force)
        unknown = sorted(set(trust) - set(sources))
        if unknown:
            raise ConfigurationError(f"--trust {unknown[0]}: is not among the sources; write it as there")
        found = [
            subject
            for source in sources
            for subject in _subjects(source, trust, _headers(header), tuple(env), timeout)
        ]
        if not found:
            raise ConfigurationError("no tool was found")
        seen = observed.read(*observed_runs)
        proposals = propose([observed.shaped(subject, seen) for subject in found])
        text = (
            json.dumps(as_dict(proposals), indent=2, ensure_ascii=True) + "\n"
            if as_json
            else as_yaml(proposals)
        )
        _write(text, output, force=force)
    except InvariantError:
        raise
    except SpecflowError as error:
        # What went wrong may quote a server: it must not steer the terminal.
        plain = " ".join(str(error).split())
        safe = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in plain)
        typer.echo(f"specflow: {safe}", err=True)
        raise typer.Exit(2) from error
    if output is not None:
        typer.echo(_summary(proposals, output), err=True)


def _subjects(
    source: str, trust: list[str], headers: dict[str, str], variables: tuple[str, ...], seconds: float
) -> list[Subject]:
    if source.startswith((_STDIO, *_HTTP)):
        from specflow.graph import mcp_tools

        if source.startswith(_STDIO):
            server: mcp_tools.Server = mcp_tools.stdio_server(source.removeprefix(_STDIO), variables)
        else:
            server = mcp_tools.http_server(source.removeprefix("mcp+"), headers)
        return asyncio.run(mcp_tools.subjects_of(server, trusted=source in trust, seconds=seconds))
    if source.endswith(_DOCUMENTS):
        return openapi.read(Path(source))
    return _of_python(source)


def _of_python(source: str) -> list[Subject]:
    try:
        registry = load_tools(source)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).removeprefix("--tools ")) from error
    module, _, attribute = source.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    items = {_name(item): item for item in found if not isinstance(item, ToolSpec)}
    return [_of_spec(spec, items.get(spec.name), source) for spec in registry]


def _name(item: Any) -> str:
    return str(getattr(item, "name", None) or getattr(item, "__name__", ""))


def _of_spec(spec: ToolSpec, item: Any, source: str) -> Subject:
    functions = _functions(item)
    code = Code(functions=functions) if functions else None
    return Subject(
        name=spec.name,
        description=spec.description,
        parameters=spec.parameters,
        result=spec.result or _annotated(functions) or (results.schema_of(code) if code else None),
        annotation=spec.annotation,
        code=code,
        origin=source,
        schema_hash=spec.schema_hash,
    )


def _functions(item: Any) -> tuple[Callable[..., Any], ...]:
    """The bodies a tool may run: a function itself; of a LangChain tool, its function or its own methods."""
    if item is None:
        return ()
    inner = [function for name in ("func", "coroutine") if callable(function := getattr(item, name, None))]
    if inner:
        return tuple(inner)
    if not hasattr(item, "args_schema"):
        return (item,) if callable(item) else ()
    own = [getattr(item, name) for name in ("_run", "_arun") if hasattr(item, name)]
    return tuple(method for method in own if not method.__module__.startswith("langchain_core."))


def _annotated(functions: tuple[Callable[..., Any], ...]) -> dict[str, Any] | None:
    """The JSON Schema of what the first function is annotated to return, if that says anything."""
    from pydantic import TypeAdapter

    try:
        hint = get_type_hints(functions[0])["return"]
        if is_typeddict(hint):
            # pydantic refuses those of `typing` before Python 3.12.
            keys = sorted(hint.__required_keys__)
            return {"type": "object", "properties": {key: {} for key in keys}, "required": keys}
        schema = TypeAdapter(hint).json_schema(mode="serialization")
    except Exception:  # noqa: BLE001 - annotations are anything; without one there is just no schema
        return None
    return schema if schema.get("properties") or schema.get("type") in _PLAIN else None


def _headers(named: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in named:
        name, equals, variable = item.partition("=")
        if not name or not equals or not variable:
            raise ConfigurationError(f"--header {item}: must be written NAME=VARIABLE")
        if variable not in os.environ:
            raise ConfigurationError(f"--header {item}: the environment has no variable {variable}")
        found[name] = os.environ[variable]
    return found


def _check_output(output: Path | None, *, force: bool) -> None:
    if output is not None and output.exists() and not force:
        raise ConfigurationError(f"{output} exists", hint="choose another name, or --force to replace it")


def _write(text: str, output: Path | None, *, force: bool) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        # "x" refuses a file that came about in the meantime.
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(f"{output}: cannot be written: {error.strerror}") from error


def _summary(proposals: tuple[Proposal, ...], output: Path) -> str:
    counts = {
        effect: sum(item.effect == effect for item in proposals)
        for effect in ("read_only", "compensatable", "confirmation_required")
    }
    listed = ", ".join(f"{count} {effect}" for effect, count in counts.items() if count)
    return f"{len(proposals)} tools: {listed}; all proposed, to be reviewed in {output}"
