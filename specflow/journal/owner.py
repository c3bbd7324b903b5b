"""Who holds a session: a name that another process on the same machine can tell alive from dead."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import sys
from pathlib import Path

_PROC = Path("/proc")


def owner_id() -> str:
    """`host:pid:start:random` of this process.

    `host` changes with a reboot and differs between containers, whose process ids mean nothing to
    each other. `start` is the process's start in clock ticks since boot, `0` where the system does
    not tell.
    """
    pid = os.getpid()
    return f"{_host()}:{pid}:{_start_of(pid) or 0}:{secrets.token_hex(4)}"


def known_dead(owner: str) -> bool:
    """Whether the process behind `owner` certainly runs no more. False whenever that cannot be known."""
    parts = owner.rsplit(":", 3)
    if len(parts) != 4 or sys.platform == "win32":
        return False
    host, pid_text, start, _random = parts
    if host != _host() or not (pid_text.isascii() and pid_text.isdigit()):
        return False
    pid = int(pid_text)
    if not _exists(pid):
        return True
    now = _start_of(pid)
    # A pid is used again: another start is another process. A zombie runs no more either.
    return start not in {"0", ""} and now is not None and now != start


def _host() -> str:
    name = socket.gethostname().replace(":", "-") or "localhost"
    marks = [_read(_PROC / "sys/kernel/random/boot_id"), _link(_PROC / "self/ns/pid")]
    return f"{name}-{hashlib.sha256('|'.join(marks).encode()).hexdigest()[:12]}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is somebody else's, or not a pid: nothing is known
        return True
    return True


def _start_of(pid: int) -> str | None:
    """Start in ticks since boot; None when unknown; `dead` for a process that only waits to be reaped."""
    stat = _read(_PROC / f"{pid}/stat")
    # The command's name may hold spaces and parentheses; the fields begin after the last one.
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 20:
        return None
    return "dead" if fields[0] in {"Z", "X"} else fields[19]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
