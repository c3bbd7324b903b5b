"""A private PostgreSQL server for tests: its own data, its own free port, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

START_SECONDS = 60


class NoPostgresError(RuntimeError):
    """The machine cannot run a PostgreSQL server; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server. `fsync` says whether its writes survive a power cut (slower)."""

    folder: Path
    binaries: Path
    port: int
    user: str
    fsync: bool

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database; returns its URL."""
        name = f"t_{secrets.token_hex(6)}"
        engine = sa.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start it (again) and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 -c fsync={'on' if self.fsync else 'off'}"
        log = self.folder / "log"
        self._pg_ctl("start", "-w", "-t", str(START_SECONDS), "-l", str(log), "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is a crash."""
        self._pg_ctl("stop", "-w", "-m", mode)

    def _pg_ctl(self, *arguments: str) -> None:
        _run(self.user, [str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"), *arguments])


@contextlib.contextmanager
def postgres_server(*, fsync: bool = False) -> Iterator[PostgresServer]:
    """Make, start, and in the end stop and remove a server.

    Raises:
        NoPostgresError: when there are no server binaries, or no user other than root to run them.
    """
    binaries, user = _binaries(), _user()
    folder = Path(tempfile.mkdtemp(prefix="sfpg-"))
    try:
        if user:
            shutil.chown(folder, user)
        _run(
            user,
            [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-N"],
        )
        server = PostgresServer(folder=folder, binaries=binaries, port=_free_port(), user=user, fsync=fsync)
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(NoPostgresError):  # a test may have stopped it
                server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests. Skips where there is none, and fails where CI should have had one."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(postgres_server())
        except NoPostgresError as error:
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                pytest.fail(f"CI must test PostgreSQL: {error}")
            pytest.skip(f"no PostgreSQL: {error}")
        yield server


def _binaries() -> Path:
    found = shutil.which("initdb")
    if found is not None and (Path(found).parent / "pg_ctl").exists():
        return Path(found).parent
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(re.sub(r"\D", "", path.parts[-3]) or 0),
    )
    if not folders:
        raise NoPostgresError("no server binaries (initdb, pg_ctl); install the postgresql package")
    return folders[-1].parent


def _user() -> str:
    """Whom to become; empty when this user will do. The server refuses to run as root."""
    if os.geteuid() != 0:
        return ""
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError as error:
        raise NoPostgresError("this is root, and there is no user `postgres` to run the server as") from error


def _run(user: str, command: Sequence[str]) -> None:
    prefix = ["runuser", "-u", user, "--"] if user else []
    with tempfile.TemporaryFile() as output:  # a pipe would stay open in the server
        done = subprocess.run(  # noqa: S603 - the server's own binaries with fixed arguments
            [*prefix, *command], check=False, stdout=output, stderr=output, cwd="/"
        )
        if done.returncode != 0:
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
            raise NoPostgresError(f"{Path(command[0]).name} failed: {text[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
