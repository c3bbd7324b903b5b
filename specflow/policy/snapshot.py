"""What policy files hold at one moment: all of it, or the word that it could not be had in one piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from specflow.effects.call import digest
from specflow.policy import source
from specflow.policy.finding import Finding

Marks = tuple[tuple[str, int, int, int], ...]
"""Name, size, time of change in nanoseconds, and inode of each file; -1 where there is none."""

TRIES = 5
FRESH = 3.0
"""Seconds in which a file may change again without its time of change showing it."""


@dataclass(frozen=True, slots=False, kw_only=True)
class Snapshot:
    """`texts` are names and contents, `findings` what kept files from being read."""

    texts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    marks: Marks

    @cached_property
    def digest(self) -> str:
        """64 hex digits over names, contents and findings."""
        return digest(*(part for pair in self.texts for part in pair), "", *map(str, self.findings))


def snapshot(paths: Iterable[Path]) -> Snapshot:
    """The files as they are. Where they keep changing while they are read, a finding says so."""
    several = list(paths)
    if not several:
        return Snapshot(
            texts=(), findings=(_finding("<none>", "not_found", "no policy file was named"),), marks=()
        )
    before = marks_of(several)
    for _ in range(TRIES):
        texts, findings = _read(several)
        after = marks_of(several)
        if before == after and not any(finding.code == "changed" for finding in findings):
            break
        before = after
    else:
        # Each file may be whole, and still not all of them belong together.
        message = "the files change while they are read: load them again"
        findings = [_finding(str(several[0]), "changed", message)]
    return Snapshot(texts=tuple(texts), findings=tuple(sorted(set(findings))), marks=after)


def _read(paths: list[Path]) -> tuple[list[tuple[str, str]], list[Finding]]:
    files, findings = source.files_of(paths)
    texts: list[tuple[str, str]] = []
    for path in files:
        text = source.read(path)
        if isinstance(text, Finding):
            findings.append(text)
        else:
            texts.append((str(path), text))
    return texts, findings


def _finding(file: str, code: str, message: str) -> Finding:
    return Finding(file=file, line=0, column=0, path="", code=code, message=message)


def marks_of(paths: Iterable[Path]) -> Marks:
    """What shows most changes without reading. Symbolic links are followed."""
    files, _ = source.files_of(paths)
    return tuple(_mark(path) for path in files)


def _mark(path: Path) -> tuple[str, int, int, int]:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return str(path), -1, -1, -1
    return str(path), state.st_size, state.st_mtime_ns, state.st_ino


def settled(marks: Marks, now: float) -> bool:
    """Whether every file was last changed so long before `now` (Unix seconds) that marks tell."""
    return all(changed / 1e9 < now - FRESH for _, _, changed, _ in marks)
