"""`specflow db`: upgrade, current, check, new-key."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Annotated

import typer

from specflow.errors import InvariantError, JournalError, SpecflowError

app = typer.Typer(
    name="db",
    help="Migrate the journal's tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DbOption = Annotated[
    str,
    typer.Option(
        "--db",
        metavar="URL",
        help="The journal: sqlite:///FILE, a path, or postgresql://USER@HOST/NAME.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def url_of(db: str) -> str:
    """A URL as it is, a path as SQLite's."""
    return db if "://" in db or db.startswith("sqlite:") else f"sqlite:///{db}"


@contextlib.contextmanager
def clearly() -> Iterator[None]:
    """Say in one line on stderr why it cannot be done, and exit with 2."""
    try:
        yield
    except InvariantError:
        raise
    except SpecflowError as error:
        typer.echo(f"specflow: {error}", err=True)
        raise typer.Exit(2) from error


@app.command(epilog="Example: specflow db upgrade --db postgresql://app@db.example/journal")
def upgrade(db: DbOption, as_json: AsJson = False) -> None:
    """Bring the tables to the version this specflow needs. Safe to run from many processes at once."""
    from specflow.journal.database import Database
    from specflow.journal.schema import upgrade as migrate

    with clearly():
        before, after = migrate(Database(url_of(db)))
    if as_json:
        typer.echo(json.dumps({"before": before, "after": after}))
    elif before == after:
        typer.echo(f"already at {after}")
    else:
        typer.echo(f"upgraded from {before or 'nothing'} to {after}")


@app.command(epilog="Example: specflow db current --db sqlite:///specflow.db")
def current(db: DbOption, as_json: AsJson = False) -> None:
    """Say which version the tables have, and which one this specflow needs."""
    from specflow.journal import schema
    from specflow.journal.database import Database
    from specflow.journal.tables import HEAD

    with clearly():
        database = Database(url_of(db))
        _must_exist(database)
        found = schema.current(database)
    if as_json:
        typer.echo(json.dumps({"current": found, "needed": HEAD}))
    else:
        typer.echo(f"{found or 'no tables'} (this specflow needs {HEAD})")


@app.command(epilog="Example: specflow db check --db sqlite:///specflow.db")
def check(db: DbOption, as_json: AsJson = False) -> None:
    """Compare the tables with what this specflow expects. Exit 0: equal, 1: different."""
    from specflow.journal import schema
    from specflow.journal.database import Database
    from specflow.journal.tables import HEAD

    with clearly():
        database = Database(url_of(db))
        _must_exist(database)
        found = schema.current(database)
        differences = schema.drift(database) if found == HEAD else []
    if found != HEAD:
        differences = [f"version is {found}, not {HEAD}"]
    if as_json:
        typer.echo(json.dumps({"ok": not differences, "current": found, "differences": differences}))
    else:
        typer.echo("\n".join(differences) or f"at {found}, as expected")
    raise typer.Exit(1 if differences else 0)


@app.command("new-key", epilog="Example: specflow db new-key")
def new_key_command(as_json: AsJson = False) -> None:
    """Print a fresh key for SPECFLOW_JOURNAL_KEY, with which the journal keeps what a policy redacts.

    It is not stored anywhere: keep it where you keep passwords. Several keys are separated by commas; the
    first encrypts, all decrypt.
    """
    from specflow.sealing.keys import new_key

    key = new_key()
    typer.echo(json.dumps({"key": key}) if as_json else key)


def _must_exist(database: object) -> None:
    """A question must not make the file it asks about."""
    file = getattr(database, "file", None)
    if file is not None and not file.exists():
        raise JournalError(f"there is no journal at {file}", hint="check the path")
