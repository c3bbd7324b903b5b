"""Tables of figures: each is machine-readable as it stands, and shown with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from specflow.replay.plot import plain

Found = Mapping[str, Any]
"""What `specflow replay --json` prints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the JSON, at `path`. Shown with `digits` after the point, its `unit`, its `interval`."""

    value: float
    path: str
    digits: int = 0
    unit: str = ""
    interval: Sequence[float] | None = None

    def html(self) -> str:
        """The exact value stands in the element, the rounded one is read."""
        shown = f"{self.value:.{self.digits}f}"
        between = ""
        if self.interval is not None:
            low, high = (f"{end:.{self.digits}f}" for end in self.interval)
            between = f' <span class="between">[{low}, {high}]</span>'
        of = f'value="{escape(repr(self.value))}" data-of="{escape(self.path)}"'
        return f"<data {of}>{shown}{self.unit}</data>{between}"


Cell = Figure | str


def table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table whose first column names the rows."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    # Who has no mouse must be able to scroll what is wider than the screen.
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: Sequence[Cell]) -> str:
    first, *others = (cell.html() if isinstance(cell, Figure) else escape(plain(cell)) for cell in row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def at(found: Any, path: str) -> Any:
    """What stands in the JSON at a path whose parts are joined by `/`; a name may hold any other sign."""
    for part in path.split("/"):
        key = part.encode("ascii").decode("unicode_escape").replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def path_of(*parts: object) -> str:
    """The path of these keys and places, as in a JSON Pointer, but in ASCII: a name may hold anything."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "/".join(part.encode("unicode_escape").decode("ascii") for part in escaped)


def figure_of(
    found: Any, *path: object, digits: int = 0, unit: str = "", between: Sequence[object] = ()
) -> Figure:
    """The figure of the JSON at that path, with the interval that stands at `between`."""
    interval = at(found, path_of(*between)) if between else None
    where = path_of(*path)
    return Figure(value=at(found, where), path=where, digits=digits, unit=unit, interval=interval)


def head(title: str, about: str) -> str:
    """A heading, and what the part is about."""
    return f"<h2>{escape(title)}</h2><p>{escape(about)}</p>"
