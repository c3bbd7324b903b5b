"""What `specflow journal recover` needs to undo the work of a killed demo: the desk's tools."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from specflow.demo.bundle import load_desk
from specflow.demo.database import sqlite_path


def recovery_tools(db_url: str) -> Sequence[Any] | None:
    """The desk's LangChain tools, bound to the file of `db_url`, when it holds the desk's tables; else None.

    Changes nothing. A database that cannot be read gives None too: to say so is the journal's part.
    """
    path = sqlite_path(db_url)
    if path is None or not path.is_file():
        return None
    parts = load_desk()
    desk = parts.desk(path)
    try:
        if not desk.store.exists():
            return None
    except sqlite3.Error:
        return None
    return parts.tools(desk).everything
