"""One thing that was looked at: how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """A warning costs speed, or may surprise; a problem keeps something from working at all."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """`area` is the heading it stands under, `subject` what was looked at; `mend` is what would change it."""

    area: str
    subject: str
    level: Level = Level.OK
    found: str
    mend: str = ""
