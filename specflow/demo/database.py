"""The demo's database: one SQLite file for the journal and the desk, and a sibling for the sequential run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from specflow.errors import ConfigurationError

DEFAULT = "sqlite:///specflow-demo.db"
_MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """`path` holds the journal's `sf_` tables and the speculative run's desk."""

    path: Path

    @property
    def url(self) -> str:
        """What SQLAlchemy and `specflow journal --db` call it."""
        return f"sqlite:///{self.path.as_posix()}"

    @property
    def sequential(self) -> Path:
        """The file of the sequential run's desk."""
        return self.path.with_name(f"{self.path.stem}-sequential{self.path.suffix}")


def open_database(text: str) -> Database:
    """The database named by a URL such as `sqlite:///demo.db`, or by a plain path.

    Raises:
        ConfigurationError: when it is not a SQLite file that can be made or used.
    """
    path = sqlite_path(text)
    if path is None:
        raise ConfigurationError(
            f"the demo keeps its desk in a SQLite file, and {_named(text)} is none",
            hint=f"use --db {DEFAULT}",
        )
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"there is no folder {path.absolute().parent}", hint="make it first")
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder", hint="name a file in it")
    for file in (path, Database(path=path).sequential):
        try:
            if file.exists() and file.stat().st_size and not _is_sqlite(file):
                raise ConfigurationError(f"{file} is not a SQLite database", hint="name another file")
        except OSError as error:
            raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    return Database(path=path)


def sqlite_path(text: str) -> Path | None:
    """The file that a SQLite URL or a plain path names; None for any other database, or none at all."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Path(text) if text.strip() else None
    if scheme.partition("+")[0] != "sqlite" or not rest.startswith("/"):
        return None
    name = rest[1:].partition("?")[0]
    return Path(name) if name and name != ":memory:" else None


def _is_sqlite(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def _named(text: str) -> str:
    # A database URL may carry a password.
    return f"a {text.partition('://')[0]} URL" if "://" in text else repr(text)
