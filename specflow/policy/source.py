"""Reading policy files: bounded, whole, and never waiting on something that is not a file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from specflow.policy.finding import Finding

MAX_BYTES = 1024 * 1024
MAX_FILES = 200


def files_of(paths: Iterable[Path]) -> tuple[list[Path], list[Finding]]:
    """The files that `paths` name: themselves, or the `*.yaml` and `*.yml` in a folder (not below it)."""
    found: list[Path] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            folder = path.is_dir()
            inside = sorted(p for p in path.iterdir() if _is_policy(p)) if folder else [path]
        except (OSError, ValueError) as error:
            findings.append(_unreadable(path, error))
            continue
        if not inside:
            findings.append(_finding(path, "empty_folder", "no *.yaml file in this folder"))
        found.extend(inside)
    if len(found) > MAX_FILES:
        findings.append(_finding(found[MAX_FILES], "too_many_files", f"more than {MAX_FILES} policy files"))
    return found[:MAX_FILES], findings


def _is_policy(path: Path) -> bool:
    return path.suffix in {".yaml", ".yml"} and not path.name.startswith(".")


def read(path: Path) -> str | Finding:
    """The text of a file, or why it cannot be used. Symbolic links are followed."""
    try:
        # A FIFO would keep a plain open waiting for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        return _unreadable(path, error)
    try:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            return _finding(path, "not_a_file", "not a regular file")
        data = _bounded(handle)
        after = os.fstat(handle)
    except OSError as error:
        return _unreadable(path, error)
    finally:
        os.close(handle)
    if len(data) > MAX_BYTES:
        return _finding(path, "too_large", "larger than 1 MiB: split the policy into files")
    if len(data) != after.st_size or _version(before) != _version(after):
        return _finding(path, "changed", "the file changed while it was read: load it again")
    return _text(path, data)


def _bounded(handle: int) -> bytes:
    parts: list[bytes] = []
    left = MAX_BYTES + 1
    while left > 0 and (part := os.read(handle, min(left, 65536))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _version(state: os.stat_result) -> tuple[int, int]:
    return state.st_size, state.st_mtime_ns


def _text(path: Path, data: bytes) -> str | Finding:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        head = data[: error.start]
        column = len(head[head.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        message = "not UTF-8 (UTF-16?)" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "not UTF-8"
        return Finding(
            file=str(path), line=head.count(b"\n") + 1, column=column, path="", code="encoding",
            message=f"{message}: save the file as UTF-8",
        )  # fmt: skip


def _unreadable(path: Path, error: OSError | ValueError) -> Finding:
    number = getattr(error, "errno", None)
    if number in {errno.ENOENT, errno.ENOTDIR}:
        return _finding(path, "not_found", "no such file")
    if number == errno.ELOOP:
        return _finding(path, "not_readable", "a loop of symbolic links")
    return _finding(path, "not_readable", f"cannot be read: {getattr(error, 'strerror', None) or error}")


def _finding(path: Path, code: str, message: str) -> Finding:
    return Finding(file=str(path), line=0, column=0, path="", code=code, message=message)
