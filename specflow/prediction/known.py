"""One value of a conversation, and all that is known about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from specflow.prediction.dates import iso_date
from specflow.prediction.tool_words import shape
from specflow.prediction.values import ValueKind


@dataclass(slots=True)
class Known:
    """One value: the keys and words it was seen with, who brought it up, and how recently.

    `said`: by the user or the model; otherwise only a tool's result holds it. `born` and `order`
    grow with time, from when it was first and last seen. `records` are the objects it stood in.
    Only its `owner` may change it; everybody else takes a `copy`.
    """

    text: str
    data: str | int | float | bool
    owner: object = None
    keys: set[str] = field(default_factory=set)
    cues: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    kinds: set[ValueKind] = field(default_factory=set)
    used_as: set[str] = field(default_factory=set)
    used_by: set[tuple[str, str]] = field(default_factory=set)
    said: bool = False
    this_turn: bool = False
    last_user: bool = False
    born: int = 0
    order: int = 0
    message: int = 0
    records: list[Mapping[str, Any]] = field(default_factory=list)
    _kind: ValueKind | None = None
    _outline: str | None = None

    @property
    def kind(self) -> ValueKind:
        """What it looks like, on its own."""
        if self._kind is None:
            self._kind = _kind_of(self.text, self.data)
        return self._kind

    @property
    def outline(self) -> str:
        """Its `shape`."""
        if self._outline is None:
            self._outline = shape(self.text)
        return self._outline

    def copy(self, owner: object) -> Known:
        """The same, for another owner to go on with."""
        return Known(
            text=self.text,
            data=self.data,
            owner=owner,
            keys=self.keys.copy(),
            cues=self.cues.copy(),
            roles=self.roles.copy(),
            kinds=self.kinds.copy(),
            used_as=self.used_as.copy(),
            used_by=self.used_by.copy(),
            said=self.said,
            this_turn=self.this_turn,
            last_user=self.last_user,
            born=self.born,
            order=self.order,
            message=self.message,
            records=self.records.copy(),
            _kind=self._kind,
            _outline=self._outline,
        )


def _kind_of(text: str, data: str | float | bool) -> ValueKind:
    if isinstance(data, int | float):
        return ValueKind.NUMBER
    if iso_date(text):
        return ValueKind.DATE
    if re.fullmatch(r"[A-Z]{2,5}", text):
        return ValueKind.CODE
    if re.fullmatch(r"\d+", text):
        return ValueKind.NUMBER
    if re.search(r"[\d_@#]", text):
        return ValueKind.IDENTIFIER
    return ValueKind.NAME
